/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/evloop_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "dataplane/base.h"

#define EVENTS_PER_WAIT 8

/* Longest sleep of a failed loop, in ns. The thread checks at this interval for completions that an
 * engine collects without the loop (libaio). */
#define FAILED_WAIT_NS 100000000u

/* In an SQE, user_data is the address of an ev_request, the address of an ev_watch with this bit
 * set, or 0. */
#define TAG_WATCH 1u

/* ---- failure of the loop ---- */

void evloop_fail(struct evloop *loop, int err, const char *call)
{
	if (loop->failed)
		return;
	loop->failed_call = call;
	/* evloop_wake reads this on other threads. If it still reads 0, the owner notices that
	 * wake-up when its current sleep ends, FAILED_WAIT_NS later at most. */
	WRITE_ONCE(loop->failed, err);
}

static void evloop_sleep_failed(struct evloop *loop)
{
	uint64_t end = monotonic_ns() + FAILED_WAIT_NS;
	const struct timespec until = { .tv_sec = (time_t)(end / 1000000000u),
					.tv_nsec = (long)(end % 1000000000u) };

	sem_clockwait(&loop->woken, CLOCK_MONOTONIC, &until);
}

/* ---- io_uring ---- */

/*
 * Handles an error of io_uring_enter, or of a poll. A signal, a shortage of memory, and too many
 * uncollected completions (EBUSY) are transient: requests that were not submitted stay in the
 * submission queue for the next turn. Every other error is permanent.
 */
static __attribute__((noinline)) void evloop_call_failed(struct evloop *loop, int err,
							 const char *call)
{
	if (err != -EINTR && err != -EAGAIN && err != -ENOMEM && err != -EBUSY)
		evloop_fail(loop, err, call);
}

static inline void evloop_entered(struct evloop *loop, int res)
{
	if (__builtin_expect(res < 0, 0))
		evloop_call_failed(loop, res, "io_uring_enter");
}

/* Submits the full ring early and returns a free entry. After a failure of the loop, returns an
 * entry that is never submitted. */
static struct io_uring_sqe *evloop_make_room(struct evloop *loop)
{
	struct io_uring_sqe *sqe = NULL;

	while (!sqe && !loop->failed) {
		int res = io_uring_submit(&loop->ring);

		evloop_entered(loop, res);
		/* The kernel may refuse until pending completions are collected. */
		if (res < 0)
			evloop_turn(loop, false);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	return sqe ? sqe : &loop->discarded;
}

struct io_uring_sqe *evloop_sqe(struct evloop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	return sqe ? sqe : evloop_make_room(loop);
}

void evloop_request(struct io_uring_sqe *sqe, struct ev_request *request)
{
	io_uring_sqe_set_data(sqe, request);
}

static void evloop_ring_arm_watch(struct evloop *loop, struct ev_watch *watch)
{
	struct io_uring_sqe *sqe = evloop_sqe(loop);

	io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, (uintptr_t)watch | TAG_WATCH);
	watch->armed = true;
}

static void evloop_ring_completion(struct evloop *loop, uint64_t user_data, int res, bool more)
{
	uintptr_t data = (uintptr_t)user_data;

	if (data & TAG_WATCH) {
		struct ev_watch *watch = (struct ev_watch *)(data - TAG_WATCH);

		watch->armed = more;
		watch->wakeups += res > 0;
		if (more || watch->fd < 0)
			return;
		/* A poll that the kernel refuses would be refused again at once. */
		if (res < 0)
			evloop_call_failed(loop, res, "io_uring poll");
		evloop_ring_arm_watch(loop, watch);
	} else if (data) {
		struct ev_request *request = (struct ev_request *)data;

		request->done(request, res);
	}
}

