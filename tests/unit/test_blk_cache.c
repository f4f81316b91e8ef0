/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the write cache as a driver sees and changes it (5.2.5, 5.2.6.2). Linked with --wrap:
 * the test counts the writes and flushes of all engines.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/capture.h"
#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"
#include "tests/unit/written.h"

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

#define QUEUE_RESET 0x0c0
#define WCE	    (VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce))
#define BOTH	    (DISK_FEATURES | BIT64(VIRTIO_BLK_F_CONFIG_WCE))

static struct disk d;
static struct mockdrv *const m = &d.m;
static unsigned int flushes;	    /* atomic: number of fdatasync calls */
static int flush_error;		    /* atomic: error of fdatasync; 0: the real call is made */
static int wce_while_flushing = -1; /* atomic: wce during the last fdatasync */

int __wrap_fdatasync(int fd)
{
	const struct virtio_blk_config *space =
		(const struct virtio_blk_config *)d.dev->regpage->config;

	__atomic_fetch_add(&flushes, 1, __ATOMIC_SEQ_CST);
	WRITE_ONCE(wce_while_flushing, READ_ONCE(space->wce));
	if (READ_ONCE(flush_error)) {
		errno = flush_error;
		return -1;
	}
	return __real_fdatasync(fd);
}

static void begin(int way, bool writethrough, uint64_t features)
{
	rows_init(&d, way);
	d.config.writethrough = writethrough;
	disk_open(&d);
	reg_bring_up(&d.mmio, m, ROWS_RING, features);
}

static uint8_t wce(void)
{
	uint8_t byte = 0x5a;

	virtio_mmio_read(&d.mmio, WCE, &byte, 1);
	return byte;
}

static void set_wce(uint8_t byte)
{
	virtio_mmio_write(&d.mmio, WCE, &byte, 1);
}

/* Writes the byte. Returns the number of flushes that this caused. */
static unsigned int flushes_of(uint8_t byte)
{
	unsigned int before = READ_ONCE(flushes);

	set_wce(byte);
	return READ_ONCE(flushes) - before;
}

/* Makes a write. Returns whether it was a stable one. */
static bool write_is_stable(void)
{
	struct mock_blk req;

	WRITE_ONCE(stable, 0);
	WRITE_ONCE(others, 0);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 16, 4096, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(READ_ONCE(stable) + READ_ONCE(others), 1);
	return READ_ONCE(stable);
}

START_TEST(row29_wce_toggled_between_writes_and_reset_on_every_engine)
{
	/* Only bit 0 has a meaning. */
	static const struct {
		uint8_t value;
		unsigned int flushes;
		uint8_t is;
	} steps[] = { { 1, 0, 1 },    { 0, 1, 0 },    { 0, 0, 0 }, { 0xfe, 0, 0 }, { 0xff, 0, 1 },
		      { 0x81, 0, 1 }, { 0x80, 1, 0 }, { 2, 0, 0 }, { 3, 0, 1 },	   { 0, 1, 0 } };

	begin(_i, false, BOTH);
	ck_assert_uint_eq(wce(), 1);
	ck_assert(!write_is_stable());
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		ck_assert_uint_eq(flushes_of(steps[i].value), steps[i].flushes);
		ck_assert_uint_eq(wce(), steps[i].is);
		/* wce is 1 until the flush has ended. */
		ck_assert_int_eq(READ_ONCE(wce_while_flushing), steps[i].flushes || i ? 1 : -1);
		ck_assert_int_eq(write_is_stable(), !steps[i].is);
	}
	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(wce(), 1);
	reg_bring_up(&d.mmio, m, ROWS_RING, BOTH);
	ck_assert_uint_eq(wce(), 1);
	ck_assert(!write_is_stable());
	rows_end(&d, true);
}
END_TEST

START_TEST(row29_disk_that_begins_as_writethrough_on_every_engine)
{
	begin(_i, true, BOTH);
	ck_assert_uint_eq(wce(), 0);
	ck_assert(write_is_stable());
	ck_assert_uint_eq(flushes_of(1), 0);
	ck_assert(!write_is_stable());
	reg_bring_up(&d.mmio, m, ROWS_RING, BOTH);
	ck_assert_uint_eq(wce(), 0);
	ck_assert(write_is_stable());
	/* A driver without CONFIG_WCE gets the mode that the user chose, with FLUSH or without. */
	reg_bring_up(&d.mmio, m, ROWS_RING, DISK_FEATURES);
	ck_assert(write_is_stable());
	reg_bring_up(&d.mmio, m, ROWS_RING, DISK_PLAIN);
	ck_assert(write_is_stable());
	rows_end(&d, true);
}
END_TEST

/* Without FLUSH, writes are stable until the driver sets wce (5.2.5.2). */
START_TEST(cache_of_a_driver_without_flush)
{
	begin(_i, false, DISK_PLAIN | BIT64(VIRTIO_BLK_F_CONFIG_WCE));
	ck_assert_uint_eq(wce(), 0);
	ck_assert(write_is_stable());
	set_wce(1);
	ck_assert_uint_eq(wce(), 1);
	ck_assert(!write_is_stable());
	rows_end(&d, true);
}
END_TEST

