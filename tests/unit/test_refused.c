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

/* ---- what is logged ---- */

static int log_fd, stderr_fd;

static void begin_to_listen(void)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	stderr_fd = dup(STDERR_FILENO);
	must(log_fd >= 0 && stderr_fd >= 0 && dup2(log_fd, STDERR_FILENO) >= 0);
}

/* How many times the log has those words. */
static unsigned int heard(const char *words)
{
	static char text[8192];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
	unsigned int count = 0;

	must(n >= 0);
	text[n] = 0;
	for (const char *at = text; (at = strstr(at, words)); at++)
		count++;
	return count;
}

/* ---- from the start ---- */

START_TEST(io_uring_enter_refused_is_noticed_when_the_ring_is_made)
{
	static const enum evloop_kind kinds[] = { EVLOOP_URING, EVLOOP_IOPOLL };
	unsigned int fds = count_fds();
	struct evloop loop;

	refuse_calls(enter, EPERM);
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		ck_assert_int_eq(evloop_init(&loop, kinds[i]), -EPERM);
		ck_assert_uint_eq(count_fds(), fds);
	}
}
END_TEST

START_TEST(epoll_wait_refused_is_noticed_when_the_loop_is_made)
{
	unsigned int fds = count_fds();
	struct evloop loop;

	refuse_calls(epoll, ENOSYS);
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_EPOLL), -ENOSYS);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

/* An engine, what is refused, and the engine that the disk gets instead. */
static const struct {
	enum blk_engine engine;
	const int *call;
	const char *next;
} falls[] = {
	{ BLK_ENGINE_URING, enter, "using libaio" },
	{ BLK_ENGINE_IOPOLL, enter, "using libaio" },
	{ BLK_ENGINE_LIBAIO, submit, "using sync" },
	{ BLK_ENGINE_LIBAIO, get, "using sync" },
};

START_TEST(disk_whose_engine_is_refused_takes_the_next_one)
{
	static struct disk d;
	struct mock_blk req;

	begin_to_listen();
	refuse_calls(falls[_i].call, EPERM);
	disk_init(&d, falls[_i].engine);
	disk_open(&d);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(heard(falls[_i].next), 1);
	ck_assert_uint_eq(heard(" is unavailable ("), 1);
	disk_fini(&d);
}
END_TEST

/* ---- from some moment on ---- */

static const struct {
	const struct ioengine_ops *ops;
	const int *call;
	const char *name;
} ways[] = {
	{ &ioengine_uring, enter, "io_uring_enter" }, { &ioengine_iopoll, enter, "io_uring_enter" },
	{ &ioengine_libaio, epoll, "epoll_wait" },    { &ioengine_libaio, get, "io_getevents" },
	{ &ioengine_libaio, submit, "io_submit" },    { &ioengine_sync, epoll, "epoll_wait" },
};

static unsigned int told;

static void count_broken(struct blkplane_listener *watch, unsigned int queue, const char *why)
{
	(void)watch;
	ck_assert_uint_eq(queue, 0);
	ck_assert_ptr_nonnull(strstr(why, "host"));
	told++;
}

/* Five reads are offered to a thread that has just begun to be refused. */
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

START_TEST(refused_wait_or_submit_breaks_the_disk_and_heeds_a_stop)
{
	static struct rig r;
	struct blkplane_listener watch = { .broken = count_broken };
	struct mock_blk req[5];

	begin_to_listen();
	rig_init_file(&r, ways[_i].ops, 16, true);
	r.config.listener = &watch;
	rig_start(&r);
	mock_blk(&r.m, req, VIRTIO_BLK_T_IN, 0, 512);
	ck_assert_uint_eq(mock_do(&r.m, req, NULL), VIRTIO_BLK_S_OK);
	wait_idle_thread();
	refuse_calls(ways[_i].call, EPERM);
	offer(&r.m, req);
	rig_wait_broken(&r);
	/* It does not spin. */
	mock_wait_until(thread_sleeps_in(0, SYS_futex));
	/* Whatever waits for the host's I/O has its answer. */
	blkplane_pause(r.plane);
	blkplane_resume(r.plane);
	blkplane_set_writethrough(r.plane, true);
	rig_stop(&r);
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(heard(ways[_i].name), 1);
	ck_assert_uint_eq(heard("Operation not permitted"), 1);
	/* It is not served again. */
	ck_assert_int_eq(blkplane_start(&r.plane, &r.config), -EPERM);
	r.plane = NULL;
	rig_fini(&r);
}
END_TEST

/* A host that answers as after a signal is not one that refuses. */
START_TEST(signal_at_the_trial_of_libaio)
{
	static struct disk d;

	begin_to_listen();
	refuse_calls(get, EINTR);
	disk_init(&d, BLK_ENGINE_LIBAIO);
	disk_open(&d);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_uint_eq(heard(" is unavailable ("), 0);
	disk_fini(&d);
}
END_TEST

/* What the helper thread does is not lost: a stop waits for it. */
START_TEST(discards_of_a_failed_loop_are_waited_for)
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

/* The driver sees that it has to reset its disk, can do so, and finds that the disk does not
 * start. */
START_TEST(driver_of_a_refused_disk_can_reset_it)
{
	static struct mockdrv q[2];
	static struct disk d;
	struct mock_blk req[5];

	begin_to_listen();
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
	ck_assert_uint_eq(heard("io_uring_enter: Operation not permitted"), 1);
	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(reg_status(&d.mmio), 0);
	ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES));
	reg_ring(&d.m, 16, DISK_FEATURES);
	ck_assert(reg_queue(&d.mmio, &d.m.ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	ck_assert(reg_status(&d.mmio) & ST_NEEDS_RESET);
	ck_assert_uint_eq(heard("cannot start the dataplane: Operation not permitted"), 1);
	disk_fini(&d);
}
END_TEST

/* Whoever waits for an alarm that cannot be set would wait for ever. */
START_TEST(alarm_that_is_refused)
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

/* A ring that is full when its loop fails has a place for whatever comes. */
START_TEST(full_ring_that_is_refused)
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

/* Only turns see polled requests through, and there are no more turns. */
START_TEST(polled_requests_of_a_failed_loop_are_not_turned_for)
{
	struct evloop loop;

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_IOPOLL), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	refuse_calls(enter, EPERM);
	io_uring_prep_nop(evloop_polled_sqe(&loop));
	ck_assert(evloop_polling(&loop));
	evloop_turn(&loop, true);
	ck_assert_int_eq(loop.failed, -EPERM);
	ck_assert(!evloop_polling(&loop));
	evloop_end(&loop);
	evloop_destroy(&loop);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("refused");
	TCase *t = tcase_create("refused");

	tcase_add_test(t, io_uring_enter_refused_is_noticed_when_the_ring_is_made);
	tcase_add_test(t, epoll_wait_refused_is_noticed_when_the_loop_is_made);
	tcase_add_loop_test(t, disk_whose_engine_is_refused_takes_the_next_one, 0,
			    ARRAY_SIZE(falls));
	tcase_add_loop_test(t, refused_wait_or_submit_breaks_the_disk_and_heeds_a_stop, 0,
			    ARRAY_SIZE(ways));
	tcase_add_test(t, signal_at_the_trial_of_libaio);
	tcase_add_test(t, discards_of_a_failed_loop_are_waited_for);
	tcase_add_test(t, driver_of_a_refused_disk_can_reset_it);
	tcase_add_test(t, alarm_that_is_refused);
	tcase_add_test(t, full_ring_that_is_refused);
	tcase_add_test(t, polled_requests_of_a_failed_loop_are_not_turned_for);
	suite_add_tcase(s, t);
	return s;
}
