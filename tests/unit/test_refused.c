/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a host that refuses the system calls by which an engine submits and waits: from the
 * start, as seccomp policies do that allow io_uring_setup but not io_uring_enter, or later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/capture.h"
#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/queues.h"
#include "tests/lib/refuse.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#ifdef SYS_epoll_wait
#define EPOLL_WAIT SYS_epoll_wait, SYS_epoll_pwait
#else
#define EPOLL_WAIT SYS_epoll_pwait
#endif

static const int enter[] = { SYS_io_uring_enter, -1 };
static const int epoll[] = { EPOLL_WAIT, -1 };
static const int get[] = { SYS_io_getevents, -1 };
static const int submit[] = { SYS_io_submit, -1 };
static const int timer[] = { SYS_timerfd_settime, -1 };

/* ---- from the start ---- */

START_TEST(io_uring_enter_refused_is_noticed_when_the_ring_is_created)
{
	unsigned int fds = count_fds();
	struct evloop loop;

	refuse_calls(enter, EPERM);
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), -EPERM);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

START_TEST(epoll_wait_refused_is_noticed_when_the_loop_is_created)
{
	unsigned int fds = count_fds();
	struct evloop loop;

	refuse_calls(epoll, ENOSYS);
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_EPOLL), -ENOSYS);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

static const struct {
	const char *name;
	enum blk_engine engine;
	const int *call;  /* the system call that is refused */
	const char *next; /* what the log says about the engine that is used instead */
} fallbacks[] = {
	{ "io_uring without io_uring_enter", BLK_ENGINE_URING, enter, "using libaio" },
	{ "libaio without io_submit", BLK_ENGINE_LIBAIO, submit, "using sync" },
	{ "libaio without io_getevents", BLK_ENGINE_LIBAIO, get, "using sync" },
};

START_TEST(disk_whose_engine_is_refused_uses_the_next_one)
{
	static struct disk d;
	struct mock_blk req;

	capture_begin();
	refuse_calls(fallbacks[_i].call, EPERM);
	disk_init(&d, fallbacks[_i].engine);
	disk_open(&d);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(capture_count(fallbacks[_i].next), 1);
	ck_assert_uint_eq(capture_count(" is unavailable ("), 1);
	disk_fini(&d);
}
END_TEST

/* ---- after the start ---- */

static const struct {
	const char *name;
	const struct ioengine_ops *ops;
	const int *call; /* the system call that is refused */
	const char *logged;
} refusals[] = {
	{ "io_uring without io_uring_enter", &ioengine_uring, enter, "io_uring_enter" },
	{ "libaio without epoll_wait", &ioengine_libaio, epoll, "epoll_wait" },
	{ "libaio without io_getevents", &ioengine_libaio, get, "io_getevents" },
	{ "libaio without io_submit", &ioengine_libaio, submit, "io_submit" },
	{ "sync without epoll_wait", &ioengine_sync, epoll, "epoll_wait" },
};

static unsigned int told; /* number of broken() calls */

static void count_broken(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	(void)listener;
	ck_assert_uint_eq(queue, 0);
	ck_assert_ptr_nonnull(strstr(why, "host"));
	told++;
}

/* Offers five reads. */
static void offer(struct mockdrv *m, struct mock_blk *req)
{
	mock_forget(m);
	for (unsigned int i = 0; i < 5; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_IN, 8 * i, 4096);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	mock_kick(m);
}

START_TEST(refused_wait_or_submit_breaks_the_disk_and_stop_returns)
{
	static struct rig r;
	struct blkplane_listener listener = { .broken = count_broken };
	struct mock_blk req[5];

	capture_begin();
	rig_init_file(&r, refusals[_i].ops, 16, true);
	r.config.listener = &listener;
	rig_start(&r);
	mock_blk(&r.m, req, VIRTIO_BLK_T_IN, 0, 512);
	ck_assert_uint_eq(mock_do(&r.m, req, NULL), VIRTIO_BLK_S_OK);
	wait_idle_thread();
	refuse_calls(refusals[_i].call, EPERM);
	offer(&r.m, req);
	rig_wait_broken(&r);
	/* The thread does not spin. */
	mock_wait_until(thread_sleeps_in(0, SYS_futex));
	/* Calls that wait for requests in flight return. */
	blkplane_pause(r.plane);
	blkplane_resume(r.plane);
	blkplane_set_writethrough(r.plane, true);
	rig_stop(&r);
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(capture_count(refusals[_i].logged), 1);
	ck_assert_uint_eq(capture_count("Operation not permitted"), 1);
	/* The thread accepts no further plane. */
	ck_assert_int_eq(blkplane_start(&r.plane, &r.config), -EPERM);
	r.plane = NULL;
	rig_fini(&r);
}
END_TEST

