/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of VIRTIO_F_RING_RESET (2.6.1): one queue stops, changes and restarts while the others
 * continue; in both ring formats, with and without IN_ORDER.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "dataplane/blkplane.h"
#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/queues.h"
#include "tests/lib/suite.h"

#define QUEUES	    2u
#define RING	    QUEUES_RING
#define QUEUE_RESET 0x0c0

static struct disk d;
static struct mockdrv q[QUEUES];
static struct queues_batch batch[QUEUES];
static uint64_t features; /* features of the combination, without RING_RESET */

#define RESET BIT64(VIRTIO_F_RING_RESET)

/* ---- a start that fails ---- */

static int start_error;

int __real_blkplane_start(struct blkplane **plane, const struct blkplane_config *config);
int __wrap_blkplane_start(struct blkplane **plane, const struct blkplane_config *config);

int __wrap_blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	return start_error ? start_error : __real_blkplane_start(plane, config);
}

/* ---- a driver ---- */

/* Lays out an empty ring, at another place each time. */
static void lay_out(unsigned int queue, uint16_t size)
{
	static unsigned int moved;

	disk_queue(&d, &q[queue], queue, 1 + queue + QUEUES * (++moved % 3), size, features);
}

static bool packed(void)
{
	return features & BIT64(VIRTIO_F_RING_PACKED);
}

static bool in_order(void)
{
	return features & BIT64(VIRTIO_F_IN_ORDER);
}

/* Opens a disk for a combination of engine and format, and brings up all queues. */
static void begin(int way, uint64_t reset)
{
	int engine = way / QUEUES_FORMATS;

	features = QUEUES_FEATURES | queues_format(way % QUEUES_FORMATS);
	queues_init(&d, engine_way(2 * engine).engine, QUEUES);
	d.config.iothreads = 1 + (unsigned int)engine % 2;
	disk_open(&d);
	queues_bring_up(&d, q, QUEUES_ALL(QUEUES), features | reset);
}

static void reset_queue(unsigned int queue)
{
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, queue);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	/* The reset has ended when the write returns. */
	ck_assert_uint_eq(reg_get(&d.mmio, QUEUE_RESET), 0);
}

static bool is_ready(unsigned int queue)
{
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, queue);
	return reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_READY);
}

static void read_on(unsigned int queue)
{
	queues_read(&d, q, 1u << queue);
}

static void offer_on(unsigned int queue, unsigned int round)
{
	queues_offer(&q[queue], &batch[queue], round);
	mock_kick(&q[queue]);
}

/* Takes used elements; with `all`, waits for the whole batch. */
static unsigned int take_on(unsigned int queue, bool all)
{
	return queues_take(&q[queue], &batch[queue], in_order(), all);
}

/* Each ring has another size and place than the one before. Requests in flight are drained before
 * the write returns. */
START_TEST(one_queue_is_reset_and_set_up_again)
{
	static const uint16_t sizes[][4] = { { 64, 4, 32, 16 }, { 63, 5, 33, 16 } };
	static uint8_t before[0x10000]; /* the memory of a ring */

	begin(_i, RESET);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes[0]); i++) {
		unsigned int n = i % QUEUES;

		read_on(0);
		read_on(1);
		offer_on(n, i);
		offer_on(1 - n, i);
		reset_queue(n);
		take_on(n, false);
		memcpy(before, mock_ptr(&q[n], q[n].base), sizeof(before));
		ck_assert(!is_ready(n));
		ck_assert_uint_eq(d.dev->queue[n].size, 0);
		ck_assert_uint_eq(d.dev->queue[n].desc | d.dev->queue[n].avail |
					  d.dev->queue[n].used,
				  0);
		ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), 64);
		/* A notification of the queue has no effect. The other queue works. */
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, n);
		take_on(1 - n, true);
		for (unsigned int k = 0; k < 3; k++)
			read_on(1 - n);
		ck_assert_mem_eq(before, mock_ptr(&q[n], q[n].base), sizeof(before));
		lay_out(n, sizes[packed()][i]);
		ck_assert(reg_queue_n(&d.mmio, n, &q[n].ring));
		ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	}
	read_on(0);
	read_on(1);
	reg_bring_up(&d.mmio, &d.m, RING, DISK_FEATURES);
	disk_fini(&d);
}
END_TEST

/* Requests an interrupt for the first used element, and overwrites avail_event. */
static void prepare_events(struct mockdrv *m)
{
	const struct mock_place first = { .at = 0, .wrap = true };

	if (packed())
		*m->driver_event = mock_packed_event(first);
	else
		*(uint16_t *)&m->used->ring[RING] = 0x7777;
}

