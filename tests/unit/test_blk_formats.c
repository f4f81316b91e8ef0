/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of RING_PACKED and IN_ORDER on a whole disk. */
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/disk.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#define PACKED	 BIT64(VIRTIO_F_RING_PACKED)
#define IN_ORDER BIT64(VIRTIO_F_IN_ORDER)

static struct disk d;
static struct mockdrv *const m = &d.m;

static void begin(bool packed, bool in_order)
{
	disk_init(&d, BLK_ENGINE_LIBAIO);
	d.config.packed = packed;
	d.config.in_order = in_order;
	disk_open(&d);
}

static void expect_read(uint64_t sector)
{
	struct mock_blk req;

	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, sector, 4096, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(m, req.data), sector * 512, 4096));
}

START_TEST(formats_are_offered_when_configured)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t asked = (i & 1 ? PACKED : 0) | (i & 2 ? IN_ORDER : 0);

		begin(i & 1, i & 2);
		ck_assert_uint_eq(reg_offered(&d.mmio) & (PACKED | IN_ORDER), asked);
		for (unsigned int k = 0; k < 4; k++) {
			uint64_t accepted = (k & 1 ? PACKED : 0) | (k & 2 ? IN_ORDER : 0);

			reg_set_status(&d.mmio, 0);
			ck_assert_int_eq(reg_negotiate(&d.mmio, DISK_FEATURES | accepted),
					 !(accepted & ~asked));
		}
		disk_fini(&d);
	}
}
END_TEST

/* Several drivers use the disk one after the other, like those of a boot loader and a kernel. */
START_TEST(row25_each_driver_has_the_format_it_accepted)
{
	begin(true, true);
	for (unsigned int i = 0; i < 32; i++) {
		uint16_t sizes[] = { 64, i & 1 ? 37 : 32 };

		reg_bring_up(&d.mmio, m, sizes[i / 16],
			     DISK_FEATURES | (i & 1 ? PACKED : 0) | (i & 2 ? IN_ORDER : 0) |
				     (i & 4 ? BIT64(VIRTIO_RING_F_EVENT_IDX) : 0) |
				     (i & 8 ? BIT64(VIRTIO_RING_F_INDIRECT_DESC) : 0));
		for (unsigned int k = 0; k < 30; k++)
			expect_read(8 * k);
	}
	disk_fini(&d);
}
END_TEST

START_TEST(row20_packed_queue_of_any_size)
{
	static const uint16_t good[] = { 1, 2, 3, 31, 63, 64 };
	static const uint32_t bad[] = { 0, 65, 128, 1024, 0x10000, 0x10001, 0xffffffff };

	begin(true, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(good) + ARRAY_SIZE(bad); i++) {
		bool ok = i < ARRAY_SIZE(good);

		reg_set_status(&d.mmio, 0);
		mock_ring_packed(m, 64, false, false);
		ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES | PACKED));
		ck_assert(reg_queue(&d.mmio, &m->ring));
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 0);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NUM, ok ? good[i] : bad[i - ARRAY_SIZE(good)]);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 1);
		ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_READY), ok);
	}
	disk_fini(&d);
}
END_TEST

/* ---- IN_ORDER, in both ring formats ---- */

/* Requests that need no I/O wait for reads before them. */
START_TEST(in_order_quick_requests_behind_slow_ones)
{
	struct mock_blk req[20];
	struct vring_used_elem elem;

	begin(true, true);
	for (unsigned int round = 0; round < 50; round++) {
		reg_bring_up(&d.mmio, m, 64,
			     DISK_FEATURES | DISK_RING | IN_ORDER | (_i ? PACKED : 0));
		for (unsigned int i = 0; i < 20; i++) {
			mock_blk(m, &req[i], i % 3 ? VIRTIO_BLK_T_GET_ID : VIRTIO_BLK_T_IN, 8 * i,
				 i % 3 ? 20 : 4096);
			mock_stage(m, req[i].head);
		}
		mock_show(m);
		mock_kick(m);
		for (unsigned int i = 0; i < 20; i++) {
			mock_wait_used(m, &elem);
			ck_assert_uint_eq(elem.id, req[i].head);
			ck_assert_uint_eq(elem.len, i % 3 ? 21 : 4097);
			ck_assert_uint_eq(mock_status(m, &req[i]), VIRTIO_BLK_S_OK);
		}
	}
	disk_fini(&d);
}
END_TEST

/* Starts a ring with IN_ORDER and the scripted engine. */
static void rig_begin(struct rig *r, bool packed)
{
	rig_init(r, 16, false, false, 16);
	if (packed)
		mock_ring_packed(&r->m, 16, false, false);
	r->m.ring.in_order = true;
	rig_start(r);
}

/* The device publishes nothing, and raises no interrupt, before the first request is completed. */
START_TEST(in_order_host_completes_the_last_request_first)
{
	struct vring_used_elem elem;
	struct mock_blk req[3];
	struct rig r;

	rig_begin(&r, _i);
	for (unsigned int i = 0; i < 3; i++) {
		mock_blk(&r.m, &req[i], VIRTIO_BLK_T_IN, 8 * i, 512);
		mock_offer(&r.m, req[i].head);
	}
	scripted_wait(r.engine, 3);
	for (unsigned int i = 3; i-- > 1;) {
		scripted_complete(r.engine, i, SCRIPTED_ALL);
		mock_wait_until(mock_status(&r.m, &req[i]) == VIRTIO_BLK_S_OK);
	}
	wait_idle_thread();
	ck_assert(!mock_has_used(&r.m));
	ck_assert_uint_eq(mock_irqs(&r.m), 0);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	for (unsigned int i = 0; i < 3; i++) {
		mock_wait_used(&r.m, &elem);
		ck_assert_uint_eq(elem.id, req[i].head);
	}
	ck_assert_uint_eq(mock_wait_irq(&r.m), 1);
	rig_fini(&r);
}
END_TEST

/* The bad request would be returned with used.len 0, but the request before it is never
 * completed. */
START_TEST(row12_in_order_request_without_a_header_behind_one_in_flight)
{
	struct mock_blk good;
	struct rig r;

	rig_begin(&r, _i);
	mock_blk(&r.m, &good, VIRTIO_BLK_T_IN, 0, 512);
	mock_offer(&r.m, good.head);
	scripted_wait(r.engine, 1);
	mock_offer(&r.m, mock_chain(&r.m, (struct mock_piece[]){ { good.status, 1, true } }, 1));
	rig_wait_broken(&r);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	rig_stop(&r);
	ck_assert(!mock_has_used(&r.m));
	ck_assert_uint_eq(mock_status(&r.m, &good), 0xff);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_formats");
	TCase *t = tcase_create("blk_formats");

	tcase_add_test(t, formats_are_offered_when_configured);
	tcase_add_test(t, row25_each_driver_has_the_format_it_accepted);
	tcase_add_test(t, row20_packed_queue_of_any_size);
	tcase_add_named_test(t, in_order_quick_requests_behind_slow_ones, 2, mock_format_name);
	tcase_add_named_test(t, in_order_host_completes_the_last_request_first, 2,
			     mock_format_name);
	tcase_add_named_test(t, row12_in_order_request_without_a_header_behind_one_in_flight, 2,
			     mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
