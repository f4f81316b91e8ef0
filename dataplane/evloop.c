/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/evloop.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "dataplane/base.h"

#define EVENTS_PER_WAIT 8

/* Places for what is prepared between two turns; when there are more, they are submitted early.
 * Completions that find the other ring full wait in the kernel. */
#define SQ_ENTRIES 128
#define CQ_ENTRIES 1024
/* For how long the kernel's submitting thread spins in vain before it sleeps: the least there is. */
#define SQ_IDLE_MS 1
/* A thread serves fewer disks' queues. */
#define FILES 64
/* 1 TiB of memory, in several regions. */
#define PIECES (1024 + HOSTMEM_MAX_REGIONS)

/* user_data is the address of an ev_request, or of an ev_watch with this bit, or 0. */
#define TAG_WATCH 1u

/* ---- io_uring ---- */

/* The ring is born disabled: who enables it owns it. */
static int create(struct io_uring *ring, unsigned int flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED | flags,
		.cq_entries = CQ_ENTRIES,
		.sq_thread_idle = SQ_IDLE_MS,
	};

	return io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
}

/* The kernel need not look out for other threads, and runs completions only when asked. */
static int create_owned(struct io_uring *ring, unsigned int more)
{
	int err = create(ring, more | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
				       IORING_SETUP_TASKRUN_FLAG);

	return err == -EINVAL ? create(ring, more) : err; /* Linux before 6.1 */
}

static int create_rings(struct evloop *loop)
{
	int err;

	/* With a thread of the kernel's, a system call only where it has to be woken. */
	if (loop->kind == EVLOOP_SQPOLL) {
		loop->submit = io_uring_submit;
		return create(&loop->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQPOLL);
	}
	loop->submit = io_uring_submit_and_get_events;
	err = create_owned(&loop->ring, 0);
	if (err || loop->kind != EVLOOP_IOPOLL)
		return err;
	err = create_owned(&loop->polled, IORING_SETUP_IOPOLL);
	if (err)
		io_uring_queue_exit(&loop->ring);
	return err;
}

/* What is set up is set up for each ring. */
static unsigned int rings(const struct evloop *loop)
{
	return loop->kind == EVLOOP_EPOLL ? 0 : loop->kind == EVLOOP_IOPOLL ? 2 : 1;
}

static struct io_uring *ring(struct evloop *loop, unsigned int n)
{
	return n ? &loop->polled : &loop->ring;
}

static int ring_init(struct evloop *loop)
{
	int err = create_rings(loop);

	if (err)
		return err;
	/* Linux before 5.19 has no empty places; files are then not registered. */
	for (unsigned int i = 0; i < rings(loop); i++)
		if (io_uring_register_files_sparse(ring(loop, i), FILES))
			loop->files = FILES;
	return 0;
}

void evloop_restrict(struct evloop *loop)
{
	static const uint8_t requests[] = {
		IORING_OP_READ,		IORING_OP_WRITE,      IORING_OP_READV,
		IORING_OP_WRITEV,	IORING_OP_FSYNC,      IORING_OP_POLL_ADD,
		IORING_OP_ASYNC_CANCEL, IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED,
	};
	static const uint8_t calls[] = {
		IORING_REGISTER_ENABLE_RINGS,
		IORING_REGISTER_FILES_UPDATE,
		IORING_REGISTER_RING_FDS,
		IORING_UNREGISTER_RING_FDS,
	};
	struct io_uring_restriction list[ARRAY_SIZE(requests) + ARRAY_SIZE(calls) + 1] = { 0 };
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
		list[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_OP,
							   .sqe_op = requests[i] };
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++)
		list[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_REGISTER_OP,
							   .register_op = calls[i] };
	list[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
						   .sqe_flags = IOSQE_FIXED_FILE };
	for (unsigned int i = 0; i < rings(loop); i++)
		io_uring_register_restrictions(ring(loop, i), list, n);
}

