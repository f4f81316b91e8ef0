/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows 5 to 19 of tests/rows/table that the device must serve, on a whole disk with every
 * engine. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

static struct disk d;
static struct mockdrv *const m = &d.m;
static bool over; /* atomic */

#define FRAME(...)                                                     \
	do {                                                           \
		static const struct row_framing cases[] = __VA_ARGS__; \
		rows_begin(&d, _i);                                    \
		rows_frame(&d, 41, cases, ARRAY_SIZE(cases));          \
		rows_end(&d, true);                                    \
	} while (0)

START_TEST(row06_empty_descriptors_on_every_engine)
{
	FRAME({ { .what = "between all pieces", .len = 4096, .piece = 512, .empties = true },
		{ .what = "in a table", .len = 512, .empties = true, .table = TABLE_ALL } });
}
END_TEST

START_TEST(row08_buffer_ends_exactly_at_the_end_of_ram_on_every_engine)
{
	FRAME({ { .what = "at the end of RAM", .len = 4096, .at = MOCK_TOP - 4096 },
		{ .what = "before the hole", .len = 512, .at = MOCK_HOLE - 512 },
		{ .what = "after the hole", .len = 4096, .at = MOCK_FAR } });
}
END_TEST

START_TEST(row09_buffer_over_two_regions_on_every_engine)
{
	FRAME({ { .what = "cut at a sector", .len = 4096, .at = MOCK_HIGH - 512 },
		{ .what = "cut anywhere", .len = 4096, .at = MOCK_HIGH - 77 },
		{ .what = "cut inside a sector of an aligned buffer",
		  .len = 128 << 10,
		  .at = MOCK_HIGH - 4096 - 8 } });
}
END_TEST

START_TEST(row11_indirect_within_the_rules_on_every_engine)
{
	FRAME({ { .what = "table", .len = 4096, .table = TABLE_ALL },
		{ .what = "unaligned", .len = 4096, .table = TABLE_ALL, .table_odd = 1 },
		{ .what = "unaligned, many",
		  .len = 8192,
		  .piece = 64,
		  .table = TABLE_ALL,
		  .table_odd = 15 },
		{ .what = "longer than the queue, the chain is not",
		  .len = 4096,
		  .table = TABLE_ALL,
		  .table_spare = BLK_QUEUE_MAX },
		{ .what = "header in the ring, the rest in a table",
		  .len = 4096,
		  .piece = 1024,
		  .table = TABLE_TAIL },
		{ .what = "WRITE on the reference",
		  .len = 4096,
		  .table = TABLE_ALL,
		  .ref_flags = WRITE },
		{ .what = "WRITE on the reference behind a header",
		  .len = 512,
		  .table = TABLE_TAIL,
		  .ref_flags = WRITE } });
}
END_TEST

START_TEST(row14_any_framing_on_every_engine)
{
	FRAME({ { .what = "header in 2", .len = 512, .header = 2 },
		{ .what = "header in 3", .len = 512, .header = 3 },
		{ .what = "header in 15", .len = 512, .header = 15 },
		{ .what = "header in 16", .len = 512, .header = 16 },
		{ .what = "data glued to header and status", .len = 512, .glued = true },
		{ .what = "header in 16, the last glued", .len = 512, .header = 16, .glued = true },
		{ .what = "one-byte pieces", .len = 512, .piece = 1 },
		{ .what = "one-byte pieces, glued, in a table",
		  .len = 512,
		  .piece = 1,
		  .glued = true,
		  .table = TABLE_ALL },
		{ .what = "pieces of 7", .len = 1024, .piece = 7, .header = 5 } });
}
END_TEST

START_TEST(row32_odd_addresses_and_lengths_on_every_engine)
{
	FRAME({ { .what = "one byte off", .len = 512, .odd = 1 },
		{ .what = "511 bytes off", .len = 4096, .odd = 511 },
		{ .what = "many segments", .len = 200 << 10, .odd = 3 },
		{ .what = "pieces of 513", .len = 16 << 10, .piece = 513, .odd = 2, .gap = 5 },
		{ .what = "aligned pieces of odd length", .len = 8192, .piece = 1000, .gap = 24 },
		{ .what = "one-byte pieces apart", .len = 512, .piece = 1, .gap = 3 } });
}
END_TEST

/* ---- requests that share descriptors ---- */

static uint32_t wait_for(uint16_t head)
{
	struct vring_used_elem elem;

	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, head);
	return elem.len;
}

