/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of pause and resume with discards and write zeroes in flight. */
#include <sched.h>

#include "devices/virtio/mmio_state.h"
#include "tests/lib/cases.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"
#include "tests/unit/ranges_rig.h"

/* Checks that each segment was executed once, in order. */
static void expect_steps(void)
{
	ck_assert_uint_eq(get(&steps), REQUESTS * SEGMENTS);
	for (unsigned int i = 0; i < REQUESTS * SEGMENTS; i++)
		ck_assert_int_eq(READ_ONCE(offset_of[i]), (64 + 16 * i) * 512);
	expect_zeros();
}

START_TEST(pause_waits_for_one_step_and_not_for_all_zeroes_on_every_engine)
{
	begin_zeroes(_i);
	pause_after_a_step();
	/* No request is completed while the disk is paused. */
	mock_kick(m);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(get(&steps), 1);
	expect_status(0xff);

	blk_resume(d.blk);
	wait_all(VIRTIO_BLK_S_OK);
	expect_steps();
	rows_end(&d, true);
}
END_TEST

/* A snapshot has no request in flight: the rest of the zeroes is written first. */
START_TEST(snapshot_finishes_paused_zeroes_on_every_engine)
{
	struct virtio_mmio_state state;
	unsigned int queue;

	begin_zeroes(_i);
	pause_after_a_step();
	ck_assert_int_eq(virtio_mmio_save(&d.mmio, &state, &queue), 0);
	wait_all(VIRTIO_BLK_S_OK);
	expect_steps();
	ck_assert(state.queue[0].started);
	ck_assert_uint_eq(blk_save_requests(d.blk, 0, NULL), 0);
	rows_end(&d, true);
}
END_TEST

static void *save_disk(void *arg)
{
	struct virtio_mmio_state state;
	unsigned int queue = 7;

	ck_assert_int_eq(virtio_mmio_save(&d.mmio, &state, &queue), -EBUSY);
	ck_assert_uint_eq(queue, 0);
	return arg;
}

/* The end of the VM waits for one step, not for all zeroes. */
START_TEST(hold_ends_a_snapshot_between_zeroes_on_every_engine)
{
	pthread_t saver;

	begin_zeroes(_i);
	pause_after_a_step();
	block();
	saver = begin_thread(save_disk);
	wait_arrived();
	blk_hold(d.blk);
	unblock();
	pthread_join(saver, NULL);
	blk_resume(d.blk);
	wait_all(VIRTIO_BLK_S_OK);
	expect_steps();
	rows_end(&d, true);
}
END_TEST

START_TEST(paused_repeatedly_between_zeroes_on_every_engine)
{
	begin_zeroes(_i);
	for (unsigned int n = 1; n <= 5; n++) {
		pthread_t pauser;

		holds = 0;
		pauser = begin_thread(pause_disk);
		mock_wait_until(get(&holds));
		sem_post(&go);
		pthread_join(pauser, NULL);
		ck_assert_uint_eq(get(&steps), n);
		blk_resume(d.blk);
		wait_arrived();
	}
	unblock();
	wait_all(VIRTIO_BLK_S_OK);
	expect_steps();
	rows_end(&d, true);
}
END_TEST

