/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a disk that is saved, closed, and restored on the same guest memory: the driver goes on
 * as if nothing had happened, and invalid states are refused.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <string.h>

#include "devices/virtio/mmio_state.h"
#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

#define FEATURES (DISK_FEATURES | DISK_RING | BIT64(VIRTIO_BLK_F_CONFIG_WCE))
#define WCE	 (VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce))

static struct disk d;
static struct mockdrv *const m = &d.m;
static struct virtio_mmio_state state;
static struct blk_state blk_state;

static uint64_t features;

/* Creates a disk for way `i`; from rows_ways() on with IN_ORDER. */
static void begin(int i)
{
	bool in_order = i >= rows_ways();

	rows_init(&d, i % rows_ways());
	d.config.in_order = in_order;
	features = FEATURES | (in_order ? BIT64(VIRTIO_F_IN_ORDER) : 0);
	disk_open(&d);
}

static const char *way_name(int i)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s%s", rows_way_name(i % rows_ways()),
		 i >= rows_ways() ? ", IN_ORDER" : "");
	return name;
}

static void read_and_write(unsigned int count)
{
	struct mock_blk req;

	for (unsigned int i = 0; i < count; i++)
		ck_assert_uint_eq(disk_do(&d, i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 1000 + i,
					  512, &req, NULL),
				  VIRTIO_BLK_S_OK);
}

static void save(void)
{
	unsigned int queue;

	blk_pause(d.blk);
	ck_assert_int_eq(virtio_mmio_save(&d.mmio, &state, &queue), 0);
	blk_save(d.blk, &blk_state);
}

/* Closes the disk and opens it again, as in another process. */
static void reopen(void)
{
	ck_assert_int_eq(disk_close(&d), 0);
	disk_open(&d);
}

static int restore(void)
{
	ck_assert_ptr_null(virtio_mmio_check(&d.mmio, &state));
	ck_assert_ptr_null(blk_check(d.blk, &blk_state, state.accepted));
	blk_restore(d.blk, &blk_state);
	return virtio_mmio_restore(&d.mmio, &state);
}

/* The ring's position is neither 0 nor a multiple of its size. A request that the driver has added
 * during the pause needs no second doorbell. */
START_TEST(driver_goes_on_with_the_restored_disk)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	begin(_i);
	disk_bring_up(&d, ROWS_RING, features);
	read_and_write(90);
	save();
	mock_forget(m);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 512);
	mock_stage(m, req.head);
	mock_show(m);
	reopen();
	ck_assert_int_eq(restore(), 0);
	/* The interrupt of the queue is raised again. */
	ck_assert_uint_ge(mock_wait_irq(m), 1);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, req.head);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	read_and_write(90);
	/* After a reset the ring begins at its start. */
	disk_bring_up(&d, ROWS_RING, features);
	read_and_write(5);
	rows_end(&d, true);
}
END_TEST

START_TEST(registers_are_those_of_the_saved_device)
{
	begin(0);
	disk_bring_up(&d, ROWS_RING, features | BIT64(VIRTIO_BLK_F_DISCARD));
	reg_set(&d.mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	virtio_mmio_write(&d.mmio, WCE, (const uint8_t[]){ 0 }, 1);
	blk_pause(d.blk);
	/* An interrupt about the configuration is on its way. */
	virtio_config_changed(d.dev);
	virtio_config_changed(d.dev);
	blk_resume(d.blk);
	save();
	reopen();
	ck_assert_int_eq(restore(), 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_READY), 1);
	ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_CONFIG_GENERATION), 2);
	ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_DEVICE_FEATURES), d.dev->offered >> 32);
	ck_assert(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS) & IRQLINE_CONFIG);
	ck_assert_uint_eq(d.dev->regpage->config[offsetof(struct virtio_blk_config, wce)], 0);
	ck_assert_uint_ge(mock_wait_irq(m), 1);
	rows_end(&d, true);
}
END_TEST