int evloop_register_memory(struct evloop *loop, const struct hostmem *mem)
{
	struct iovec piece[PIECES];
	unsigned int n = 0;
	int err;

	for (unsigned int i = 0; i < mem->count; i++) {
		const struct hostmem_region *r = &mem->region[i];

		loop->fixed[i] = (struct ev_fixed){ (uintptr_t)r->hva, r->size, n };
		for (uint64_t at = 0; at < r->size; at += EVLOOP_PIECE) {
			uint64_t left = r->size - at;

			if (n == PIECES)
				return -E2BIG;
			piece[n].iov_base = (char *)r->hva + at;
			piece[n++].iov_len = left < EVLOOP_PIECE ? left : EVLOOP_PIECE;
		}
	}
	err = io_uring_register_buffers(&loop->ring, piece, n);
	if (!err && rings(loop) == 2) {
		err = io_uring_register_buffers(&loop->polled, piece, n);
		if (err)
			io_uring_unregister_buffers(&loop->ring);
	}
	if (!err)
		loop->fixed_count = mem->count;
	return err;
}

int evloop_register_file(struct evloop *loop, int fd)
{
	if (loop->files == FILES)
		return -ENFILE;
	for (unsigned int i = 0; i < rings(loop); i++) {
		int n = io_uring_register_files_update(ring(loop, i), loop->files, &fd, 1);

		if (n < 0)
			return n;
	}
	return (int)loop->files++;
}

static struct io_uring_sqe *make_room(struct evloop *loop, struct io_uring *ring)
{
	struct io_uring_sqe *sqe;

	do {
		/* Refused while completions are waiting to be collected. */
		if (io_uring_submit(ring) < 0)
			evloop_turn(loop, false);
		/* The kernel's thread, if there is one, takes them off in its own time. */
		io_uring_sqring_wait(ring);
		sqe = io_uring_get_sqe(ring);
	} while (!sqe);
	return sqe;
}

struct io_uring_sqe *evloop_sqe(struct evloop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	return sqe ? sqe : make_room(loop, &loop->ring);
}

struct io_uring_sqe *evloop_polled_sqe(struct evloop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->polled);

	if (!sqe)
		sqe = make_room(loop, &loop->polled);
	loop->polling++;
	return sqe;
}

void evloop_request(struct io_uring_sqe *sqe, struct ev_request *request)
{
	io_uring_sqe_set_data(sqe, request);
}

static void ring_arm_watch(struct evloop *loop, struct ev_watch *watch)
{
	struct io_uring_sqe *sqe = evloop_sqe(loop);

	io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, (uintptr_t)watch | TAG_WATCH);
	watch->armed = true;
}

static void ring_completion(struct evloop *loop, uint64_t user_data, int res, bool more)
{
	uintptr_t data = (uintptr_t)user_data;

	if (data & TAG_WATCH) {
		struct ev_watch *watch = (struct ev_watch *)(data - TAG_WATCH);

		watch->armed = more;
		watch->wakeups += res > 0;
		if (!more && watch->fd >= 0)
			ring_arm_watch(loop, watch);
	} else if (data) {
		struct ev_request *request = (struct ev_request *)data;

		request->done(request, res);
	}
}