static void ring(void)
{
	mock_show(m);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

START_TEST(row05_two_heads_share_a_tail_on_every_engine)
{
	struct vring_used_elem elem;
	struct mock_blk a, b;

	rows_begin(&d, _i);
	mock_forget(m);
	mock_blk(m, &a, VIRTIO_BLK_T_IN, 16, 4096);
	mock_blk(m, &b, VIRTIO_BLK_T_IN, 16, 4096);
	m->desc[b.head].next = m->desc[a.head].next;
	mock_stage(m, a.head);
	mock_stage(m, b.head);
	ring();
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.len, 4097);
	uint32_t first = elem.id;
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.len, 4097);
	ck_assert_uint_eq(first + elem.id, a.head + b.head);
	ck_assert_uint_eq(mock_status(m, &a), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(m, a.data), 16 * 512, 4096));
	ck_assert_uint_eq(mock_status(m, &b), 0xff);
	rows_end(&d, false);
}
END_TEST

/* ---- guests that rewrite requests in flight ---- */

static struct mock_blk moving;

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static void begin_change(pthread_t *thread, void *(*change)(void *))
{
	__atomic_store_n(&over, false, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_create(thread, NULL, change, NULL), 0);
}

static void end_change(pthread_t thread)
{
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* Gives up the CPU now and then, so that on a busy machine the device does not wait for time
 * slices. */
static void give_way(uint64_t i)
{
	if (i % 256 == 0)
		mock_pester();
}

/* Changes the sector between one of the disk and one beyond its end. */
static void *move_sector(void *arg)
{
	uint64_t *sector = mock_ptr(m, moving.header + 8);

	for (uint64_t i = 0; !is_over(); i++) {
		WRITE_ONCE(*sector, i % 2 ? DISK_BYTES / 512 : 24);
		give_way(i);
	}
	return arg;
}

/* Changes the data buffer between RAM and the hole, with two lengths. */
static void *move_buffer(void *arg)
{
	/* In a packed ring, the chain follows the three descriptors of the read of rows_recover. */
	struct vring_desc *ring = (struct vring_desc *)m->packed;
	struct vring_desc *desc = ring ? &ring[3 + 1] : &m->desc[moving.head + 1];

	for (uint64_t i = 0; !is_over(); i++) {
		WRITE_ONCE(desc->addr, i % 2 ? MOCK_HOLE : moving.data);
		WRITE_ONCE(desc->len, i % 3 ? 512 : 1024);
		give_way(i);
	}
	return arg;
}

#define CHANGES 300u

START_TEST(row15_header_rewritten_while_it_is_processed_on_every_engine)
{
	pthread_t guest;

	rows_begin(&d, _i);
	mock_forget(m);
	mock_blk(m, &moving, VIRTIO_BLK_T_OUT, 24, 512);
	moving.header = mock_alloc(m, 16, 16);
	memcpy(mock_ptr(m, moving.header), mock_ptr(m, m->desc[moving.head].addr), 16);
	m->desc[moving.head].addr = moving.header;
	begin_change(&guest, move_sector);
	for (unsigned int i = 0; i < CHANGES; i++) {
		mock_offer(m, moving.head);
		ck_assert_uint_eq(wait_for(moving.head), 1);
		uint8_t status = mock_status(m, &moving);
		must(status == VIRTIO_BLK_S_OK || status == VIRTIO_BLK_S_IOERR);
	}
	end_change(guest);
	ck_assert_uint_eq(image_size(&d.image), DISK_BYTES);
	rows_end(&d, true);
}
END_TEST

START_TEST(row15_descriptor_rewritten_while_it_is_processed_on_every_engine)
{
	pthread_t guest;

	rows_begin(&d, _i);
	for (unsigned int i = 0; i < CHANGES / 10; i++) {
		mock_forget(m);
		mock_blk(m, &moving, VIRTIO_BLK_T_IN, 24, 1024);
		begin_change(&guest, move_buffer);
		mock_stage(m, moving.head);
		ring();
		/* The device must serve the request or break the queue. */
		mock_wait_until(mock_has_used(m) || reg_status(&d.mmio) & ST_NEEDS_RESET);
		end_change(guest);
		if (!(reg_status(&d.mmio) & ST_NEEDS_RESET)) {
			uint32_t len = wait_for(moving.head);

			must(len == 513 || len == 1025);
			must(image_is_fresh(mock_ptr(m, moving.data), 24 * 512, len - 1));
		}
		rows_recover(&d, ROWS_RING, DISK_FEATURES | DISK_RING);
	}
	rows_end(&d, false);
}
END_TEST

/* ---- notifications ---- */

static void *flip_suppression(void *arg)
{
	for (uint16_t i = 0; !is_over(); i++) {
		give_way(i);
		if (m->ring.packed) {
			WRITE_ONCE(*m->driver_event, i * 40503u);
			continue;
		}
		WRITE_ONCE(m->avail->flags, i);
		WRITE_ONCE(*mock_used_event(m), (uint16_t)(i * 40503u));
	}
	return arg;
}

START_TEST(row16_suppression_flipped_all_the_time_on_every_engine)
{
	struct mock_blk req[8];
	struct vring_used_elem elem;
	pthread_t guest;

	rows_begin(&d, _i);
	for (unsigned int start = 0; start < 4; start++) {
		disk_bring_up(&d, ROWS_RING, DISK_FEATURES | (start % 2 ? DISK_RING : 0));
		for (unsigned int i = 0; i < 8; i++)
			mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i * 8, 4096);
		begin_change(&guest, flip_suppression);
		for (unsigned int i = 0; i < CHANGES; i++) {
			mock_stage(m, req[i % 8].head);
			if (i % 8 == 7) {
				ring();
				for (unsigned int k = 0; k < 8; k++)
					mock_wait_used(m, &elem);
			}
		}
		end_change(guest);
		for (unsigned int i = 0; i < 8; i++)
			ck_assert(image_is_fresh(mock_ptr(m, req[i].data), i * 4096, 4096));
		ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	}
	rows_end(&d, false);
}
END_TEST