/* The steps of both queues end at the same time, not one after the other. */
START_TEST(pause_interrupts_the_zeroes_of_all_queues_at_once_on_every_engine)
{
	const uint64_t features = RANGES | BIT64(VIRTIO_BLK_F_MQ);
	struct mockdrv other;
	struct mock_blk one, two;
	pthread_t pauser;

	rows_init(&d, _i);
	d.config.queues = 2;
	disk_open(&d);
	reg_ring(m, 16, features);
	disk_queue(&d, &other, 1, 1, 16, features);
	ck_assert(reg_negotiate(&d.mmio, features));
	ck_assert(reg_queue(&d.mmio, &m->ring));
	ck_assert(reg_queue_n(&d.mmio, 1, &other.ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	block();
	lay_out(m, &one, 0);
	mock_show(m);
	mock_kick(m);
	wait_arrived();
	lay_out(&other, &two, 1);
	mock_show(&other);
	mock_kick(&other);
	wait_arrived();
	holds = 0;
	pauser = begin_thread(pause_disk);
	mock_wait_until(get(&holds) >= 2);
	ck_assert_uint_eq(get(&ended), 0);
	unblock();
	sem_post(&go);
	pthread_join(pauser, NULL);
	ck_assert_uint_eq(get(&steps), 2);
	ck_assert(!mock_has_used(m) && !mock_has_used(&other));
	blk_resume(d.blk);
	mock_wait_until(mock_has_used(m) && mock_has_used(&other));
	ck_assert_uint_eq(get(&steps), 4);
	ck_assert_uint_eq(mock_status(m, &one), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(&other, &two), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_close(&d), 0);
	disk_fini(&d);
}
END_TEST

/* The first request fails with ENOSPC. It is parked by werror=stop, and the others by the pause. */
START_TEST(zeroes_that_stop_the_vm_and_later_ones_on_every_engine)
{
	rows_init(&d, _i);
	d.config.werror = BLKPOLICY_STOP;
	disk_open(&d);
	rows_recover(&d, ROWS_RING, RANGES);
	block();
	offer();
	wait_arrived();
	holds = 0;
	__atomic_store_n(&failure, ENOSPC, __ATOMIC_SEQ_CST);
	pause_after_a_step();
	expect_status(0xff);
	blk_resume(d.blk);
	wait_all(VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(get(&steps), 1 + REQUESTS * SEGMENTS);
	expect_zeros();
	rows_end(&d, true);
}
END_TEST

/* ---- under load ---- */

static unsigned int pauses;

static void *pause_and_resume(void *arg)
{
	for (unsigned int i = 0; i < pauses; i++) {
		unsigned int before;

		blk_pause(d.blk);
		before = get(&steps);
		if (i % 4 == 0)
			sched_yield();
		must(get(&steps) == before);
		blk_resume(d.blk);
		for (unsigned int n = i % 8; n; n--)
			sched_yield();
	}
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
	return arg;
}

START_TEST(pauses_under_load_lose_and_repeat_no_zeroes_on_every_engine)
{
	unsigned int rounds = 1;
	pthread_t pauser;

	pauses = ROUNDS(500u, 50u, 80u);
	begin(_i);
	pauser = begin_thread(pause_and_resume);
	offer();
	wait_all(VIRTIO_BLK_S_OK);
	while (!get(&ended)) {
		for (unsigned int i = 0; i < REQUESTS; i++) {
			memset(mock_ptr(m, req[i].status), 0xff, 1);
			mock_stage(m, req[i].head);
		}
		mock_show(m);
		mock_kick(m);
		wait_all(VIRTIO_BLK_S_OK);
		rounds++;
	}
	pthread_join(pauser, NULL);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(get(&steps), rounds * REQUESTS * SEGMENTS);
	expect_zeros();
	rows_end(&d, true);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_pause_ranges");
	TCase *t = tcase_create("blk_pause_ranges");
	const int n = rows_ways();

	tcase_add_named_test(t, pause_waits_for_one_step_and_not_for_all_zeroes_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, snapshot_finishes_paused_zeroes_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, hold_ends_a_snapshot_between_zeroes_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, paused_repeatedly_between_zeroes_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, pause_interrupts_the_zeroes_of_all_queues_at_once_on_every_engine,
			     engine_ways(), engine_way_name);
	tcase_add_named_test(t, zeroes_that_stop_the_vm_and_later_ones_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, pauses_under_load_lose_and_repeat_no_zeroes_on_every_engine, n,
			     rows_way_name);
	suite_add_tcase(s, t);
	return s;
}