static bool ring_wants_kernel(const struct evloop *loop)
{
	return READ_ONCE(*loop->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* No more than were there; and each is taken off first, since what it leads to may need a turn of
 * its own. */
static inline void hand_out(struct evloop *loop, struct io_uring *ring, unsigned int *pending)
{
	struct io_uring_cqe *cqe;

	for (unsigned int left = io_uring_cq_ready(ring); left && io_uring_cq_ready(ring); left--) {
		io_uring_peek_cqe(ring, &cqe);
		uint64_t data = cqe->user_data;
		int res = cqe->res;
		bool more = cqe->flags & IORING_CQE_F_MORE;

		io_uring_cq_advance(ring, 1);
		if (pending)
			--*pending;
		ring_completion(loop, data, res, more);
	}
}

static void ring_turn(struct evloop *loop, bool wait)
{
	struct io_uring *ring = &loop->ring;

	if (loop->polling) {
		/* What is asked for is also polled for, once. */
		io_uring_submit_and_get_events(&loop->polled);
		hand_out(loop, &loop->polled, &loop->polling);
		wait = false;
	}
	/* Errors (a signal, too little memory, too many completions unread) leave what was not
	 * submitted in its place, for the next turn. */
	if (wait && !io_uring_cq_ready(ring))
		io_uring_submit_and_wait(ring, 1);
	else if (io_uring_sq_ready(ring) || ring_wants_kernel(loop))
		loop->submit(ring);

	hand_out(loop, ring, NULL);
}

static void ring_unwatch(struct evloop *loop, struct ev_watch *watch)
{
	struct io_uring_sqe *sqe;

	watch->fd = -1;
	sqe = evloop_sqe(loop);
	/* Not POLL_REMOVE: it gives up when the poll is just being woken. */
	io_uring_prep_cancel64(sqe, (uintptr_t)watch | TAG_WATCH, 0);
	io_uring_sqe_set_data(sqe, NULL);
	while (watch->armed)
		evloop_turn(loop, true);
}

/* ---- both ---- */

int evloop_init(struct evloop *loop, enum evloop_kind kind)
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
	if (kind != EVLOOP_EPOLL) {
		err = ring_init(loop);
	} else {
		loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (loop->epoll_fd < 0)
			err = -errno;
	}
	if (err) {
		close(loop->alarm_fd);
		close(loop->wake_fd);
	}
	return err;
}

void evloop_destroy(struct evloop *loop)
{
	for (unsigned int i = 0; i < rings(loop); i++)
		io_uring_queue_exit(ring(loop, i));
	if (loop->kind == EVLOOP_EPOLL)
		close(loop->epoll_fd);
	close(loop->alarm_fd);
	close(loop->wake_fd);
}

int evloop_begin(struct evloop *loop)
{
	int err;

	for (unsigned int i = 0; i < rings(loop); i++) {
		err = io_uring_enable_rings(ring(loop, i));
		if (err)
			return err;
		/* The same for the ring's own descriptor; where it cannot be had, calls go by that. */
		io_uring_register_ring_fd(ring(loop, i));
	}
	err = evloop_watch(loop, &loop->wake, loop->wake_fd);
	return err ? err : evloop_watch(loop, &loop->alarm, loop->alarm_fd);
}

void evloop_end(struct evloop *loop)
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
	timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

int evloop_watch(struct evloop *loop, struct ev_watch *watch, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = watch };

	*watch = (struct ev_watch){ .fd = fd };
	if (loop->kind != EVLOOP_EPOLL) {
		ring_arm_watch(loop, watch);
		return 0;
	}
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void evloop_unwatch(struct evloop *loop, struct ev_watch *watch)
{
	if (loop->kind != EVLOOP_EPOLL)
		ring_unwatch(loop, watch);
	else
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

/* A signal only means another round. */
static void epoll_sleep(struct evloop *loop)
{
	struct epoll_event events[EVENTS_PER_WAIT];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, -1);

	for (int i = 0; i < n; i++)
		((struct ev_watch *)events[i].data.ptr)->wakeups++;
}

void evloop_turn(struct evloop *loop, bool wait)
{
	if (loop->kind != EVLOOP_EPOLL)
		ring_turn(loop, wait);
	else if (wait)
		epoll_sleep(loop);
}

bool evloop_ready(const struct evloop *loop)
{
	return loop->kind != EVLOOP_EPOLL &&
	       (io_uring_cq_ready(&loop->ring) || ring_wants_kernel(loop));
}

void evloop_wake(struct evloop *loop)
{
	uint64_t one = 1;
	/* Fails only when the counter is full, and then the loop is being told anyway. */
	ssize_t ignored = write(loop->wake_fd, &one, sizeof(one));

	(void)ignored;
}
