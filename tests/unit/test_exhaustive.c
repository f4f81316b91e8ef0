/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exhaustive tests of vring_need_event and hostmem: every input over a small alphabet, compared
 * with an independent oracle. Most errors in rings and maps show in small ones.
 */
#include <errno.h>
#include <string.h>

#include "tests/lib/exhaustive.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

#define PIECES 16 /* size of iov arrays; no range here has as many pieces */

/* ---- vring_need_event ---- */

/* The oracle of vring_need_event: the device interrupts when its index moves past the event
 * (2.7.10.1). */
static bool passes(uint16_t old, unsigned int count, uint16_t event)
{
	for (unsigned int i = 0; i < count; i++)
		if ((uint16_t)(old + i) == event)
			return true;
	return false;
}

static struct mockdrv m;
static struct vring_dev notify_ring;

static bool notifies(uint16_t old, uint16_t new, uint16_t event)
{
	notify_ring.signalled = old;
	notify_ring.published = new;
	WRITE_ONCE(*mock_used_event(&m), event);
	bool yes = vring_should_notify(&notify_ring);
	must(notify_ring.signalled == new);
	return yes;
}

static void check_notify(uint16_t old, unsigned int count, uint16_t event)
{
	uint16_t new = (uint16_t)(old + count);

	if (notifies(old, new, event) != passes(old, count, event))
		ck_abort_msg("from %u to %u, event %u", old, new, event);
}

START_TEST(need_event_over_all_events_and_small_batches)
{
	static const uint16_t from[] = { 0, 0x7ffe, 0xfffd };

	mock_init(&m, 4, true, false);
	ck_assert_int_eq(vring_setup(&notify_ring, &m.hostmem, &m.ring), 0);
	for (unsigned int f = 0; f < ARRAY_SIZE(from); f++)
		for (unsigned int count = 0; count <= 4; count++)
			for (unsigned int event = 0; event < 0x10000; event++)
				check_notify(from[f], count, (uint16_t)event);
	mock_fini(&m);
}
END_TEST

/* The batches have any length, in a window of indices that includes the wrap. */
START_TEST(need_event_over_all_triples_of_a_window)
{
	mock_init(&m, 4, true, false);
	ck_assert_int_eq(vring_setup(&notify_ring, &m.hostmem, &m.ring), 0);
	for (int old = -24; old < 24; old++)
		for (int new = old; new < 24; new ++)
			for (int event = -26; event < 26; event++)
				check_notify((uint16_t)old, (unsigned int)(new - old),
					     (uint16_t)event);
	mock_fini(&m);
}
END_TEST

START_TEST(interrupt_flag_over_all_values)
{
	mock_init(&m, 4, false, false);
	ck_assert_int_eq(vring_setup(&notify_ring, &m.hostmem, &m.ring), 0);
	for (unsigned int flags = 0; flags < 0x10000; flags++) {
		WRITE_ONCE(m.avail->flags, (uint16_t)flags);
		must(vring_should_notify(&notify_ring) == (flags % 2 == 0));
	}
	mock_fini(&m);
}
END_TEST

/* ---- hostmem ---- */

/* The oracle of hostmem: the region of each byte from base to base + BYTES - 1. */
#define BYTES 24
static struct {
	uint64_t base;
	const struct hostmem_region *region[BYTES];
} bytes;

static const struct hostmem_region *byte_at(uint64_t gpa, uint64_t i)
{
	/* An address that wraps at 2^64 is outside each region. */
	if (gpa + i < gpa || gpa + i < bytes.base || gpa + i - bytes.base >= BYTES)
		return NULL;
	return bytes.region[gpa + i - bytes.base];
}

/* Adds the bytes of a region to the oracle. */
static void bytes_of(const struct hostmem_region *r)
{
	for (uint64_t i = 0; i < BYTES; i++)
		if (bytes.base + i >= r->gpa && bytes.base + i - r->gpa < r->size)
			bytes.region[i] = r;
}

/* Returns what hostmem_map must return, and fills *iov: a new piece begins where the region
 * changes. */
static int map_bytes(uint64_t gpa, uint64_t len, bool write, struct iovec *iov, unsigned int max)
{
	const struct hostmem_region *last = NULL;
	unsigned int n = 0;

	for (uint64_t i = 0; i < len; i++) {
		const struct hostmem_region *r = byte_at(gpa, i);

		if (!r || (write && r->readonly))
			return -EFAULT;
		if (r != last) {
			if (n == max)
				return -ENOSPC;
			iov[n].iov_base = (char *)r->hva + (gpa + i - r->gpa);
			iov[n++].iov_len = 0;
		}
		iov[n - 1].iov_len++;
		last = r;
	}
	return (int)n;
}

