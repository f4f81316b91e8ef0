/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exhaustive tests of vring_pop on packed rings: every ring of 1 to 4 descriptors over a small
 * alphabet, from every position in both rounds, until it is empty or broken. An oracle that reads
 * the driver's mapping says what must be popped. Ring and table end where RAM ends, before an
 * unmapped page.
 */
#include <errno.h>
#include <string.h>

#include "tests/lib/exhaustive.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

#define TABLE	  (MOCK_HOLE - 16)
#define AVAIL_BIT (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED_BIT  (1u << VRING_PACKED_DESC_F_USED)

static struct mockdrv m;
static struct vring_config config;
static struct vring_packed_desc *ring, *table;

static void setup(void)
{
	mock_init(&m, 4, true, true);
	table = mock_ptr(&m, TABLE);
}

static void teardown(void)
{
	mock_fini(&m);
}

static void use_ring(uint16_t size, bool indirect)
{
	mock_ring_packed(&m, size, true, indirect);
	config = m.ring;
	config.desc = MOCK_TOP - 16ul * size;
	ring = mock_ptr(&m, config.desc);
}

/* ---- the oracle ---- */

enum verdict { EMPTY, CHAIN, BROKEN };

struct oracle {
	struct mock_place place;
	unsigned int held;
	bool flying[4];
};

struct answer {
	unsigned int count; /* descriptors */
	unsigned int id;
	unsigned int pieces;
	uint64_t out_len, in_len;
};

/* Judges a buffer. In these alphabets, a buffer outside RAM is one that extends into the hole. */
static bool judge_buffer(const struct vring_packed_desc *d, struct answer *want)
{
	bool write = d->flags & WRITE;

	if (!d->len)
		return true;
	if ((!write && want->in_len) || d->addr + d->len > MOCK_HOLE)
		return false;
	want->pieces += d->addr < MOCK_HIGH && d->addr + d->len > MOCK_HIGH ? 2 : 1;
	*(write ? &want->in_len : &want->out_len) += d->len;
	return true;
}

static bool available(const struct vring_packed_desc *d, bool wrap)
{
	return !(d->flags & AVAIL_BIT) != wrap && !(d->flags & USED_BIT) == wrap;
}

/* Judges a descriptor of a chain; *more is set when the chain continues. False: it breaks the
 * ring. */
static bool judge_desc(const struct vring_packed_desc *d, struct answer *want, bool *more)
{
	*more = d->flags & NEXT;
	want->id = d->id;
	want->count++;
	if (!(d->flags & INDIRECT))
		return judge_buffer(d, want);
	/* The reference must be alone, and its table is one buffer. */
	return config.indirect && want->count == 1 && !*more && d->len == 16 && d->addr == TABLE &&
	       !(table->flags & INDIRECT) && judge_buffer(table, want);
}

/* Says what the next vring_pop must return, and advances the oracle. */
static enum verdict judge(struct oracle *o, struct answer *want)
{
	struct mock_place place = o->place;
	bool more = true;

	*want = (struct answer){ .count = 0 };
	while (more) {
		const struct vring_packed_desc *d = &ring[place.at];

		if (!available(d, place.wrap))
			return want->count ? BROKEN : EMPTY;
		if (o->held + want->count == config.size || !judge_desc(d, want, &more))
			return BROKEN;
		mock_packed_advance(&m, &place, 1);
	}
	if (want->id >= config.size || o->flying[want->id])
		return BROKEN;
	o->flying[want->id] = true;
	o->held += want->count;
	o->place = place;
	return CHAIN;
}

/* ---- one ring ---- */

static bool right(int got, const struct vring_dev *vr, const struct vring_chain *c,
		  enum verdict verdict, const struct answer *want)
{
	if (verdict != CHAIN)
		return got == (verdict == EMPTY ? 0 : -EBADMSG) &&
		       !vr->broken == (verdict == EMPTY);
	return got == 1 && c->head == want->id && c->out_count + c->in_count == want->pieces &&
	       c->out_len == want->out_len && c->in_len == want->in_len &&
	       vr->ring.length[c->head] == want->count;
}