/* True when the device requests a notification of the first entry. */
static bool requests_the_first(const struct mockdrv *m)
{
	const struct mock_place first = { .at = 0, .wrap = true };

	return packed() ? READ_ONCE(*m->device_event) == mock_packed_event(first)
			: mock_avail_event(m) == 0;
}

/* Positions, wrap counters and events start again, after a reset at any position of the ring. */
START_TEST(ring_that_was_reset_starts_again)
{
	begin(_i, RESET);
	for (unsigned int reads = 0; reads < 10; reads++) {
		reset_queue(0);
		mock_irqs(&d.m);
		lay_out(0, RING);
		prepare_events(&q[0]);
		ck_assert(reg_queue(&d.mmio, &q[0].ring));
		mock_wait_until(requests_the_first(&q[0]));
		for (unsigned int i = 0; i < reads; i++)
			read_on(0);
		reset_queue(0);
		ck_assert_uint_eq(mock_irqs(&d.m), reads > 0);
	}
	disk_fini(&d);
}
END_TEST

/* While the thread waits until the eventfd of the reset queue is no longer watched, completions of
 * the other queue arrive. */
START_TEST(completions_during_the_reset_of_another_queue_are_lost)
{
	begin(_i, RESET);
	for (unsigned int i = 0; i < 100; i++) {
		/* The queue that was started last is served first in a turn. */
		unsigned int n = i % QUEUES;

		offer_on(n, i);
		offer_on(1 - n, i);
		reset_queue(n);
		take_on(1 - n, true);
		lay_out(n, RING);
		ck_assert(reg_queue_n(&d.mmio, n, &q[n].ring));
	}
	disk_fini(&d);
}
END_TEST

static bool enough;

static void *work_on_the_other(void *arg)
{
	for (unsigned int i = 0; !LOAD_ACQUIRE(enough); i++) {
		offer_on(1, i);
		take_on(1, true);
	}
	return arg;
}

START_TEST(one_queue_is_reset_repeatedly_while_the_other_works)
{
	static const uint16_t sizes[][4] = { { 64, 4, 16, 8 }, { 64, 3, 17, 7 } };
	pthread_t thread;

	begin(_i, RESET);
	ck_assert_int_eq(pthread_create(&thread, NULL, work_on_the_other, NULL), 0);
	for (unsigned int i = 0; i < 50; i++) {
		unsigned int n;

		offer_on(0, i);
		reset_queue(0);
		n = take_on(0, false);
		ck_assert_uint_le(n, QUEUES_DEPTH);
		lay_out(0, sizes[packed()][i % 4]);
		ck_assert(reg_queue(&d.mmio, &q[0].ring));
		offer_on(0, i);
		take_on(0, true);
	}
	STORE_RELEASE(enough, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	disk_fini(&d);
}
END_TEST

/* QueueReset has no effect without the feature, before FEATURES_OK, and with other values than
 * 1. */
START_TEST(row21_queue_reset_without_effect)
{
	begin(_i, 0);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	ck_assert(is_ready(0));
	read_on(0);

	reg_set_status(&d.mmio, 0);
	reg_set_status(&d.mmio, ST_ACK);
	reg_set_status(&d.mmio, ST_DRIVER);
	reg_accept(&d.mmio, features | RESET);
	lay_out(0, RING);
	ck_assert(reg_queue(&d.mmio, &q[0].ring));
	reg_set(&d.mmio, QUEUE_RESET, 1);
	ck_assert(is_ready(0));
	reg_set_status(&d.mmio, ST_FEATURES_OK);
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	reg_set(&d.mmio, QUEUE_RESET, 0);
	reg_set(&d.mmio, QUEUE_RESET, 2);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, QUEUES);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	ck_assert(is_ready(0));
	read_on(0);
	disk_fini(&d);
}
END_TEST

/* The registers can be written from the reset until the queue is ready. */
START_TEST(row21_registers_of_a_queue_that_was_reset)
{
	begin(_i, RESET);
	for (unsigned int round = 0; round < 2; round++) {
		reset_queue(0);
		reset_queue(0);
		lay_out(0, RING);
		/* The queue does not become ready with an invalid ring (row 20), but with a valid
		 * one afterwards. */
		q[0].ring.size = packed() ? 65 : 12;
		ck_assert(!reg_queue(&d.mmio, &q[0].ring));
		q[0].ring.size = RING;
		q[0].ring.desc += 8;
		ck_assert(!reg_queue(&d.mmio, &q[0].ring));
		q[0].ring.desc -= 8;
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 0);
		ck_assert(reg_queue(&d.mmio, &q[0].ring));

		struct virtio_queue before = d.dev->queue[0];
		for (uint64_t offset = VIRTIO_MMIO_QUEUE_DESC_LOW; offset < 0xb0; offset += 4)
			reg_set(&d.mmio, offset, 0x1000);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NUM, 4);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 0);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 1);
		ck_assert_mem_eq(&before, &d.dev->queue[0], sizeof(before));
		read_on(0);
		read_on(1);
	}
	disk_fini(&d);
}
END_TEST

