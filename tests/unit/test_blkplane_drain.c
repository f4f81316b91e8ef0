/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the drain of a paused ring, and of a plane that continues at the position. */
#include <errno.h>

#include "tests/lib/cases.h"
#include "tests/unit/parked_rig.h"

#define KINDS 4 /* kinds of rings: bit 0 for packed, bit 1 for IN_ORDER */

static const char *kind_name(int kind)
{
	static const char *const bits[][2] = { { "split", "packed" }, { "", "IN_ORDER" } };

	return case_bits(kind, bits, ARRAY_SIZE(bits));
}

static void offer(struct mock_blk *req)
{
	mock_blk(m, req, VIRTIO_BLK_T_OUT, 0, 512);
	mock_offer(m, req->head);
	scripted_wait(r.engine, 1);
}

START_TEST(next_plane_continues_at_the_position)
{
	struct vring_base position = { .avail = 99 };
	struct mock_blk req;

	begin(_i, BLKPOLICY_REPORT);
	for (unsigned int i = 0; i < 3; i++) {
		offer(&req);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		expect_used(1);
	}
	blkplane_pause(r.plane);
	ck_assert_int_eq(blkplane_drain(r.plane, &position), 0);
	/* The drain leaves the plane paused. */
	mock_blk(m, &req, VIRTIO_BLK_T_OUT, 0, 512);
	mock_offer(m, req.head);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	ck_assert_int_eq(blkplane_drain(r.plane, &position), 0);
	rig_stop(&r);
	r.config.base = &position;
	rig_start(&r);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	expect_used(1);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

START_TEST(broken_ring_has_no_position)
{
	struct vring_base position;

	begin(_i, BLKPOLICY_REPORT);
	mock_offer(m, 17);
	rig_wait_broken(&r);
	blkplane_pause(r.plane);
	ck_assert_int_eq(blkplane_drain(r.plane, &position), -EBADMSG);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_drain");
	TCase *t = tcase_create("blkplane_drain");

	tcase_add_named_test(t, next_plane_continues_at_the_position, KINDS, kind_name);
	tcase_add_named_test(t, broken_ring_has_no_position, KINDS, kind_name);
	suite_add_tcase(s, t);
	return s;
}
