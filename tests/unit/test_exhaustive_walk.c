/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exhaustive tests of vring_pop on split rings: every descriptor table over a small alphabet, for
 * rings of 1, 2 and 4 and indirect tables of 1 to 3, compared with an oracle that walks the
 * driver's copy. Tables end before an unmapped page, and memory that the walk must not access is
 * inaccessible, so that a wrong access faults.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/exhaustive.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

#define PAGE 0x1000ul
/* A chain with a buffer of HUGE bytes may have 16 further bytes, and no more. */
#define HUGE 0xffffffefu
#define BIG  0x140000000ul

/* Guest physical addresses. A, B and C are adjacent; the other areas are not. */
#define GPA_DESC  0x100000ul
#define GPA_AVAIL 0x200000ul
#define GPA_USED  0x300000ul
#define GPA_A	  0x400000ul
#define GPA_B	  (GPA_A + PAGE)
#define GPA_C	  (GPA_B + PAGE) /* read-only */
#define GPA_HOLE  (GPA_C + PAGE)
#define GPA_BIG	  0x1000000000ul

enum { DESC, AVAIL, USED, A, B, C, LARGE, AREAS };

static struct hostmem_region area[AREAS] = {
	[DESC] = { GPA_DESC, PAGE, NULL, false }, [AVAIL] = { GPA_AVAIL, PAGE, NULL, false },
	[USED] = { GPA_USED, PAGE, NULL, false }, [A] = { GPA_A, PAGE, NULL, false },
	[B] = { GPA_B, PAGE, NULL, false },	  [C] = { GPA_C, PAGE, NULL, true },
	[LARGE] = { GPA_BIG, BIG, NULL, false },
};

static struct hostmem mem;
static uint8_t *driver; /* the driver's mapping of DESC, AVAIL and A, one page each */
static struct vring_desc *ring_end, *indirect_end;
static struct vring_avail *avail;
static struct vring_config config;

/* Maps one page that the device may read. */
static void show(void *at, int memfd, off_t offset)
{
	ck_assert_ptr_eq(mmap(at, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, memfd, offset), at);
}

