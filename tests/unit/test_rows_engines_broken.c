/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows 1 to 13 of tests/rows/table that break the queue, on a whole disk with every engine. */
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

static struct disk d;

#define BREAK(cases)                                        \
	do {                                                \
		rows_begin(&d, _i);                         \
		rows_break(&d, (cases), ARRAY_SIZE(cases)); \
		rows_end(&d, false);                        \
	} while (0)

/* ---- the avail ring ---- */

static void move_index(struct mockdrv *m, const struct mock_blk *good, uint64_t by)
{
	(void)good;
	m->avail_idx = (uint16_t)(m->avail_idx + by);
}

START_TEST(row01_avail_index_moved_too_far_on_every_engine)
{
	/* The two good reads of a batch add two entries to these. */
	static const struct row_bad cases[] = {
		{ "one more than the ring ahead", move_index, ROWS_RING - 1, HIDES_EARLIER },
		{ "32768 ahead", move_index, 0x8000, HIDES_EARLIER },
		{ "backwards", move_index, 0xfffd, HIDES_EARLIER },
	};

	BREAK(cases);
}
END_TEST

static void offer_head(struct mockdrv *m, const struct mock_blk *good, uint64_t head)
{
	(void)good;
	mock_stage(m, (uint16_t)head);
}

static void offer_next(struct mockdrv *m, const struct mock_blk *good, uint64_t next)
{
	(void)good;
	mock_desc(m, 20, mock_header(m, VIRTIO_BLK_T_IN, 0), 16, NEXT, (uint16_t)next);
	mock_stage(m, 20);
}

/* Offers an indirect table of two descriptors, of which the second leads to number `next`. */
static void offer_next_in_table(struct mockdrv *m, const struct mock_blk *good, uint64_t next)
{
	uint64_t table = mock_alloc(m, 2 * sizeof(struct vring_desc), 16);
	const struct vring_desc desc[] = {
		{ mock_header(m, VIRTIO_BLK_T_IN, 0), 16, NEXT, 1 },
		{ mock_alloc(m, 512, 512), 512, NEXT | WRITE, (uint16_t)next },
	};

	(void)good;
	memcpy(mock_ptr(m, table), desc, sizeof(desc));
	mock_desc(m, 20, table, sizeof(desc), INDIRECT, 0);
	mock_stage(m, 20);
}

/* Offers a chain whose second descriptor is not available. */
static void offer_gap(struct mockdrv *m, const struct mock_blk *good, uint64_t arg)
{
	(void)arg;
	mock_packed_put(m, good->header, 16, 20, NEXT);
	mock_packed_put(m, good->status, 1, 20, WRITE);
	m->packed[m->put.at - 1].flags ^= MOCK_BOTH;
}

START_TEST(row02_head_or_next_outside_the_table_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "head just outside", offer_head, ROWS_RING, 0 },
		{ "head far outside", offer_head, 0xffff, 0 },
		{ "next just outside", offer_next, ROWS_RING, SPLIT_ONLY },
		{ "next far outside", offer_next, 0xffff, SPLIT_ONLY },
		{ "next outside the indirect table", offer_next_in_table, 2, SPLIT_ONLY },
		{ "next in the ring's table, not in the indirect one", offer_next_in_table, 21,
		  SPLIT_ONLY },
		{ "next one is not available", offer_gap, 0, PACKED_ONLY },
	};

	BREAK(cases);
}
END_TEST

/* Offers a chain that enters a loop of `len` descriptors at its third one. */
static void offer_loop(struct mockdrv *m, const struct mock_blk *good, uint64_t len)
{
	uint64_t header = mock_header(m, VIRTIO_BLK_T_OUT, 0);

	(void)good;
	mock_desc(m, 20, header, 8, NEXT, 21);
	mock_desc(m, 21, header + 8, 8, NEXT, 22);
	for (unsigned int i = 0; i < len; i++)
		mock_desc(m, (uint16_t)(22 + i), mock_alloc(m, 512, 512), 512, NEXT,
			  (uint16_t)(i + 1 == len ? 22 : 23 + i));
	mock_stage(m, 20);
}