static void check_ring(struct mock_place start)
{
	struct oracle o = { .place = start };
	struct iovec iov[VRING_CHAIN_CAPACITY(4)];
	struct vring_chain chain = { .iov = iov, .capacity = VRING_CHAIN_CAPACITY(4) };
	struct vring_dev vr;
	struct answer want;
	enum verdict verdict;

	must(vring_setup(&vr, &m.hostmem, &config) == 0);
	vr.ring.avail_next = vr.ring.used_next = start.at;
	vr.ring.avail_flags = mock_packed_avail(start.wrap);
	vr.ring.used_flags = mock_packed_used_flags(start.wrap);
	do {
		verdict = judge(&o, &want);
		int got = vring_pop(&vr, &chain);

		if (!right(got, &vr, &chain, verdict, &want)) {
			for (unsigned int i = 0; i < config.size; i++)
				log_info("%u: %llx %x id %u flags %x", i, ring[i].addr, ring[i].len,
					 ring[i].id, ring[i].flags);
			ck_abort_msg("from %u, wrap %d: %d (%s), should be %d", start.at,
				     start.wrap, got, vr.broken ? vr.broken : "fine", verdict);
		}
		exhaustive_accepted += verdict == CHAIN;
		exhaustive_refused += verdict == BROKEN;
	} while (verdict == CHAIN);
}

/* ---- alphabets ---- */

static struct vring_packed_desc letter[256];
static unsigned int letters;

static const struct vring_packed_desc kinds[] = {
	{ MOCK_HIGH, 1, 0, 0 }, { MOCK_HIGH - 8, 16, 0, WRITE }, { TABLE, 16, 0, INDIRECT },
	{ MOCK_HOLE, 0, 0, 0 }, { MOCK_HOLE - 1, 2, 0, WRITE },	 { TABLE, 8, 0, INDIRECT | WRITE },
};

/*
 * Makes an alphabet of the first `count` kinds, with and without NEXT, with each id. AVAIL and USED
 * have all four values, or the two that are available in some round.
 */
static void make_letters(unsigned int count, bool all_flags, const uint16_t *id, unsigned int ids)
{
	static const uint16_t flags[] = { AVAIL_BIT, USED_BIT, 0, AVAIL_BIT | USED_BIT };

	letters = 0;
	for (unsigned int n = 0; n < count * 2 * ids * (all_flags ? 4 : 2); n++) {
		struct vring_packed_desc *d = &letter[letters++];
		unsigned int rest = n / count / 2;

		*d = kinds[n % count];
		d->flags |= (n / count % 2 ? NEXT : 0) | flags[rest / ids];
		d->id = id[rest % ids];
	}
}

/* Writes the ring with this number. False: there are no more. */
static bool make_ring(unsigned long number)
{
	for (unsigned int i = 0; i < config.size; i++) {
		ring[i] = letter[number % letters];
		number /= letters;
	}
	return !number;
}

static void check_rings(uint16_t size, bool indirect)
{
	/* The table that an INDIRECT letter refers to has a buffer, or a nested table. */
	static const struct vring_packed_desc entries[] = {
		{ MOCK_HIGH - 8, 16, 0xffff, (uint16_t)~INDIRECT },
		{ TABLE, 16, 0, INDIRECT },
	};

	use_ring(size, indirect);
	for (unsigned int e = 0; e < ARRAY_SIZE(entries); e++) {
		*table = entries[e];
		for (unsigned long n = 0; make_ring(n); n++)
			for (unsigned int at = 0; at < 2u * size; at++)
				check_ring((struct mock_place){ at % size, at < size });
	}
}

START_TEST(packed_rings_of_1_and_2_over_all_contents)
{
	static const uint16_t ids[] = { 0, 1, 2 };

	make_letters(ARRAY_SIZE(kinds), true, ids, ARRAY_SIZE(ids));
	for (uint16_t size = 1; size <= 2; size++) {
		check_rings(size, true);
		check_rings(size, false);
	}
	exhaustive_report("packed rings of 1 and 2");
}
END_TEST

START_TEST(packed_rings_of_3_and_4_over_contents_of_a_few_letters)
{
	static const uint16_t ids[] = { 0, 2 };

	make_letters(3, false, ids, 2);
	check_rings(3, true);
	make_letters(3, false, ids, 1);
	check_rings(4, true);
	exhaustive_report("packed rings of 3 and 4");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("exhaustive_packed");
	TCase *t = tcase_create("exhaustive_packed");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, packed_rings_of_1_and_2_over_all_contents);
	tcase_add_test(t, packed_rings_of_3_and_4_over_contents_of_a_few_letters);
	suite_add_tcase(s, t);
	return s;
}
