/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of start and reset of a disk under load, many times and from several vCPUs. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

static struct disk d;
static struct mockdrv *const m = &d.m;
static bool over; /* atomic */

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static void set_over(void)
{
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
}

/* Waits until there are no more threads than before, except for one that the thread sanitizer may
 * have started. A thread that was joined may still be ending. */
static void expect_threads(unsigned int before)
{
	mock_wait_until(count_threads() <= before + 1);
}

/* Returns the features of start i: both ring formats, with and without the other ring features. */
static uint64_t features_of_start(unsigned int i)
{
	return DISK_FEATURES | (i % 2 ? DISK_RING : 0) |
	       (i / 2 % 2 ? BIT64(VIRTIO_F_RING_PACKED) : 0);
}

START_TEST(row27_a_thousand_starts_leak_nothing)
{
	struct mock_blk req;

	disk_init(&d, BLK_ENGINE_LIBAIO);
	d.config.packed = true;
	disk_open(&d);
	/* Thread and engine are created at the first start, and kept. */
	reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
	reg_set_status(&d.mmio, 0);
	unsigned int fds = count_fds(), threads = count_threads();
	for (unsigned int i = 0; i < 1000; i++) {
		reg_bring_up(&d.mmio, m, 64, features_of_start(i));
		if (i % 9 == 0)
			ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL),
					  VIRTIO_BLK_S_OK);
		reg_set_status(&d.mmio, 0);
		ck_assert_uint_eq(reg_status(&d.mmio), 0);
	}
	ck_assert_uint_eq(count_fds(), fds);
	expect_threads(threads);
	disk_fini(&d);
}
END_TEST

#define IN_FLIGHT 20
#define BIG	  (64u << 10)

/*
 * The guest resets the disk with reads in flight, and uses their memory for something else at once.
 * The device must not write to it any more.
 */
START_TEST(row26_reset_with_io_in_flight_on_every_engine)
{
	rows_init(&d, _i);
	disk_open(&d);
	for (unsigned int round = 0; round < 16; round++) {
		struct mock_blk req;
		uint64_t from;

		disk_bring_up(&d, 64, DISK_FEATURES | (round % 2 ? DISK_RING : 0));
		from = m->heap;
		for (unsigned int i = 0; i < IN_FLIGHT; i++) {
			mock_blk(m, &req, VIRTIO_BLK_T_IN, i * 50, BIG);
			mock_stage(m, req.head);
		}
		mock_show(m);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		if (round % 4)
			mock_wait_until(mock_has_used(m) ||
					READ_ONCE(*(uint8_t *)mock_ptr(m, req.data)) != 0xee);
		reg_set_status(&d.mmio, 0);
		ck_assert_uint_eq(reg_status(&d.mmio), 0);

		mock_irqs(m);
		memset(mock_ptr(m, m->ring.desc), 0x77, from - m->ring.desc);
		memset(mock_ptr(m, from), 0x77, m->heap - from);
		for (unsigned int i = 0; i < 500; i++) {
			sched_yield();
			mock_kick(m);
		}
		ck_assert(all_bytes(mock_ptr(m, m->ring.desc), 0x77, m->heap - m->ring.desc));
		ck_assert_uint_eq(mock_irqs(m), 0);
		ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	}
	/* blk_destroy waits for requests that the kernel still has. */
	ck_assert_int_eq(disk_close(&d), 0);
	ck_assert(all_bytes(mock_ptr(m, m->ring.desc), 0x77, m->heap - m->ring.desc));
	disk_fini(&d);
}
END_TEST

/* Returns the number of AIO completion rings that are mapped in this process. */
static unsigned int count_aio_rings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned int n = 0;
	char line[512];

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, "[aio]") != NULL;
	fclose(file);
	return n;
}

START_TEST(destroyed_disks_leave_no_aio_context)
{
	for (unsigned int i = 0; i < 3; i++) {
		disk_init(&d, BLK_ENGINE_LIBAIO);
		disk_open(&d);
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(count_aio_rings(), 1);
		disk_fini(&d);
		ck_assert_uint_eq(count_aio_rings(), 0);
	}
}
END_TEST

/* ---- two vCPUs ---- */

#define STARTS 300

static unsigned int failures; /* atomic */

/* A vCPU that takes the device through all steps and resets it, in whatever state the other vCPU
 * has left it. */
static void *start_and_reset(void *arg)
{
	struct vring_config ring = m->ring;

	for (unsigned int i = 0; i < STARTS; i++) {
		reg_set_status(&d.mmio, 0);
		reg_negotiate(&d.mmio, DISK_FEATURES | (i % 3 ? DISK_RING : 0) | d.format);
		reg_queue(&d.mmio, &ring);
		reg_set_status(&d.mmio, ST_DRIVER_OK);
		uint32_t status = reg_status(&d.mmio);
		if (status & ~(uint32_t)(ST_DRIVER_OK | ST_NEEDS_RESET))
			__atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST);
		reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS);
		reg_set(&d.mmio, VIRTIO_MMIO_INTERRUPT_ACK, i);
	}
	return arg;
}