static void offer_loop_of_empties(struct mockdrv *m, const struct mock_blk *good, uint64_t arg)
{
	(void)good;
	(void)arg;
	mock_desc(m, 20, 0, 0, NEXT, 21);
	mock_desc(m, 21, 0, 0, NEXT, 20);
	mock_stage(m, 20);
}

static void offer_loop_in_table(struct mockdrv *m, const struct mock_blk *good, uint64_t next)
{
	offer_next_in_table(m, good, next);
	mock_desc(m, 22, mock_header(m, VIRTIO_BLK_T_IN, 0), 16, NEXT, 20);
	m->avail_idx--;
	mock_stage(m, 22);
}

/* Offers `count` pieces of one byte in an indirect table, which follows a header when `normal`. */
static void offer_long(struct mockdrv *m, uint64_t count, bool normal)
{
	static struct mock_piece piece[ROWS_RING + 1];
	uint64_t bytes = mock_alloc(m, sizeof(piece), 1);
	uint16_t ref;

	memset(mock_ptr(m, bytes), 0, sizeof(piece));
	for (unsigned int i = 0; i < count; i++)
		piece[i] = (struct mock_piece){ bytes + i, 1, i + 1 == count };
	m->next_desc = 20;
	if (normal)
		mock_chain(m, (struct mock_piece[]){ { bytes, 16, false } }, 1);
	ref = mock_chain_indirect(m, 0, piece, (unsigned int)count);
	if (normal) {
		m->desc[20].flags = NEXT;
		m->desc[20].next = ref;
	}
	mock_stage(m, 20);
}

static void offer_long_table(struct mockdrv *m, const struct mock_blk *good, uint64_t count)
{
	(void)good;
	offer_long(m, count, false);
}

static void offer_long_sum(struct mockdrv *m, const struct mock_blk *good, uint64_t count)
{
	(void)good;
	offer_long(m, count, true);
}

START_TEST(row03_chain_that_loops_or_is_too_long_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "loop of one, after two others", offer_loop, 1, SPLIT_ONLY },
		{ "loop of two", offer_loop, 2, SPLIT_ONLY },
		{ "loop of seven", offer_loop, 7, SPLIT_ONLY },
		{ "loop of empty descriptors", offer_loop_of_empties, 0, SPLIT_ONLY },
		{ "loop inside an indirect table", offer_loop_in_table, 1, SPLIT_ONLY },
		{ "table with one too many", offer_long_table, ROWS_RING + 1, 0 },
		{ "one too many in ring and table together", offer_long_sum, ROWS_RING, 0 },
	};

	BREAK(cases);
}
END_TEST

static void offer_again(struct mockdrv *m, const struct mock_blk *good, uint64_t arg)
{
	(void)arg;
	mock_stage(m, good->head);
}

START_TEST(row04_head_offered_again_while_in_flight_on_every_engine)
{
	static const struct row_bad cases[] = { { "the same head twice", offer_again, 0, 0 } };

	BREAK(cases);
}
END_TEST

/* ---- buffers ---- */

/* Offers a read whose data is `len` bytes at `at`. */
static void offer_buffer(struct mockdrv *m, uint64_t at, uint32_t len)
{
	struct mock_blk req;

	m->next_desc = 20;
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 512);
	m->desc[req.head + 1].addr = at;
	m->desc[req.head + 1].len = len;
	mock_stage(m, req.head);
}

static void offer_huge(struct mockdrv *m, const struct mock_blk *good, uint64_t at)
{
	(void)good;
	offer_buffer(m, at, 0xffffffff);
}

static void offer_2_gib(struct mockdrv *m, const struct mock_blk *good, uint64_t at)
{
	(void)good;
	offer_buffer(m, at, 0x80000000);
}

static void offer_two_huge(struct mockdrv *m, const struct mock_blk *good, uint64_t at)
{
	offer_huge(m, good, at);
	m->desc[22].len = 0xffffffff;
}