/* Makes a write on queue n. Returns whether it was a stable one. */
static bool is_stable_on(struct mockdrv *q, unsigned int n)
{
	struct mock_blk req;
	struct vring_used_elem elem;

	WRITE_ONCE(stable, 0);
	WRITE_ONCE(others, 0);
	mock_forget(q);
	mock_blk(q, &req, VIRTIO_BLK_T_OUT, 64, 512);
	mock_stage(q, req.head);
	mock_show(q);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, n);
	mock_wait_used(q, &elem);
	ck_assert_uint_eq(mock_status(q, &req), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(READ_ONCE(stable) + READ_ONCE(others), 1);
	return READ_ONCE(stable);
}

/* The mode of all rings changes, also of a ring that is started later. The third queue is not set
 * up. */
START_TEST(row29_all_queues_on_every_engine)
{
	const uint64_t features = BOTH | BIT64(VIRTIO_BLK_F_MQ) | BIT64(VIRTIO_F_RING_RESET);
	struct mockdrv second;

	rows_init(&d, _i);
	d.config.queues = 3;
	disk_open(&d);
	reg_set_status(&d.mmio, 0);
	ck_assert(reg_negotiate(&d.mmio, features));
	mock_ring(m, ROWS_RING, false, false);
	disk_queue(&d, &second, 1, 1, ROWS_RING, features);
	ck_assert(reg_queue_n(&d.mmio, 0, &m->ring));
	ck_assert(reg_queue_n(&d.mmio, 1, &second.ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	for (unsigned int i = 1; i <= 4; i++) {
		set_wce(i & 1);
		ck_assert_int_eq(is_stable_on(m, 0), !(i & 1));
		ck_assert_int_eq(is_stable_on(&second, 1), !(i & 1));
	}
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, 1);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	disk_queue(&d, &second, 1, 1, ROWS_RING, features);
	ck_assert(reg_queue_n(&d.mmio, 1, &second.ring));
	ck_assert(is_stable_on(&second, 1));
	ck_assert_int_eq(disk_close(&d), 0);
	disk_fini(&d);
}
END_TEST

/* A driver must not write wce before FEATURES_OK, nor without the feature. */
START_TEST(row29_wce_written_without_permission)
{
	begin(BLK_ENGINE_SYNC, false, DISK_FEATURES);
	ck_assert_uint_eq(flushes_of(0), 0);
	ck_assert_uint_eq(wce(), 1);
	ck_assert(!write_is_stable());

	reg_set_status(&d.mmio, 0);
	reg_accept(&d.mmio, BOTH);
	ck_assert_uint_eq(flushes_of(0), 0);
	reg_set_status(&d.mmio, ST_ACK);
	reg_set_status(&d.mmio, ST_DRIVER);
	reg_accept(&d.mmio, BOTH);
	ck_assert_uint_eq(flushes_of(0), 0);
	ck_assert_uint_eq(wce(), 1);
	/* After FEATURES_OK, the driver may write it, and the ring starts in this mode. */
	reg_set_status(&d.mmio, ST_FEATURES_OK);
	ck_assert_uint_eq(flushes_of(0), 1);
	ck_assert_uint_eq(wce(), 0);
	mock_ring(m, ROWS_RING, false, false);
	ck_assert(reg_queue(&d.mmio, &m->ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	ck_assert(write_is_stable());
	rows_end(&d, true);
}
END_TEST

/* An access at any offset and of any length changes this byte and no other. */
START_TEST(row23_row29_configuration_space_written_by_any_access)
{
	struct virtio_regpage before, now;
	uint8_t data[8];

	begin(BLK_ENGINE_SYNC, false, BOTH);
	before = *d.dev->regpage;
	for (unsigned int len = 1; len <= 8; len++) {
		for (uint64_t at = VIRTIO_MMIO_CONFIG; at < 0x210; at++) {
			bool covers = at <= WCE && WCE < at + len;

			set_wce(1);
			memset(data, 0xa5, sizeof(data));
			if (covers)
				data[WCE - at] = 0;
			virtio_mmio_write(&d.mmio, at, data, len);
			ck_assert_uint_eq(wce(), !covers);
			set_wce(1);
			now = *d.dev->regpage;
			ck_assert_mem_eq(&now, &before, sizeof(now));
		}
	}
	virtio_mmio_write(&d.mmio, ~0ull - 3, data, 8);
	ck_assert_uint_eq(wce(), 1);
	rows_end(&d, false);
}
END_TEST

/* The device sets NEEDS_RESET, because written data may be lost (2.1.2). */
START_TEST(host_flush_fails_at_the_change_to_writethrough)
{
	begin(BLK_ENGINE_SYNC, false, BOTH);
	ck_assert(!write_is_stable());
	mock_irqs(m);
	WRITE_ONCE(flush_error, EIO);
	set_wce(0);
	WRITE_ONCE(flush_error, 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	ck_assert_uint_ge(mock_irqs(m), 1);
	ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS) & IRQLINE_CONFIG,
			  IRQLINE_CONFIG);
	/* Writes are stable from here on. */
	ck_assert(write_is_stable());

	/* Before DRIVER_OK, the driver reads the status, and gets no interrupt. */
	reg_set_status(&d.mmio, 0);
	mock_irqs(m);
	ck_assert(reg_negotiate(&d.mmio, BOTH));
	WRITE_ONCE(flush_error, EIO);
	set_wce(0);
	WRITE_ONCE(flush_error, 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_FEATURES_OK | ST_NEEDS_RESET);
	ck_assert_uint_eq(mock_irqs(m), 0);
	rows_end(&d, true);
}
END_TEST

START_TEST(guest_floods_the_log_with_changes_that_fail)
{
	unsigned int lines;

	begin(BLK_ENGINE_SYNC, false, BOTH);
	capture_begin();
	WRITE_ONCE(flush_error, EIO);
	for (unsigned int i = 0; i < 200; i++)
		set_wce((uint8_t)i);
	WRITE_ONCE(flush_error, 0);
	capture_end();
	lines = capture_count("\n");
	ck_assert_uint_ge(lines, LOG_BURST);
	/* Several periods may have ended meanwhile. */
	ck_assert_uint_le(lines, 50);
	rows_end(&d, false);
}
END_TEST

/* ---- from several vCPUs at once ---- */

#define TOGGLES 200

static bool over; /* atomic */

static void *toggle(void *arg)
{
	for (unsigned int i = 0; i < TOGGLES; i++) {
		set_wce((uint8_t)i);
		if (wce() > 1)
			return arg; /* not NULL: a wrong value was read */
	}
	return NULL;
}

static void *reset_now_and_then(void *arg)
{
	struct vring_config ring = m->ring;

	while (!READ_ONCE(over)) {
		reg_set_status(&d.mmio, 0);
		reg_negotiate(&d.mmio, BOTH | DISK_RING);
		reg_queue(&d.mmio, &ring);
		reg_set_status(&d.mmio, ST_DRIVER_OK);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	}
	return arg;
}

START_TEST(row29_flood_of_wce_changes_beside_writes_on_every_engine)
{
	pthread_t vcpu[2];
	struct mock_blk req;
	void *bad;

	begin(_i, false, BOTH | DISK_RING);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&vcpu[i], NULL, toggle, &over), 0);
	for (unsigned int i = 0; i < TOGGLES; i++)
		must(disk_do(&d, VIRTIO_BLK_T_OUT, 64 + i, 512, &req, NULL) == VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(vcpu[i], &bad);
		ck_assert_ptr_null(bad);
	}
	set_wce(0);
	ck_assert(write_is_stable());
	rows_end(&d, true);
}
END_TEST