/* Both queues are reset before DRIVER_OK. One is started with the device, and one later. */
START_TEST(reset_before_the_device_runs)
{
	begin(_i, RESET);
	reg_set_status(&d.mmio, 0);
	ck_assert(reg_negotiate(&d.mmio, features | RESET));
	for (unsigned int i = 0; i < QUEUES; i++) {
		lay_out(i, RING);
		ck_assert(reg_queue_n(&d.mmio, i, &q[i].ring));
		reset_queue(i);
		ck_assert(!is_ready(i));
	}
	ck_assert(reg_queue(&d.mmio, &q[0].ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	/* QueueReady has no effect on the queue that runs. */
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	read_on(0);
	ck_assert(reg_queue_n(&d.mmio, 1, &q[1].ring));
	read_on(1);
	disk_fini(&d);
}
END_TEST

/* The queue works again. NEEDS_RESET stays set until the device is reset. */
START_TEST(reset_of_a_broken_queue)
{
	begin(_i, RESET);
	for (unsigned int i = 0; i < 3; i++) {
		mock_stage(&q[0], RING);
		mock_show(&q[0]);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		mock_wait_until(reg_status(&d.mmio) & ST_NEEDS_RESET);
		reset_queue(0);
		lay_out(0, RING);
		ck_assert(reg_queue(&d.mmio, &q[0].ring));
		read_on(0);
		read_on(1);
	}
	ck_assert(reg_status(&d.mmio) & ST_NEEDS_RESET);
	disk_fini(&d);
}
END_TEST

START_TEST(host_cannot_start_the_queue_again)
{
	begin(_i, RESET);
	reset_queue(0);
	lay_out(0, RING);
	start_error = -ENOMEM;
	reg_queue(&d.mmio, &q[0].ring);
	start_error = 0;
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	ck_assert(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS) & IRQLINE_CONFIG);
	read_on(1);
	/* The next attempt succeeds. */
	reset_queue(0);
	lay_out(0, RING);
	ck_assert(reg_queue(&d.mmio, &q[0].ring));
	read_on(0);
	disk_fini(&d);
}
END_TEST

/* When one queue fails to start, the others are stopped again. */
START_TEST(host_cannot_start_one_of_the_queues)
{
	begin(_i, 0);
	for (unsigned int i = 0; i <= QUEUES; i++) {
		reg_set_status(&d.mmio, 0);
		ck_assert(reg_negotiate(&d.mmio, features));
		for (unsigned int n = 0; n < QUEUES; n++) {
			lay_out(n, RING);
			ck_assert(reg_queue_n(&d.mmio, n, &q[n].ring));
		}
		/* The ring becomes invalid between QueueReady and DRIVER_OK. */
		if (i < QUEUES)
			d.dev->queue[i].used = MOCK_HOLE;
		reg_set_status(&d.mmio, ST_DRIVER_OK);
		ck_assert_uint_eq(reg_status(&d.mmio),
				  ST_DRIVER_OK | (i < QUEUES ? ST_NEEDS_RESET : 0));
	}
	read_on(0);
	read_on(1);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_ring_reset");
	TCase *t = tcase_create("blk_ring_reset");
	const int n = queues_ways();

	tcase_add_named_test(t, one_queue_is_reset_and_set_up_again, n, queues_way_name);
	tcase_add_named_test(t, ring_that_was_reset_starts_again, n, queues_way_name);
	tcase_add_named_test(t, completions_during_the_reset_of_another_queue_are_lost, n,
			     queues_way_name);
	tcase_add_named_test(t, one_queue_is_reset_repeatedly_while_the_other_works, n,
			     queues_way_name);
	tcase_add_named_test(t, row21_queue_reset_without_effect, n, queues_way_name);
	tcase_add_named_test(t, row21_registers_of_a_queue_that_was_reset, n, queues_way_name);
	tcase_add_named_test(t, reset_before_the_device_runs, n, queues_way_name);
	tcase_add_named_test(t, reset_of_a_broken_queue, n, queues_way_name);
	tcase_add_named_test(t, host_cannot_start_the_queue_again, n, queues_way_name);
	tcase_add_named_test(t, host_cannot_start_one_of_the_queues, n, queues_way_name);
	suite_add_tcase(s, t);
	return s;
}