START_TEST(row07_lengths_that_wrap_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "4 GiB - 1 from the start of RAM", offer_huge, MOCK_LOW, 0 },
		{ "address and length wrap to 0", offer_2_gib, -(uint64_t)0x80000000, 0 },
		{ "address and length wrap, to the first bytes", offer_2_gib, ~0ull, 0 },
		{ "the sum wraps 32 bits", offer_two_huge, MOCK_LOW, 0 },
	};

	BREAK(cases);
}
END_TEST

static void offer_sector(struct mockdrv *m, const struct mock_blk *good, uint64_t at)
{
	(void)good;
	offer_buffer(m, at, 512);
}

START_TEST(row08_buffer_outside_ram_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "in the hole", offer_sector, MOCK_HOLE + 4096, 0 },
		{ "one byte too far", offer_sector, MOCK_TOP - 511, 0 },
		{ "right after RAM", offer_sector, MOCK_TOP, 0 },
		{ "one byte too early", offer_sector, MOCK_LOW - 1, 0 },
		{ "address 0", offer_sector, 0, 0 },
		{ "the last possible addresses", offer_sector, ~0ull - 511, 0 },
		{ "an address with the sign bit", offer_sector, MOCK_LOW | 1ull << 63, 0 },
	};

	BREAK(cases);
}
END_TEST

START_TEST(row09_buffer_from_ram_into_the_hole_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "half in the hole", offer_sector, MOCK_HOLE - 256, 0 },
		{ "all but one byte in the hole", offer_sector, MOCK_HOLE - 1, 0 },
		{ "last byte in the hole", offer_sector, MOCK_HOLE - 511, 0 },
		{ "first byte in the hole", offer_sector, MOCK_FAR - 1, 0 },
	};

	BREAK(cases);
}
END_TEST

/* ---- indirect ---- */

enum table_fault {
	FINE,
	NESTED,
	WITH_NEXT,
	EMPTY,
	ODD_LEN,
	IN_HOLE,
	OVER_THE_END,
	NO_LEN_MULTIPLE
};

static void offer_table(struct mockdrv *m, const struct mock_blk *good, uint64_t fault)
{
	struct mock_blk req;

	(void)good;
	m->next_desc = 40;
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 512);
	const struct mock_piece piece[] = { { req.header, 16, false },
					    { req.data, 512, true },
					    { req.status, 1, true } };
	m->next_desc = 20;
	mock_chain_indirect(m, fault == NESTED ? mock_alloc(m, 64, 16) : 0, piece, 3);
	switch ((enum table_fault)fault) {
	case FINE:
		break;
	case NESTED: {
		struct vring_desc *first = mock_ptr(m, m->desc[20].addr);

		/* This entry is a reference to the table itself, in both formats. */
		*first = (struct vring_desc){ m->desc[20].addr, 48, INDIRECT, INDIRECT };
		break;
	}
	case WITH_NEXT:
		m->desc[20].flags |= NEXT;
		m->desc[20].next = 42;
		break;
	case EMPTY:
		m->desc[20].len = 0;
		break;
	case ODD_LEN:
		m->desc[20].len = 49;
		break;
	case NO_LEN_MULTIPLE:
		m->desc[20].len = 8;
		break;
	case IN_HOLE:
		m->desc[20].addr = MOCK_HOLE;
		break;
	case OVER_THE_END:
		m->desc[20].addr = MOCK_TOP - 47;
		break;
	}
	mock_stage(m, 20);
}

START_TEST(row10_indirect_against_the_rules_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "not negotiated", offer_table, FINE, NO_INDIRECT },
		{ "nested", offer_table, NESTED, 0 },
		{ "with a next one", offer_table, WITH_NEXT, 0 },
		{ "length 0", offer_table, EMPTY, 0 },
		{ "length 49", offer_table, ODD_LEN, 0 },
		{ "length 8", offer_table, NO_LEN_MULTIPLE, 0 },
		{ "in the hole", offer_table, IN_HOLE, 0 },
		{ "over the end of RAM", offer_table, OVER_THE_END, 0 },
	};

	BREAK(cases);
}
END_TEST

