/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of two queues of a throttled disk, each on a thread of its own. */
#include "tests/unit/limit_rig.h"

#define TURNS 60u

static struct mock_blk other_req[DEPTH];

/* What its thread has taken comes back, and is there again. How much was it? */
static unsigned int again(struct rig *rig, const struct mock_blk *all)
{
	unsigned int taken = scripted_held(rig->engine);

	scripted_complete_all(rig->engine, SCRIPTED_ALL);
	for (unsigned int i = 0; i < taken; i++) {
		struct vring_used_elem elem;

		mock_wait_used(&rig->m, &elem);
		must(elem.id % 3 == 0 && elem.id / 3 < DEPTH);
		mock_stage(&rig->m, all[elem.id / 3].head);
	}
	if (taken) {
		mock_show(&rig->m);
		mock_kick(&rig->m);
	}
	return taken;
}

static void answer(struct iothread_call *call)
{
	iothread_call_done(call);
}

/* Both have taken what there is, and asked for an alarm: a thread serves its rings after each call,
 * and what one of them takes moves the other one's alarm. */
static void settle(void)
{
	for (unsigned int i = 0; i < 8; i++) {
		struct iothread_call call = { .run = answer };

		iothread_call(i & 2 ? other.thread : r.thread, &call);
	}
	mock_wait_until(alarm_set_by(0) && alarm_set_by(1));
}

/* Its time has come, also if it is just asking for a later one since the other thread took
 * something. */
static void wake_by_alarm(unsigned int thread)
{
	uint64_t at = __atomic_exchange_n(&alarm_of[thread].at, 0, __ATOMIC_SEQ_CST) + MS;

	if (ownclock_now() < at)
		ownclock_set(at);
	ring_alarm(thread);
}

/* One by one and both at once: each gets something whenever it comes, and together never more than
 * the bucket had; but for one, since both may find the last token. */
START_TEST(queues_on_two_threads_share_a_bucket)
{
	const uint64_t rate = 3000, burst = 2, start = 7 * SECOND;
	unsigned int taken[2] = { 0 };

	begin(_i, rate, burst);
	rig_init(&other, 16, _i & 2, false, 16);
	if (_i & 1)
		mock_ring_packed(&other.m, 16, _i & 2, false);
	other.config.limit = &limit;
	rig_start(&other);
	for (unsigned int i = 0; i < DEPTH; i++) {
		mock_blk(&other.m, &other_req[i], VIRTIO_BLK_T_OUT, i, 512);
		mock_stage(&other.m, other_req[i].head);
	}
	mock_show(&other.m);
	mock_kick(&other.m);
	offer(0, DEPTH);
	for (unsigned int turn = 0;; turn++) {
		uint64_t now;

		settle();
		now = ownclock_now();
		taken[0] += again(&r, req);
		taken[1] += again(&other, other_req);
		ck_assert_uint_le(taken[0] + taken[1], burst + 1 + (now - start) * rate / SECOND);
		ck_assert_uint_gt(taken[0] + taken[1], turn);
		if (turn == TURNS)
			break;
		if (turn % 3 != 1)
			wake_by_alarm(0);
		if (turn % 3 != 0)
			wake_by_alarm(1);
	}
	ck_assert_uint_ge(taken[0], TURNS / 3);
	ck_assert_uint_ge(taken[1], TURNS / 3 - 1);
	rig_stop(&other);
	rig_stop(&r);
	rig_fini(&other);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_limit_threads");
	TCase *t = tcase_create("blkplane_limit_threads");

	tcase_add_loop_test(t, queues_on_two_threads_share_a_bucket, 0, 4);
	suite_add_tcase(s, t);
	return s;
}