/* A third vCPU, which notifies, and makes existing chains available. */
static void *kick(void *arg)
{
	uint16_t idx = 0;

	while (!is_over()) {
		if (m->ring.packed)
			m->packed[idx].flags ^= MOCK_BOTH;
		else
			WRITE_ONCE(m->avail->idx, idx);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		idx = (uint16_t)(idx + 1) % 8;
	}
	return arg;
}

START_TEST(row27_reset_and_activate_from_two_vcpus_on_every_engine)
{
	pthread_t vcpu[2], kicker;
	struct mock_blk req;

	rows_init(&d, _i);
	disk_open(&d);
	/* Thread and engine are created at the first start, and kept. */
	disk_bring_up(&d, 64, DISK_FEATURES);
	reg_set_status(&d.mmio, 0);
	unsigned int fds = count_fds(), threads = count_threads();

	for (unsigned int i = 0; i < 16; i++) {
		mock_blk(m, &req, i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_GET_ID, i, 512);
		mock_stage(m, req.head);
	}
	ck_assert_int_eq(pthread_create(&kicker, NULL, kick, NULL), 0);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&vcpu[i], NULL, start_and_reset, NULL), 0);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(vcpu[i], NULL);
	set_over();
	pthread_join(kicker, NULL);
	ck_assert_uint_eq(__atomic_load_n(&failures, __ATOMIC_SEQ_CST), 0);

	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(count_fds(), fds);
	expect_threads(threads);
	disk_bring_up(&d, 64, DISK_FEATURES);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL), VIRTIO_BLK_S_OK);
	disk_fini(&d);
}
END_TEST

/* ---- notifications before DRIVER_OK ---- */

START_TEST(row19_kicks_before_driver_ok)
{
	uint64_t features = DISK_FEATURES | (_i ? BIT64(VIRTIO_F_RING_PACKED) : 0);
	struct vring_used_elem elem;
	struct mock_blk req;

	disk_init(&d, BLK_ENGINE_LIBAIO);
	d.config.packed = true;
	disk_open(&d);
	reg_ring(m, 64, features);
	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	for (unsigned int i = 0; i < 20; i++)
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert(reg_negotiate(&d.mmio, features));
	ck_assert(reg_queue(&d.mmio, &m->ring));
	mock_offer(m, req.head);
	sched_yield();
	ck_assert_uint_eq(mock_status(m, &req), 0xff);
	ck_assert(!mock_has_used(m));
	/* At DRIVER_OK, requests from before are served once, without a notification. */
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	mock_wait_used(m, &elem);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(mock_irqs(m), 1);
	disk_fini(&d);
}
END_TEST

/* The VM ends with requests in flight. Writes that were completed are in the file. */
START_TEST(destroy_drains_and_flushes)
{
	static uint8_t bytes[4096];
	struct mock_blk req[16];

	disk_init(&d, BLK_ENGINE_LIBAIO);
	d.config.packed = true;
	disk_open(&d);
	reg_bring_up(&d.mmio, m, 64, DISK_FEATURES | (_i ? BIT64(VIRTIO_F_RING_PACKED) : 0));
	for (unsigned int i = 0; i < 16; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_OUT, i * 8, 4096);
		memset(mock_ptr(m, req[i].data), (int)i, 4096);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	mock_wait_until(mock_has_used(m));
	ck_assert_int_eq(disk_close(&d), 0);
	for (unsigned int i = 0; i < 16; i++) {
		uint8_t status = mock_status(m, &req[i]);

		ck_assert(status == VIRTIO_BLK_S_OK || status == 0xff);
		image_peek(&d.image, bytes, i * 4096, 4096);
		if (status == VIRTIO_BLK_S_OK)
			ck_assert(all_bytes(bytes, (int)i, 4096));
		else
			ck_assert(image_is_fresh(bytes, i * 4096, 4096));
	}
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_life");
	TCase *t = tcase_create("blk_life");

	tcase_add_test(t, row27_a_thousand_starts_leak_nothing);
	tcase_add_named_test(t, row26_reset_with_io_in_flight_on_every_engine, rows_ways(),
			     rows_way_name);
	tcase_add_test(t, destroyed_disks_leave_no_aio_context);
	tcase_add_named_test(t, row27_reset_and_activate_from_two_vcpus_on_every_engine,
			     rows_ways(), rows_way_name);
	tcase_add_named_test(t, row19_kicks_before_driver_ok, 2, mock_format_name);
	tcase_add_named_test(t, destroy_drains_and_flushes, 2, mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