#define WRAP_REQUESTS 66000u
#define WRAP_BATCH    32u

/* Each batch has one read among GET_ID requests. */
START_TEST(row18_indices_wrap_on_every_engine)
{
	struct mock_blk req[WRAP_BATCH];
	unsigned int seen[ROWS_RING] = { 0 };
	struct vring_used_elem elem;

	rows_init(&d, _i);
	d.config.serial = "wrap";
	rows_open(&d);
	disk_bring_up(&d, 128, DISK_FEATURES | (_i % 2 ? DISK_RING : 0));
	for (unsigned int i = 0; i < WRAP_BATCH; i++)
		mock_blk(m, &req[i], i ? VIRTIO_BLK_T_GET_ID : VIRTIO_BLK_T_IN, 0, 512);
	for (unsigned int done = 0; done < WRAP_REQUESTS; done += WRAP_BATCH) {
		for (unsigned int i = 0; i < WRAP_BATCH; i++)
			mock_stage(m, req[i].head);
		ring();
		for (unsigned int i = 0; i < WRAP_BATCH; i++) {
			mock_wait_used(m, &elem);
			must(elem.id % 3 == 0 && elem.id / 3 < WRAP_BATCH);
			seen[elem.id / 3]++;
		}
		for (unsigned int i = 0; i < WRAP_BATCH; i++)
			must(seen[i] == done / WRAP_BATCH + 1);
	}
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	rows_end(&d, false);
}
END_TEST

static void *kick_everything(void *arg)
{
	static const uint32_t queue[] = { 0, 1, 0, 64, 0, 0xffff, 0, 0xffffffff };

	for (unsigned int i = 0; !is_over(); i++) {
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue[i % ARRAY_SIZE(queue)]);
		give_way(i);
	}
	return arg;
}

/* The guest notifies before DRIVER_OK, while the device runs, and when the queue is broken. The
 * thread must sleep when the notifications end. */
START_TEST(row19_kick_storm_on_every_engine)
{
	struct mock_blk req;
	pthread_t guest;

	rows_init(&d, _i);
	disk_open(&d);
	begin_change(&guest, kick_everything);
	for (unsigned int i = 0; i < 20; i++) {
		rows_recover(&d, ROWS_RING, DISK_FEATURES | DISK_RING);
		for (unsigned int k = 0; k < 5; k++)
			ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, k, 512, &req, NULL),
					  VIRTIO_BLK_S_OK);
		mock_stage(m, ROWS_RING);
		mock_show(m);
		mock_wait_until(reg_status(&d.mmio) & ST_NEEDS_RESET);
		ck_assert(!mock_has_used(m));
	}
	end_change(guest);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	rows_end(&d, false);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("rows_engines_works");
	TCase *t = tcase_create("works");
	const int n = rows_ways();

	tcase_add_named_test(t, row05_two_heads_share_a_tail_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row06_empty_descriptors_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row08_buffer_ends_exactly_at_the_end_of_ram_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row09_buffer_over_two_regions_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row11_indirect_within_the_rules_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row14_any_framing_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row15_header_rewritten_while_it_is_processed_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row15_descriptor_rewritten_while_it_is_processed_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row16_suppression_flipped_all_the_time_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row18_indices_wrap_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row19_kick_storm_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row32_odd_addresses_and_lengths_on_every_engine, n, rows_way_name);
	suite_add_tcase(s, t);
	return s;
}
