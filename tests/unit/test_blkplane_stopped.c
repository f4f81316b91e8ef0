/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of rerror and werror: failed requests are parked, repeated by resume, or reported by
 * stop. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/unit/parked_rig.h"

#define KINDS 4 /* kinds of rings: bit 0 for packed, bit 1 for IN_ORDER */

static const char *kind_name(int kind)
{
	static const char *const bits[][2] = { { "split", "packed" }, { "", "IN_ORDER" } };

	return case_bits(kind, bits, ARRAY_SIZE(bits));
}

static void offer(struct mock_blk *req, uint32_t type, uint64_t sector, uint32_t len)
{
	mock_blk(m, req, type, sector, len);
	mock_offer(m, req->head);
}

START_TEST(failed_requests_are_parked_and_repeated_once_by_resume)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_FLUSH };
	const bool in_order = _i & 2;
	struct mock_blk req[4], late;
	uint64_t taken;

	begin(_i, BLKPOLICY_STOP);
	for (unsigned int i = 0; i < 4; i++) {
		offer(&req[i], types[i], i * 8, types[i] == VIRTIO_BLK_T_FLUSH ? 0 : 4096);
		scripted_wait(r.engine, i + 1);
	}
	scripted_complete(r.engine, 2, -ENOSPC);
	wait_heard(1, IO_WRITE, ENOSPC);
	/* A later request stays in the ring. Those in flight continue. */
	offer(&late, VIRTIO_BLK_T_OUT, 80, 512);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	scripted_complete(r.engine, 1, -EIO);
	scripted_complete(r.engine, 0, -EIO);
	expect_used(1);
	ck_assert_uint_eq(mock_status(m, &req[0]), VIRTIO_BLK_S_OK);
	for (unsigned int i = 1; i < 4; i++)
		ck_assert_uint_eq(mock_status(m, &req[i]), 0xff);
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	taken = READ_ONCE(r.stats.requests);
	blkplane_pause(r.plane);
	ck_assert_uint_eq(READ_ONCE(r.stats.requests), taken);

	blkplane_resume(r.plane);
	scripted_wait(r.engine, 4);
	/* Requests are repeated in the order in which they failed, before the new one. */
	ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, 16 * 512);
	ck_assert_int_eq(scripted_seg(r.engine, 1).op, IO_FLUSH);
	ck_assert_uint_eq(scripted_seg(r.engine, 2).offset, 8 * 512);
	ck_assert_uint_eq(scripted_seg(r.engine, 2).len, 4096);
	ck_assert_uint_eq(scripted_seg(r.engine, 3).offset, 80 * 512);
	/* One request fails again. */
	scripted_complete(r.engine, 0, -ENOSPC);
	wait_heard(2, IO_WRITE, ENOSPC);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	expect_used(in_order ? 1 : 3);
	ck_assert_uint_eq(mock_status(m, &req[2]), 0xff);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	expect_used(in_order ? 3 : 1);
	for (unsigned int i = 1; i < 4; i++)
		ck_assert_uint_eq(mock_status(m, &req[i]), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &late), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(READ_ONCE(r.stats.requests), 5);
	blkplane_pause(r.plane);
	blkplane_resume(r.plane);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	rig_fini(&r);
}
END_TEST
static const char *stop_name(int i)
{
	static char name[48];

	snprintf(name, sizeof(name), "%s, %s", kind_name(i % KINDS),
		 i & KINDS ? "paused" : "running");
	return name;
}

/* Stop does not wait for a resume: parked requests fail. */
START_TEST(stop_fails_parked_requests)
{
	struct mock_blk req[3];

	begin(_i % KINDS, BLKPOLICY_STOP);
	for (unsigned int i = 0; i < 3; i++) {
		offer(&req[i], VIRTIO_BLK_T_OUT, i, 512);
		scripted_wait(r.engine, i + 1);
	}
	scripted_complete(r.engine, 0, -EIO);
	wait_heard(1, IO_WRITE, EIO);
	scripted_complete(r.engine, 0, -EIO);
	wait_idle_thread();
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	if (_i & KINDS)
		blkplane_pause(r.plane);
	rig_stop(&r);
	ck_assert_uint_eq(mock_status(m, &req[0]), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(mock_status(m, &req[1]), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(mock_status(m, &req[2]), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 3; i++) {
		struct vring_used_elem elem;

		ck_assert(mock_used(m, &elem));
	}
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(heard.count, 1);
	rig_fini(&r);
}
END_TEST

START_TEST(request_that_fails_during_stop_is_not_parked)
{
	struct mock_blk req;
	pthread_t stopper;

	begin(_i, BLKPOLICY_STOP);
	offer(&req, VIRTIO_BLK_T_OUT, 0, 512);
	scripted_wait(r.engine, 1);
	stopper = rig_call_from(&r, rig_stop_main);
	scripted_complete(r.engine, 0, -ENOSPC);
	pthread_join(stopper, NULL);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(heard.count, 0);
	rig_fini(&r);
}
END_TEST

/* The switch does not wait for a parked write, whose repetition is stable. */
START_TEST(cache_is_switched_while_a_write_is_parked)
{
	struct mock_blk write, flush;

	begin(_i, BLKPOLICY_STOP);
	offer(&flush, VIRTIO_BLK_T_FLUSH, 0, 0);
	scripted_wait(r.engine, 1);
	offer(&write, VIRTIO_BLK_T_OUT, 0, 512);
	scripted_wait(r.engine, 2);
	ck_assert(!scripted_seg(r.engine, 1).stable);
	scripted_complete_all(r.engine, -ENOSPC);
	wait_heard(1, IO_FLUSH, ENOSPC);
	blkplane_set_writethrough(r.plane, true);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 2);
	ck_assert(!scripted_seg(r.engine, 0).stable);
	ck_assert(scripted_seg(r.engine, 1).stable);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	expect_used(2);
	ck_assert_uint_eq(mock_status(m, &write), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

/* The parked request of a broken queue is drained, too. */
START_TEST(ring_breaks_while_a_request_is_parked)
{
	struct mock_blk write, behind;

	rig_init(&r, 16, false, false, 16);
	set(BLKPOLICY_STOP);
	r.config.listener = NULL;
	rig_start(&r);
	offer(&write, VIRTIO_BLK_T_OUT, 0, 512);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, -EIO);
	wait_idle_thread();
	mock_blk(m, &behind, VIRTIO_BLK_T_OUT, 0, 512);
	mock_offer(m, 16);
	wait_idle_thread();
	ck_assert(!rig_is_broken(&r));
	blkplane_resume(r.plane);
	rig_wait_broken(&r);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, -EIO);
	wait_idle_thread();
	rig_stop(&r);
	ck_assert_uint_eq(mock_status(m, &write), 0xff);
	rig_fini(&r);
}
END_TEST
Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_stopped");
	TCase *t = tcase_create("blkplane_stopped");

	tcase_add_named_test(t, failed_requests_are_parked_and_repeated_once_by_resume, KINDS,
			     kind_name);
	tcase_add_named_test(t, stop_fails_parked_requests, 2 * KINDS, stop_name);
	tcase_add_named_test(t, request_that_fails_during_stop_is_not_parked, KINDS, kind_name);
	tcase_add_named_test(t, cache_is_switched_while_a_write_is_parked, KINDS, kind_name);
	tcase_add_test(t, ring_breaks_while_a_request_is_parked);
	suite_add_tcase(s, t);
	return s;
}