START_TEST(row27_row29_wce_changes_beside_resets_on_every_engine)
{
	pthread_t vcpu[2], resetter;
	struct mock_blk req;

	begin(_i, false, BOTH);
	for (unsigned int i = 0; i < 16; i++) {
		mock_blk(m, &req, i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH, 64 + i,
			 i % 2 * 512);
		mock_stage(m, req.head);
	}
	mock_show(m);
	ck_assert_int_eq(pthread_create(&resetter, NULL, reset_now_and_then, NULL), 0);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&vcpu[i], NULL, toggle, &over), 0);
	for (unsigned int i = 0; i < 2; i++) {
		void *bad;

		pthread_join(vcpu[i], &bad);
		ck_assert_ptr_null(bad);
	}
	WRITE_ONCE(over, true);
	pthread_join(resetter, NULL);
	rows_end(&d, true);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_cache");
	TCase *t = tcase_create("blk_cache");
	const int n = engine_ways();

	tcase_add_named_test(t, row29_wce_toggled_between_writes_and_reset_on_every_engine, n,
			     engine_way_name);
	tcase_add_named_test(t, row29_disk_that_begins_as_writethrough_on_every_engine, n,
			     engine_way_name);
	tcase_add_named_test(t, cache_of_a_driver_without_flush, n, engine_way_name);
	tcase_add_named_test(t, row29_all_queues_on_every_engine, n, engine_way_name);
	tcase_add_test(t, row29_wce_written_without_permission);
	tcase_add_test(t, row23_row29_configuration_space_written_by_any_access);
	tcase_add_test(t, host_flush_fails_at_the_change_to_writethrough);
	tcase_add_test(t, guest_floods_the_log_with_changes_that_fail);
	tcase_add_named_test(t, row29_flood_of_wce_changes_beside_writes_on_every_engine, n,
			     engine_way_name);
	tcase_add_named_test(t, row27_row29_wce_changes_beside_resets_on_every_engine, n,
			     engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
