/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of rings of a throttled disk, with simulated times. */
#include <errno.h>

#include "dataplane/poll_policy.h"
#include "tests/unit/limit_rig.h"

static uint64_t alarm_set(void)
{
	return alarm_set_by(0);
}

static void forget_alarm(void)
{
	__atomic_store_n(&alarm_of[0].at, 0, __ATOMIC_SEQ_CST);
}

/* Waits until the timer is set to about this time, and lets it expire. */
static void expect_alarm(uint64_t about)
{
	uint64_t at;

	mock_wait_until(alarm_set());
	at = alarm_set();
	ck_assert_uint_ge(at, about);
	ck_assert_uint_lt(at, about + 50 * MS);
	wait_idle_thread();
	forget_alarm();
	ownclock_set(at);
	ring_alarm(0);
}

/* Completes all requests in flight, and checks that the driver gets `count` of them. */
static void take_back(unsigned int count)
{
	struct vring_used_elem elem;

	scripted_complete_all(r.engine, SCRIPTED_ALL);
	while (count--)
		mock_wait_used(m, &elem);
	ck_assert(!mock_has_used(m));
}

START_TEST(burst_and_then_one_request_per_timer)
{
	begin(_i, 10, 2);
	offer(0, DEPTH);
	scripted_wait(r.engine, 2);
	for (unsigned int i = 2; i < DEPTH; i++) {
		expect_alarm(7 * SECOND + (i - 1) * 100 * MS);
		scripted_wait(r.engine, i + 1);
	}
	take_back(DEPTH);
	ck_assert_uint_eq(READ_ONCE(r.stats.requests), DEPTH);
	ck_assert_uint_eq(READ_ONCE(r.stats.throttled), DEPTH - 2);
	rig_fini(&r);
}
END_TEST

/* Notifications and completions do not wake a throttled ring, which sets its timer once. */
START_TEST(throttled_ring_sleeps)
{
	uint64_t sleeps;

	begin(_i, 10, 2);
	offer(0, 3);
	scripted_wait(r.engine, 2);
	mock_wait_until(alarm_set());
	wait_idle_thread();
	sleeps = READ_ONCE(r.stats.sleeps);
	for (unsigned int i = 0; i < 20; i++) {
		mock_kick(m);
		wait_idle_thread();
	}
	take_back(2);
	wait_idle_thread();
	ck_assert_uint_eq(__atomic_load_n(&alarms, __ATOMIC_SEQ_CST), 1);
	ck_assert_uint_eq(READ_ONCE(r.stats.throttled), 1);
	/* Notifications were not enabled. */
	ck_assert_uint_eq(READ_ONCE(r.stats.sleeps), sleeps);
	expect_alarm(7 * SECOND + 100 * MS);
	scripted_wait(r.engine, 1);
	take_back(1);
	/* The ring is empty, so that notifications are enabled. */
	wait_idle_thread();
	ck_assert_uint_gt(READ_ONCE(r.stats.sleeps), sleeps);
	offer(3, 4);
	expect_alarm(7 * SECOND + 200 * MS);
	scripted_wait(r.engine, 1);
	take_back(1);
	rig_fini(&r);
}
END_TEST

/* The bucket is empty, but so is the ring. */
START_TEST(empty_ring_sets_no_timer)
{
	begin(_i, 10, 2);
	offer(0, 2);
	scripted_wait(r.engine, 2);
	take_back(2);
	wait_idle_thread();
	ck_assert_uint_eq(alarm_set(), 0);
	ck_assert_uint_eq(READ_ONCE(r.stats.throttled), 0);
	rig_fini(&r);
}
END_TEST

/* A request that needs no I/O takes a token, too. */
START_TEST(get_id_takes_a_token)
{
	begin(_i, 10, 1);
	mock_forget(m);
	for (unsigned int i = 0; i < 2; i++)
		mock_blk(m, &req[i], VIRTIO_BLK_T_GET_ID, 0, 20);
	offer(0, 2);
	expect_alarm(7 * SECOND + 100 * MS);
	take_back(2);
	rig_fini(&r);
}
END_TEST

START_TEST(limit_changed_while_throttled)
{
	begin(0, 1, 1);
	offer(0, 4);
	scripted_wait(r.engine, 1);
	mock_wait_until(alarm_set());
	set_limit(1, 2);
	scripted_wait(r.engine, 3);
	set_limit(0, 0);
	scripted_wait(r.engine, 4);
	take_back(4);
	set_limit(1, 1);
	offer(0, 2);
	scripted_wait(r.engine, 1);
	take_back(1);
	rig_fini(&r);
}
END_TEST