static void check_range(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write)
{
	struct iovec want[PIECES], got[PIECES];
	int pieces = map_bytes(gpa, len, write, want, PIECES);
	void *contiguous = pieces == 1 ? want[0].iov_base : NULL;

	if (hostmem_lookup(mem, gpa, len, write) != contiguous)
		ck_abort_msg("lookup of %#lx, %#lx bytes, write %d", gpa, len, write);
	for (unsigned int max = 0; max <= 4; max++) {
		got[max] = iov_canary;
		int n = map_bytes(gpa, len, write, want, max);

		if (hostmem_map(mem, gpa, len, write, got, max) != n ||
		    !iov_same(got, want, n > 0 ? (unsigned int)n : 0) ||
		    !iov_same(&got[max], &iov_canary, 1))
			ck_abort_msg("map of %#lx, %#lx bytes, write %d, max %u", gpa, len, write,
				     max);
	}
}

static void check_ranges(const struct hostmem *mem, uint64_t first, uint64_t addresses)
{
	for (uint64_t i = 0; i < addresses; i++)
		for (uint64_t len = 0; len < 2 * addresses; len++)
			for (int write = 0; write < 2; write++) {
				check_range(mem, first + i, len, write);
				/* The end of this range wraps. */
				check_range(mem, first + i, -1 - len, write);
			}
}

static char host[4][BYTES];

/* The map has adjacent regions, one of them read-only, a hole, and regions at address 0 and at the
 * end. */
START_TEST(ranges_of_a_map_byte_by_byte)
{
	static const struct hostmem_region map[] = {
		{ 0, 2, host[0], false },
		{ 2, 3, host[1], false },
		{ 5, 2, host[2], true },
		{ 10, 2, host[3], false },
	};
	struct hostmem mem = { 0 };

	memset(&bytes, 0, sizeof(bytes));
	for (unsigned int i = 0; i < ARRAY_SIZE(map); i++) {
		ck_assert_int_eq(hostmem_add(&mem, map[i].gpa, map[i].size, map[i].hva,
					     map[i].readonly),
				 0);
		bytes_of(&map[i]);
	}
	check_ranges(&mem, 0, 14);

	/* The last possible byte of a region is at 2^64 - 2. The one after it, and 0, are outside
	 * RAM. */
	struct hostmem_region top = { -5ull, 4, host[3] + 4, false };

	ck_assert_int_eq(hostmem_add(&mem, top.gpa, top.size, top.hva, false), 0);
	bytes.base = -8ull;
	memset(bytes.region, 0, sizeof(bytes.region));
	bytes_of(&top);
	for (uint64_t gpa = -7ull; gpa; gpa++)
		for (uint64_t len = 0; len < 12; len++) {
			check_range(&mem, gpa, len, true);
			check_range(&mem, gpa, -1 - len, false);
		}
}
END_TEST

/* Returns what hostmem_add must return for a further region. */
static int may_add(const struct hostmem_region *r)
{
	if (!r->size || r->gpa + r->size < r->gpa)
		return -EINVAL;
	for (uint64_t i = 0; i < r->size; i++)
		if (byte_at(r->gpa, i))
			return -EEXIST;
	return 0;
}

/* Checks every pair of regions within `span` addresses from base on, in either order. */
static void check_pairs(uint64_t base, uint64_t span)
{
	for (uint64_t n = 0; n < span * span * span * span; n++) {
		struct hostmem_region pair[2] = {
			{ base + n % span, n / span % span, host[0], false },
			{ base + n / span / span % span, n / span / span / span, host[1], true },
		};
		struct hostmem mem = { 0 };

		bytes.base = base;
		memset(bytes.region, 0, sizeof(bytes.region));
		for (unsigned int i = 0; i < 2; i++) {
			struct hostmem_region *r = &pair[i];
			int want = may_add(r);

			if (hostmem_add(&mem, r->gpa, r->size, r->hva, r->readonly) != want)
				ck_abort_msg("add of %#lx, %#lx bytes", r->gpa, r->size);
			if (!want)
				bytes_of(r);
		}
		for (uint64_t gpa = 0; gpa < span; gpa++)
			for (uint64_t len = 0; len <= 2 * span; len += 1 + (len > span))
				check_range(&mem, base + gpa, len, n % 2);
	}
}

START_TEST(every_pair_of_regions)
{
	check_pairs(0, 5);
	check_pairs(-5ull, 5);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("exhaustive");
	TCase *t = tcase_create("exhaustive");

	tcase_add_test(t, need_event_over_all_events_and_small_batches);
	tcase_add_test(t, need_event_over_all_triples_of_a_window);
	tcase_add_test(t, interrupt_flag_over_all_values);
	tcase_add_test(t, ranges_of_a_map_byte_by_byte);
	tcase_add_test(t, every_pair_of_regions);
	suite_add_tcase(s, t);
	return s;
}