/* EINTR does not mean that the host refuses the call. */
START_TEST(signal_while_libaio_is_probed)
{
	static struct disk d;

	capture_begin();
	refuse_calls(get, EINTR);
	disk_init(&d, BLK_ENGINE_LIBAIO);
	disk_open(&d);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_uint_eq(capture_count(" is unavailable ("), 0);
	disk_fini(&d);
}
END_TEST

/* The worker still executes discards, so that stop must wait for them. */
START_TEST(stop_waits_for_discards_of_a_failed_loop)
{
	struct evloop loop = { .failed = -EPERM };
	struct ioengine e = {
		.ops = &ioengine_uring, .config.loop = &loop, .in_flight = 2, .ranges_in_flight = 1
	};

	ck_assert(ioengine_transfers_done(&e));
	ck_assert(!ioengine_drained(&e));
	e.ranges_in_flight = 0;
	ck_assert(ioengine_drained(&e));
	e.ops = &ioengine_libaio;
	ck_assert(!ioengine_transfers_done(&e));
	ck_assert(!ioengine_drained(&e));
}
END_TEST

/* The driver sees NEEDS_RESET and can reset the disk, but the disk does not start again. */
START_TEST(driver_of_a_refused_disk_can_reset_it)
{
	static struct mockdrv q[2];
	static struct disk d;
	struct mock_blk req[5];

	capture_begin();
	queues_init(&d, BLK_ENGINE_URING, 2);
	d.config.iothreads = 1;
	disk_open(&d);
	queues_bring_up(&d, q, QUEUES_ALL(2), QUEUES_FEATURES);
	queues_read(&d, q, QUEUES_ALL(2));
	wait_idle_thread();
	refuse_calls(enter, EPERM);
	offer(&q[1], req);
	mock_wait_until(reg_status(&d.mmio) & ST_NEEDS_RESET);
	mock_wait_until(thread_sleeps_in(0, SYS_futex));
	ck_assert_uint_eq(capture_count("io_uring_enter: Operation not permitted"), 1);
	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(reg_status(&d.mmio), 0);
	ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES));
	reg_ring(&d.m, 16, DISK_FEATURES);
	ck_assert(reg_queue(&d.mmio, &d.m.ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	ck_assert(reg_status(&d.mmio) & ST_NEEDS_RESET);
	ck_assert_uint_eq(capture_count("cannot start the dataplane: Operation not permitted"), 1);
	disk_fini(&d);
}
END_TEST

/* A thread would wait forever for a timer that cannot be set. */
START_TEST(timer_that_is_refused_fails_the_loop)
{
	struct evloop loop;

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	refuse_calls(timer, EPERM);
	evloop_alarm(&loop, monotonic_ns() + 3600 * 1000000000ull);
	ck_assert_int_eq(loop.failed, -EPERM);
	evloop_wake(&loop);
	evloop_turn(&loop, true);
	evloop_end(&loop);
	evloop_destroy(&loop);
}
END_TEST

/* evloop_sqe returns an entry also when the ring is full and its loop has failed. */
START_TEST(full_ring_of_a_failed_loop_still_returns_entries)
{
	struct evloop loop;

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	refuse_calls(enter, ENOSYS);
	for (unsigned int i = 0; i < 1000; i++)
		io_uring_prep_nop(evloop_sqe(&loop));
	ck_assert_int_eq(loop.failed, -ENOSYS);
	ck_assert(!evloop_ready(&loop));
	evloop_turn(&loop, false);
	evloop_end(&loop);
	evloop_destroy(&loop);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("refused");
	TCase *t = tcase_create("refused");

	tcase_add_test(t, io_uring_enter_refused_is_noticed_when_the_ring_is_created);
	tcase_add_test(t, epoll_wait_refused_is_noticed_when_the_loop_is_created);
	tcase_add_table_test(t, disk_whose_engine_is_refused_uses_the_next_one, fallbacks);
	tcase_add_table_test(t, refused_wait_or_submit_breaks_the_disk_and_stop_returns, refusals);
	tcase_add_test(t, signal_while_libaio_is_probed);
	tcase_add_test(t, stop_waits_for_discards_of_a_failed_loop);
	tcase_add_test(t, driver_of_a_refused_disk_can_reset_it);
	tcase_add_test(t, timer_that_is_refused_fails_the_loop);
	tcase_add_test(t, full_ring_of_a_failed_loop_still_returns_entries);
	suite_add_tcase(s, t);
	return s;
}
