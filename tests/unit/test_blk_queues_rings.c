/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests that the rings of several queues are independent, in all formats and with every engine. */
#include "dataplane/blkplane.h"
#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/queues.h"
#include "tests/lib/suite.h"

#define QUEUES 4u
#define ALL    QUEUES_ALL(QUEUES)

static struct disk d;
static struct mockdrv q[QUEUES];
static uint64_t format;

/* Opens a disk for a combination of engine and format. */
static void begin(int way, unsigned int threads)
{
	format = queues_format(way % QUEUES_FORMATS);
	queues_init(&d, engine_way(way / QUEUES_FORMATS * 2).engine, QUEUES);
	d.config.iothreads = threads;
	disk_open(&d);
}

static void bring_up(unsigned int ready)
{
	queues_bring_up(&d, q, ready, QUEUES_FEATURES | format);
}

static void read_on(unsigned int which)
{
	queues_read(&d, q, which);
}

START_TEST(only_some_queues_are_ready)
{
	begin(_i, 2);
	for (unsigned int ready = 1; ready <= ALL; ready += 2) {
		bring_up(ready);
		read_on(ready);
		for (unsigned int i = 0; i < QUEUES; i++)
			reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, i);
		read_on(ready);
	}
	disk_fini(&d);
}
END_TEST

/* All queues have requests that need no I/O among reads. */
START_TEST(each_queue_has_an_order_of_its_own)
{
	struct queues_batch batch[QUEUES];

	begin(_i, 2);
	bring_up(ALL);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < QUEUES; i++) {
			queues_offer(&q[i], &batch[i], round + i);
			mock_kick(&q[i]);
		}
		for (unsigned int i = 0; i < QUEUES; i++)
			queues_take(&q[i], &batch[i], format & BIT64(VIRTIO_F_IN_ORDER), true);
	}
	disk_fini(&d);
}
END_TEST

START_TEST(row19_kick_of_queues_that_do_not_exist_beside_several)
{
	begin(_i, 1);
	bring_up(ALL);
	for (unsigned int i = QUEUES; i < 100; i++)
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, i * 0x10001);
	read_on(ALL);
	disk_fini(&d);
}
END_TEST

/* The broken queue has a thread of its own, or shares one with others. */
START_TEST(row02_a_broken_queue_leaves_the_others_alone)
{
	struct mock_blk req;

	for (unsigned int threads = 1; threads <= QUEUES; threads++) {
		begin(_i, threads);
		bring_up(ALL);
		mock_stage(&q[2], QUEUES_RING);
		mock_show(&q[2]);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
		mock_wait_until(reg_status(&d.mmio) & ST_NEEDS_RESET);
		for (unsigned int i = 0; i < 10; i++)
			read_on(ALL & ~(1u << 2));
		/* The queue stays broken. */
		mock_blk(&q[2], &req, VIRTIO_BLK_T_GET_ID, 0, 20);
		mock_stage(&q[2], req.head);
		mock_show(&q[2]);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
		read_on(ALL & ~(1u << 2));
		ck_assert_uint_eq(mock_status(&q[2], &req), 0xff);
		bring_up(ALL);
		read_on(ALL);
		disk_fini(&d);
	}
}
END_TEST

START_TEST(each_queue_has_counters_of_its_own)
{
	struct blkplane_latency latency;
	struct blkplane_stats stats;

	begin(_i, 1);
	ck_assert(!blk_latency(d.blk, 0, &latency));
	/* A reset does not clear the counters. */
	for (unsigned int start = 1; start <= 2; start++) {
		bring_up(ALL);
		for (unsigned int i = 0; i < 3; i++)
			read_on(1u << 1 | 1u << 3);
		for (unsigned int i = 0; i < QUEUES; i++) {
			blk_stats(d.blk, i, &stats);
			ck_assert_uint_eq(stats.requests, i % 2 ? 3 * start : 0);
			ck_assert_uint_eq(stats.batches, stats.requests);
			ck_assert_uint_le(stats.interrupts, stats.requests);
		}
	}
	disk_fini(&d);
}
END_TEST

START_TEST(each_queue_has_times_of_its_own)
{
	struct blkplane_latency latency;

	queues_init(&d, BLK_ENGINE_SYNC, QUEUES);
	d.config.stats = true;
	disk_open(&d);
	format = queues_format(0);
	bring_up(ALL);
	read_on(1u << 1);
	read_on(1u << 1);
	bring_up(ALL);
	for (unsigned int i = 0; i < QUEUES; i++) {
		ck_assert(blk_latency(d.blk, i, &latency));
		ck_assert_uint_eq(latency_count(&latency.engine[IO_READ]), i == 1 ? 2 : 0);
		ck_assert_uint_eq(latency_count(&latency.ring), i == 1 ? 2 : 0);
	}
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_queues_rings");
	TCase *t = tcase_create("blk_queues_rings");
	const int ways = queues_ways();

	tcase_add_named_test(t, only_some_queues_are_ready, ways, queues_way_name);
	tcase_add_named_test(t, each_queue_has_an_order_of_its_own, ways, queues_way_name);
	tcase_add_named_test(t, row19_kick_of_queues_that_do_not_exist_beside_several, ways,
			     queues_way_name);
	tcase_add_named_test(t, row02_a_broken_queue_leaves_the_others_alone, ways,
			     queues_way_name);
	tcase_add_named_test(t, each_queue_has_counters_of_its_own, ways, queues_way_name);
	suite_add_tcase(s, t);
	tcase_add_test(t, each_queue_has_times_of_its_own);
	return s;
}