/* Pause and stop leave the requests in the ring. After the pause, the ring is still throttled. */
START_TEST(pause_and_stop_of_a_throttled_ring)
{
	begin(_i, 10, 1);
	offer(0, 3);
	scripted_wait(r.engine, 1);
	mock_wait_until(alarm_set());
	take_back(1);
	blkplane_pause(r.plane);
	wait_idle_thread();
	/* The bucket is refilled while the ring is paused. */
	ownclock_set(8 * SECOND);
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	mock_wait_until(alarm_set());
	take_back(1);
	blkplane_set_writethrough(r.plane, true);
	rig_stop(&r);
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	ck_assert_uint_eq(READ_ONCE(r.stats.requests), 2);
	/* A reset does not refill the bucket. */
	if (_i & 1)
		mock_ring_packed(m, 16, _i & 2, false);
	else
		mock_ring(m, 16, _i & 2, false);
	forget_alarm();
	rig_start(&r);
	mock_blk(m, &req[0], VIRTIO_BLK_T_GET_ID, 0, 20);
	offer(0, 1);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	rig_stop(&r);
	rig_fini(&r);
}
END_TEST

/* A second ring on the same thread, without a limit, is served without delay. */
START_TEST(throttled_ring_does_not_delay_another)
{
	struct iothread *own;
	struct mock_blk write;

	begin(0, 1, 1);
	rig_init(&other, 16, false, false, 16);
	own = other.thread;
	ioengine_destroy(other.engine);
	other.config.thread = other.thread = r.thread;
	ck_assert_int_eq(ioengine_create(&other.engine, &ioengine_scripted,
					 &(struct ioengine_config){ .loop = &r.thread->loop,
								    .fd = -1,
								    .depth = 16,
								    .direct_align = 1 }),
			 0);
	other.config.engine = other.engine;
	rig_start(&other);
	offer(0, 3);
	scripted_wait(r.engine, 1);
	mock_wait_until(alarm_set());
	mock_blk(&other.m, &write, VIRTIO_BLK_T_OUT, 0, 512);
	for (unsigned int i = 0; i < INLINE_IO_MIN_STREAK; i++) {
		struct vring_used_elem elem;

		mock_offer(&other.m, write.head);
		scripted_wait(other.engine, 1);
		scripted_complete(other.engine, 0, SCRIPTED_ALL);
		mock_wait_used(&other.m, &elem);
	}
	ck_assert_uint_eq(scripted_held(r.engine), 1);
	ck_assert_uint_eq(READ_ONCE(other.stats.throttled), 0);
	/* The first ring is still throttled, and has set its timer once. */
	ck_assert_uint_eq(__atomic_load_n(&alarms, __ATOMIC_SEQ_CST), 1);
	expect_alarm(8 * SECOND);
	scripted_wait(r.engine, 2);
	rig_stop(&other);
	other.thread = own;
	rig_fini(&other);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	rig_fini(&r);
}
END_TEST

static void stopped(struct blkplane_listener *listener, unsigned int queue, enum io_op op, int err)
{
	(void)listener;
	(void)queue;
	(void)op;
	(void)err;
	__atomic_fetch_add(&alarms, 1000, __ATOMIC_SEQ_CST);
}

/* A failed request that is repeated after the resume takes no second token. */
START_TEST(throttled_ring_with_a_parked_request)
{
	struct blkplane_listener listener = { .stopped = stopped };

	ownclock_begin();
	rig_init(&r, 16, false, false, 16);
	r.config.limit = &limit;
	r.config.listener = &listener;
	r.config.policy.write = BLKPOLICY_STOP;
	set_limit(10, 1);
	rig_start(&r);
	for (unsigned int i = 0; i < 2; i++)
		mock_blk(m, &req[i], VIRTIO_BLK_T_OUT, i, 512);
	offer(0, 2);
	scripted_wait(r.engine, 1);
	mock_wait_until(alarm_set());
	scripted_complete(r.engine, 0, -EIO);
	mock_wait_until(__atomic_load_n(&alarms, __ATOMIC_SEQ_CST) >= 1000);
	expect_alarm(7 * SECOND + 100 * MS);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 2);
	take_back(2);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_limit");
	TCase *t = tcase_create("blkplane_limit");

	tcase_add_named_test(t, burst_and_then_one_request_per_timer, 4, format_name);
	tcase_add_named_test(t, throttled_ring_sleeps, 4, format_name);
	tcase_add_named_test(t, empty_ring_sets_no_timer, 4, format_name);
	tcase_add_named_test(t, get_id_takes_a_token, 4, format_name);
	tcase_add_test(t, limit_changed_while_throttled);
	tcase_add_named_test(t, pause_and_stop_of_a_throttled_ring, 4, format_name);
	tcase_add_test(t, throttled_ring_does_not_delay_another);
	tcase_add_test(t, throttled_ring_with_a_parked_request);
	suite_add_tcase(s, t);
	return s;
}