static void setup(void)
{
	int memfd = memfd_create("guest", MFD_CLOEXEC);
	uint8_t *view = mmap(NULL, 2 * PAGE * AREAS + BIG, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(view, MAP_FAILED);
	ck_assert_int_eq(ftruncate(memfd, 4 * PAGE), 0);
	driver = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ck_assert_ptr_ne(driver, MAP_FAILED);
	mem.count = 0;
	for (unsigned int i = 0; i < AREAS; i++) {
		area[i].hva = view + (2 * i + 1) * PAGE;
		ck_assert_int_eq(hostmem_add(&mem, area[i].gpa, area[i].size, area[i].hva,
					     area[i].readonly),
				 0);
	}
	show(area[DESC].hva, memfd, 0);
	show(area[AVAIL].hva, memfd, PAGE);
	show(area[A].hva, memfd, 2 * PAGE);
	/* An indirect table in this page begins with a descriptor of length 0. */
	show(area[LARGE].hva, memfd, 3 * PAGE);
	close(memfd);

	ring_end = (struct vring_desc *)(driver + PAGE);
	avail = (struct vring_avail *)(driver + PAGE);
	indirect_end = (struct vring_desc *)(driver + 3 * PAGE);
}

static void use_ring(uint16_t size, bool indirect)
{
	config = (struct vring_config){
		.size = size,
		.desc = GPA_DESC + PAGE - 16ul * size,
		.avail = GPA_AVAIL,
		.used = GPA_USED,
		.event_idx = true,
		.indirect = indirect,
	};
}

/* ---- the oracle ---- */

struct answer {
	unsigned int pieces;
	unsigned int out_count;
	uint64_t out_len;
	uint64_t in_len;
	struct iovec iov[2 * AREAS];
};

/* Judges a buffer. Its pieces are what its range has in common with each area. */
static bool judge_buffer(const struct vring_desc *d, struct answer *want)
{
	uint64_t end = d->addr + d->len, found = 0;
	bool write = d->flags & WRITE;

	if (!d->len)
		return true;
	if (!write && want->in_len)
		return false;
	for (unsigned int i = 0; i < AREAS; i++) {
		uint64_t from = d->addr > area[i].gpa ? d->addr : area[i].gpa;
		uint64_t to = end < area[i].gpa + area[i].size ? end : area[i].gpa + area[i].size;

		if (from >= to)
			continue;
		if (write && area[i].readonly)
			return false;
		want->iov[want->pieces].iov_base = (char *)area[i].hva + (from - area[i].gpa);
		want->iov[want->pieces++].iov_len = to - from;
		want->out_count += !write;
		found += to - from;
	}
	*(write ? &want->in_len : &want->out_len) += d->len;
	return found == d->len;
}

/* Returns whether a chain is valid, and fills *want. `table` and `count` are the ring of the
 * driver. */
static bool judge(const struct vring_desc *table, unsigned int count, unsigned int head,
		  unsigned int capacity, struct answer *want)
{
	bool inside = false; /* an indirect table */
	unsigned int i = head;

	memset(want, 0, sizeof(*want));
	if (head >= count)
		return false;
	for (unsigned int buffers = 0; buffers < config.size;) {
		const struct vring_desc *d = &table[i];

		if (d->flags & INDIRECT) {
			if (!config.indirect || inside || d->flags & NEXT || d->len % 16 || !d->len)
				return false;
			inside = true;
			i = 0;
			count = d->len / 16;
			/* In these alphabets, a table in contiguous RAM is in the last bytes of A,
			 * or is the one in the large area. */
			if (d->addr >= GPA_A && d->addr + d->len == GPA_B)
				table = indirect_end - count;
			else if (d->addr == GPA_BIG)
				return true;
			else
				return false;
			continue;
		}
		if (!judge_buffer(d, want) || want->pieces > capacity ||
		    want->in_len + want->out_len > UINT32_MAX)
			return false;
		buffers++;
		if (!(d->flags & NEXT))
			return true;
		if (d->next >= count)
			return false;
		i = d->next;
	}
	return false; /* longer than the queue */
}

/* ---- one walk ---- */

static bool right(int result, const struct vring_dev *vr, const struct vring_chain *chain,
		  unsigned int head, const struct answer *want, bool ok)
{
	uint64_t flying = vr->in_flight[0];

	if (!ok)
		return result == -EBADMSG && vr->broken && !flying && !vr->last_avail;
	return result == 1 && !vr->broken && flying == 1ull << head && vr->last_avail == 1 &&
	       chain->head == head && chain->out_count == want->out_count &&
	       chain->out_count + chain->in_count == want->pieces &&
	       chain->out_len == want->out_len && chain->in_len == want->in_len &&
	       iov_same(chain->iov, want->iov, want->pieces);
}

static void check_walk(unsigned int head, unsigned int capacity)
{
	struct iovec iov[VRING_CHAIN_CAPACITY(4) + 1];
	struct vring_chain chain = { .iov = iov, .capacity = capacity };
	struct vring_dev vr;
	struct answer want;
	bool ok = judge(ring_end - config.size, config.size, head, capacity, &want);

	must(vring_setup(&vr, &mem, &config) == 0);
	avail->idx = 1;
	avail->ring[0] = (uint16_t)head;
	iov[capacity] = iov_canary;
	int result = vring_pop(&vr, &chain);

	if (!right(result, &vr, &chain, head, &want, ok) ||
	    !iov_same(&iov[capacity], &iov_canary, 1)) {
		for (unsigned int i = 0; i < config.size; i++) {
			const struct vring_desc *d = ring_end - config.size + i;

			log_info("%u: %llx %x %x %u", i, d->addr, d->len, d->flags, d->next);
		}
		ck_abort_msg("head %u, capacity %u: %d (%s), should be %s", head, capacity, result,
			     vr.broken ? vr.broken : "fine", ok ? "accepted" : "refused");
	}
	exhaustive_accepted += ok;
	exhaustive_refused += !ok;
}

/* ---- alphabets ---- */

static struct vring_desc letter[512];
static unsigned int letters;

/* Adds a descriptor with each `next`. Without NEXT, there is one, whose `next` is outside the ring,
 * so that the test fails when the device uses it. */
static void add_letter(uint64_t addr, uint32_t len, uint16_t flags, unsigned int next_max)
{
	for (unsigned int next = flags & NEXT ? 0 : next_max; next <= next_max; next++)
		letter[letters++] = (struct vring_desc){ addr, len, flags, (uint16_t)next };
}

/* Makes an alphabet of all addresses, lengths and flags, with every `next` up to next_max. */
static void wide_alphabet(unsigned int next_max)
{
	static const uint64_t addr[] = { GPA_B - 16, GPA_B - 8, GPA_C - 8, GPA_HOLE, GPA_BIG };
	static const uint32_t len[] = { 0, 1, 16, HUGE };
	static const uint16_t flags[] = { 0, NEXT, WRITE, NEXT | WRITE, INDIRECT, INDIRECT | NEXT };

	letters = 0;
	for (unsigned int a = 0; a < ARRAY_SIZE(addr); a++)
		for (unsigned int l = 0; l < ARRAY_SIZE(len); l++)
			for (unsigned int f = 0; f < ARRAY_SIZE(flags); f++)
				add_letter(addr[a], len[l], flags[f], next_max);
}

/* Makes a small alphabet for every rule: one piece, two pieces, no piece, nearly 4 GiB. */
static void narrow_alphabet(unsigned int next_max)
{
	letters = 0;
	add_letter(GPA_B - 16, 1, 0, next_max);
	add_letter(GPA_B - 16, 1, NEXT, next_max);
	add_letter(GPA_B - 8, 16, WRITE, next_max);
	add_letter(GPA_B - 8, 16, WRITE | NEXT, next_max);
	add_letter(GPA_B - 16, 0, NEXT, next_max);
	add_letter(GPA_BIG, HUGE, NEXT, next_max);
	add_letter(GPA_B - 16, 16, INDIRECT, next_max);
}

/* Writes the table with this number, of `count` letters, before `end`. False: there are no more. */
static bool make_table(struct vring_desc *end, unsigned int count, unsigned long number)
{
	for (struct vring_desc *d = end - count; d < end; d++) {
		*d = letter[number % letters];
		number /= letters;
	}
	return !number;
}

/* ---- tests ---- */

/* The table in A that an INDIRECT letter refers to has a buffer, or a nested table. */
static const struct vring_desc in_a[] = {
	{ GPA_B - 8, 16, WRITE, 0 },
	{ GPA_B - 16, 16, INDIRECT, 0 },
};

static void check_rings(uint16_t size, unsigned int capacity, bool indirect, unsigned int heads)
{
	use_ring(size, indirect);
	for (unsigned long n = 0; make_table(ring_end, size, n); n++)
		for (unsigned int head = 0; head < heads; head++)
			check_walk(head, capacity);
}

START_TEST(rings_of_1_and_2_over_all_tables)
{
	for (uint16_t size = 1; size <= 2; size++) {
		wide_alphabet(size);
		for (unsigned int i = 0; i < ARRAY_SIZE(in_a); i++) {
			indirect_end[-1] = in_a[i];
			check_rings(size, VRING_CHAIN_CAPACITY(size), true, size + 1u);
		}
		check_rings(size, VRING_CHAIN_CAPACITY(size), false, size);
		/* The capacity is too small for a second or a third piece. */
		check_rings(size, size, true, size);
	}
	exhaustive_report("rings of 1 and 2");
}
END_TEST

START_TEST(rings_of_4_over_all_tables_of_a_few_letters)
{
	narrow_alphabet(4);
	indirect_end[-1] = in_a[0];
	check_rings(4, VRING_CHAIN_CAPACITY(4), true, 5);
	check_rings(4, 4, false, 1);
	exhaustive_report("rings of 4");
}
END_TEST

/* Checks every indirect table of `count` letters, whose reference is the head or follows a
 * buffer. */
static void check_indirect(uint16_t size, uint32_t count)
{
	use_ring(size, true);
	ring_end[-1] = (struct vring_desc){ GPA_B - 16 * count, 16 * count, INDIRECT, 0 };
	if (size > 1)
		ring_end[-2] = (struct vring_desc){ GPA_B - 8, 16, NEXT, size - 1 };
	for (unsigned long n = 0; make_table(indirect_end, count, n); n++)
		for (unsigned int head = size > 1 ? size - 2 : 0; head < size; head++)
			check_walk(head, VRING_CHAIN_CAPACITY(size));
}

START_TEST(indirect_tables_of_1_and_2_over_all_tables)
{
	for (uint32_t count = 1; count <= 2; count++) {
		wide_alphabet(count);
		check_indirect(1, count);
		check_indirect(2, count);
	}
	exhaustive_report("indirect tables of 1 and 2");
}
END_TEST

/* A table longer than the ring of 2 is valid when the chain in it is not longer. */
START_TEST(indirect_tables_of_3_over_all_tables_of_a_few_letters)
{
	narrow_alphabet(3);
	check_indirect(2, 3);
	check_indirect(4, 3);
	exhaustive_report("indirect tables of 3");
}
END_TEST

/* The driver moves avail.idx to every value, from 0 and from values near the sign bit and the
 * wrap. */
START_TEST(avail_index_over_all_values)
{
	static const uint16_t from[] = { 0, 0x7fff, 0xfffe };
	struct iovec iov[VRING_CHAIN_CAPACITY(4)];
	struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };
	struct vring_dev vr;

	for (uint16_t size = 1; size <= 4; size *= 2) {
		use_ring(size, false);
		memset(driver, 0, 2 * PAGE);
		for (unsigned int i = 0; i < ARRAY_SIZE(from) * 0x10000; i++) {
			uint16_t last = from[i / 0x10000], idx = (uint16_t)i;
			uint16_t moved = (uint16_t)(idx - last);

			must(vring_setup(&vr, &mem, &config) == 0);
			vr.last_avail = vr.avail_idx = last;
			WRITE_ONCE(avail->idx, idx);
			if (vring_pop(&vr, &chain) != (moved > size ? -EBADMSG : moved != 0))
				ck_abort_msg("size %u, from %u to %u", size, last, idx);
		}
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("exhaustive_walk");
	TCase *t = tcase_create("exhaustive_walk");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, rings_of_1_and_2_over_all_tables);
	tcase_add_test(t, rings_of_4_over_all_tables_of_a_few_letters);
	tcase_add_test(t, indirect_tables_of_1_and_2_over_all_tables);
	tcase_add_test(t, indirect_tables_of_3_over_all_tables_of_a_few_letters);
	tcase_add_test(t, avail_index_over_all_values);
	suite_add_tcase(s, t);
	return s;
}