static bool evloop_ring_wants_kernel(const struct evloop *loop)
{
	return READ_ONCE(*loop->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Delivers the completions that were there at the start, and no later ones. Each is removed from
 * the ring before it is delivered, because its done function may need a turn of its own. */
static inline void evloop_hand_out(struct evloop *loop)
{
	struct io_uring *ring = &loop->ring;
	struct io_uring_cqe *cqe;

	for (unsigned int left = io_uring_cq_ready(ring); left && io_uring_cq_ready(ring); left--) {
		io_uring_peek_cqe(ring, &cqe);
		uint64_t data = cqe->user_data;
		int res = cqe->res;
		bool more = cqe->flags & IORING_CQE_F_MORE;

		io_uring_cq_advance(ring, 1);
		evloop_ring_completion(loop, data, res, more);
	}
}

static void evloop_ring_turn(struct evloop *loop, bool wait)
{
	struct io_uring *ring = &loop->ring;

	if (wait && !io_uring_cq_ready(ring))
		evloop_entered(loop, io_uring_submit_and_wait(ring, 1));
	else if (io_uring_sq_ready(ring) || evloop_ring_wants_kernel(loop))
		evloop_entered(loop, io_uring_submit_and_get_events(ring));

	evloop_hand_out(loop);
}

static void evloop_ring_unwatch(struct evloop *loop, struct ev_watch *watch)
{
	struct io_uring_sqe *sqe;

	watch->fd = -1;
	sqe = evloop_sqe(loop);
	/* POLL_REMOVE would fail if the poll is being woken at this moment; ASYNC_CANCEL
	 * does not. */
	io_uring_prep_cancel64(sqe, (uintptr_t)watch | TAG_WATCH, 0);
	io_uring_sqe_set_data(sqe, NULL);
	while (watch->armed && !loop->failed)
		evloop_turn(loop, true);
}

/* ---- all kinds ---- */

/* Creates the epoll instance and tries epoll_wait once, so that a host that refuses this call is
 * noticed at set-up and not when a guest waits for its disk. */
static int evloop_create_epoll(struct evloop *loop)
{
	struct epoll_event none;
	int err;

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	if (epoll_wait(loop->epoll_fd, &none, 1, 0) >= 0)
		return 0;
	err = -errno;
	close(loop->epoll_fd);
	return err;
}

COLD int evloop_init(struct evloop *loop, enum evloop_kind kind)
{
	int err = 0;

	*loop = (struct evloop){ .kind = kind, .epoll_fd = -1, .ring.ring_fd = -1 };
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return -errno;
	loop->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->alarm_fd < 0) {
		err = -errno;
		close(loop->wake_fd);
		return err;
	}
	err = kind == EVLOOP_EPOLL ? evloop_create_epoll(loop) : evloop_create_ring(loop);
	if (err) {
		close(loop->alarm_fd);
		close(loop->wake_fd);
		return err;
	}
	sem_init(&loop->woken, 0, 0);
	return 0;
}

COLD void evloop_destroy(struct evloop *loop)
{
	if (loop->kind == EVLOOP_EPOLL)
		close(loop->epoll_fd);
	else
		io_uring_queue_exit(&loop->ring);
	close(loop->alarm_fd);
	close(loop->wake_fd);
	sem_destroy(&loop->woken);
}

COLD int evloop_begin(struct evloop *loop)
{
	int err;

	if (loop->kind == EVLOOP_URING) {
		/* The shared liburing of Debian 12 does not export io_uring_enable_rings(). */
		err = io_uring_register((unsigned int)loop->ring.ring_fd,
					IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		if (err)
			return err;
		/* Registers the ring's own descriptor, which saves the kernel a lookup for each
		 * call. Where this fails, liburing uses the descriptor. */
		io_uring_register_ring_fd(&loop->ring);
	}
	err = evloop_watch(loop, &loop->wake, loop->wake_fd);
	return err ? err : evloop_watch(loop, &loop->alarm, loop->alarm_fd);
}

COLD void evloop_end(struct evloop *loop)
{
	evloop_unwatch(loop, &loop->alarm);
	evloop_unwatch(loop, &loop->wake);
}

void evloop_alarm(struct evloop *loop, uint64_t at)
{
	const struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(at / 1000000000u),
			      .tv_nsec = (long)(at % 1000000000u) },
	};

	if (at == loop->alarm_at)
		return;
	loop->alarm_at = at;
	if (timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL))
		evloop_fail(loop, -errno, "timerfd_settime");
}

COLD int evloop_watch(struct evloop *loop, struct ev_watch *watch, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = watch };

	*watch = (struct ev_watch){ .fd = fd };
	if (loop->failed)
		return loop->failed;
	if (loop->kind != EVLOOP_EPOLL) {
		evloop_ring_arm_watch(loop, watch);
		return 0;
	}
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

COLD void evloop_unwatch(struct evloop *loop, struct ev_watch *watch)
{
	if (loop->kind != EVLOOP_EPOLL)
		evloop_ring_unwatch(loop, watch);
	else
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

/* Sleeps in epoll_wait. EINTR is ignored, since the caller loops; every other error is
 * permanent. */
static void evloop_epoll_sleep(struct evloop *loop)
{
	struct epoll_event events[EVENTS_PER_WAIT];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, -1);

	if (n < 0 && errno != EINTR)
		evloop_fail(loop, -errno, "epoll_wait");
	for (int i = 0; i < n; i++)
		((struct ev_watch *)events[i].data.ptr)->wakeups++;
}

void evloop_turn(struct evloop *loop, bool wait)
{
	if (__builtin_expect(loop->failed, 0)) {
		if (wait)
			evloop_sleep_failed(loop);
	} else if (loop->kind != EVLOOP_EPOLL) {
		evloop_ring_turn(loop, wait);
	} else if (wait) {
		evloop_epoll_sleep(loop);
	}
}

bool evloop_ready(const struct evloop *loop)
{
	return loop->kind != EVLOOP_EPOLL && !loop->failed &&
	       (io_uring_cq_ready(&loop->ring) || evloop_ring_wants_kernel(loop));
}

void evloop_wake(struct evloop *loop)
{
	eventfd_signal(loop->wake_fd);
	if (READ_ONCE(loop->failed))
		sem_post(&loop->woken);
}