/* The driver has not started the disk. */
START_TEST(disk_in_the_middle_of_its_initialization_is_restored)
{
	begin(0);
	reg_ring(m, ROWS_RING, features);
	ck_assert(reg_negotiate(&d.mmio, features));
	save();
	ck_assert(!state.queue[0].started);
	reopen();
	ck_assert_int_eq(restore(), 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_FEATURES_OK);
	ck_assert_uint_eq(mock_irqs(m), 0);
	ck_assert(reg_queue(&d.mmio, &m->ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	read_and_write(5);
	rows_end(&d, true);
}
END_TEST

START_TEST(broken_ring_stays_broken_until_the_reset)
{
	begin(_i);
	disk_bring_up(&d, ROWS_RING, features);
	mock_stage(m, ROWS_RING + 7);
	mock_show(m);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	mock_wait_until(reg_status(&d.mmio) & ST_NEEDS_RESET);
	save();
	ck_assert(!state.queue[0].started && state.queue[0].ready);
	reopen();
	ck_assert_int_eq(restore(), 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	disk_bring_up(&d, ROWS_RING, features);
	read_and_write(5);
	rows_end(&d, true);
}
END_TEST

/* ---- states that do not fit ---- */

static void other_count(void)
{
	state.queue_count++;
}

static void other_max(void)
{
	state.queue[0].max_size /= 2;
}

static void other_capacity(void)
{
	blk_state.capacity -= 512;
}

static void other_blk_size(void)
{
	blk_state.blk_size = 4096;
}

static void more_features(void)
{
	state.accepted |= BIT64(VIRTIO_F_RING_PACKED) | BIT64(63);
}

static void more_discard(void)
{
	state.accepted |= BIT64(VIRTIO_BLK_F_DISCARD);
	blk_state.discard_max++;
}

static void more_zeroes(void)
{
	blk_state.zeroes_max++;
}

static const struct {
	const char *name;
	void (*change)(void);
	const char *why;
} unfit[] = {
	{ "queues", other_count, "has another number of queues than in the snapshot" },
	{ "queue size", other_max, "queue-size is not that of the snapshot" },
	{ "capacity", other_capacity, "has another size than in the snapshot" },
	{ "blk_size", other_blk_size, "blk-size is not that of the snapshot" },
	{ "features", more_features, "lacks a feature that the guest of the snapshot uses" },
	{ "discard", more_discard, "lacks a feature that the guest of the snapshot uses" },
	{ "zeroes", more_zeroes, "lacks a feature that the guest of the snapshot uses" },
};

START_TEST(disk_that_does_not_fit_is_named)
{
	const char *why;

	begin(0);
	disk_bring_up(&d, ROWS_RING, features);
	save();
	reopen();
	unfit[_i].change();
	why = virtio_mmio_check(&d.mmio, &state);
	if (!why)
		why = blk_check(d.blk, &blk_state, state.accepted);
	ck_assert_str_eq(why, unfit[_i].why);
	rows_end(&d, false);
}
END_TEST

static void ring_outside(void)
{
	state.queue[0].desc = 1ull << 40;
}

static void ring_of_size_0(void)
{
	state.queue[0].size = 0;
}

static void not_ready(void)
{
	state.queue[0].ready = 0;
}

static void no_driver(void)
{
	state.status = ST_FEATURES_OK;
}

static void no_such_position(void)
{
	state.queue[0].next_avail = ROWS_RING;
}

static const struct {
	const char *name;
	void (*change)(void);
	uint64_t format;
} invalid[] = {
	{ "ring outside RAM", ring_outside, 0 },
	{ "size 0", ring_of_size_0, 0 },
	{ "started, not ready", not_ready, 0 },
	{ "started without DRIVER_OK", no_driver, 0 },
	{ "no such position", no_such_position, BIT64(VIRTIO_F_RING_PACKED) },
};

START_TEST(invalid_state_is_refused)
{
	rows_init(&d, 0);
	d.config.packed = true;
	disk_open(&d);
	disk_bring_up(&d, ROWS_RING, FEATURES | invalid[_i].format);
	save();
	reopen();
	invalid[_i].change();
	ck_assert_int_eq(restore(), -EINVAL);
	ck_assert_uint_eq(mock_irqs(m), 0);
	rows_end(&d, false);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_mmio_state");
	TCase *t = tcase_create("virtio_mmio_state");

	tcase_add_named_test(t, driver_goes_on_with_the_restored_disk, 2 * rows_ways(), way_name);
	tcase_add_test(t, registers_are_those_of_the_saved_device);
	tcase_add_test(t, disk_in_the_middle_of_its_initialization_is_restored);
	tcase_add_named_test(t, broken_ring_stays_broken_until_the_reset, rows_ways(),
			     rows_way_name);
	tcase_add_table_test(t, disk_that_does_not_fit_is_named, unfit);
	tcase_add_table_test(t, invalid_state_is_refused, invalid);
	suite_add_tcase(s, t);
	return s;
}