/* ---- header, status and order of a request ---- */

/* Offers a readable and a writable piece of these lengths; 0: none. */
static void offer_pieces(struct mockdrv *m, uint32_t out, uint32_t in)
{
	struct mock_piece piece[2];
	unsigned int n = 0;

	if (out)
		piece[n++] = (struct mock_piece){ mock_alloc(m, out, 1), out, false };
	if (in)
		piece[n++] = (struct mock_piece){ mock_alloc(m, in, 1), in, true };
	if (!n)
		piece[n++] = (struct mock_piece){ 0, 0, false };
	m->next_desc = 20;
	mock_stage(m, mock_chain(m, piece, n));
}

static void offer_without_status(struct mockdrv *m, const struct mock_blk *good, uint64_t out)
{
	(void)good;
	offer_pieces(m, (uint32_t)out, 0);
}

static void offer_short_header(struct mockdrv *m, const struct mock_blk *good, uint64_t out)
{
	(void)good;
	offer_pieces(m, (uint32_t)out, 513);
}

START_TEST(row06_row12_no_header_or_no_status_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "one empty descriptor", offer_without_status, 0, COMES_BACK },
		{ "header alone", offer_without_status, 16, COMES_BACK },
		{ "header and data", offer_without_status, 528, COMES_BACK },
		{ "no header", offer_short_header, 0, COMES_BACK },
		{ "a byte of header", offer_short_header, 1, COMES_BACK },
		{ "15 bytes of header", offer_short_header, 15, COMES_BACK },
	};

	BREAK(cases);
}
END_TEST

/* Offers a read of which descriptor i is writable when bit i of `writable` is set. */
static void offer_directions(struct mockdrv *m, const struct mock_blk *good, uint64_t writable)
{
	struct mock_blk req;

	(void)good;
	m->next_desc = 20;
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 512);
	for (unsigned int i = 0; i < 3; i++)
		m->desc[20 + i].flags =
			(uint16_t)((i < 2 ? NEXT : 0) | (writable >> i & 1 ? WRITE : 0));
	mock_stage(m, req.head);
}

START_TEST(row13_readable_after_writable_on_every_engine)
{
	static const struct row_bad cases[] = {
		{ "writable, readable, readable", offer_directions, 1, 0 },
		{ "readable, writable, readable", offer_directions, 2, 0 },
		{ "writable, writable, readable", offer_directions, 3, 0 },
		{ "writable, readable, writable", offer_directions, 5, 0 },
	};

	BREAK(cases);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("rows_engines_broken");
	TCase *t = tcase_create("broken");
	const int ways = rows_ways();

	/* A packed ring has no index. */
	tcase_add_named_test(t, row01_avail_index_moved_too_far_on_every_engine, engine_ways(),
			     engine_way_name);
	tcase_add_named_test(t, row02_head_or_next_outside_the_table_on_every_engine, ways,
			     rows_way_name);
	tcase_add_named_test(t, row03_chain_that_loops_or_is_too_long_on_every_engine, ways,
			     rows_way_name);
	tcase_add_named_test(t, row04_head_offered_again_while_in_flight_on_every_engine, ways,
			     rows_way_name);
	tcase_add_named_test(t, row06_row12_no_header_or_no_status_on_every_engine, ways,
			     rows_way_name);
	tcase_add_named_test(t, row07_lengths_that_wrap_on_every_engine, ways, rows_way_name);
	tcase_add_named_test(t, row08_buffer_outside_ram_on_every_engine, ways, rows_way_name);
	tcase_add_named_test(t, row09_buffer_from_ram_into_the_hole_on_every_engine, ways,
			     rows_way_name);
	tcase_add_named_test(t, row10_indirect_against_the_rules_on_every_engine, ways,
			     rows_way_name);
	tcase_add_named_test(t, row13_readable_after_writable_on_every_engine, ways, rows_way_name);
	suite_add_tcase(s, t);
	return s;
}
