/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evloop: event loop of a dataplane thread, on epoll or io_uring.
 *
 * A loop has one of two kinds:
 *
 *	epoll	  epoll_wait sleeps until a watched eventfd is written to.
 *	io_uring  The ring also carries the requests of the io_uring engine: one io_uring_enter
 *		  submits prepared requests, collects completions and waits.
 *
 * Eventfds are watched edge-triggered: their counters are never read, and each write is a wake-up.
 * A wake-up does not tell which client needs service, so the thread checks all of its clients.
 *
 * One thread, the owner, uses a loop from evloop_begin on; only evloop_wake may be called by any
 * thread.
 *
 * A loop fails permanently when the host refuses to submit or to wait with an error that is not
 * transient, for example by a seccomp policy. The only system calls of a failed loop are those of
 * its sleep: it submits nothing, delivers no completion and watches nothing. The requests on its
 * ring are lost.
 */
#ifndef DATAPLANE_EVLOOP_H
#define DATAPLANE_EVLOOP_H

#include <liburing.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

enum evloop_kind { EVLOOP_EPOLL, EVLOOP_URING };

/* A watched eventfd. The caller owns the struct and keeps it valid from evloop_watch until
 * evloop_unwatch returns. */
struct ev_watch {
	int fd;
	bool armed;	      /* io_uring: a poll request of the ring refers to the struct */
	unsigned int wakeups; /* wake-ups so far; the owner may reset it */
};

/* A request on the ring. The loop calls done with the result of its completion (cqe->res). */
struct ev_request {
	void (*done)(struct ev_request *request, int res);
};

struct evloop {
	enum evloop_kind kind;
	int failed; /* atomic, written by the owner: -errno once the loop has failed */
	int wake_fd;
	int epoll_fd;
	struct io_uring ring;
	unsigned int files; /* number of files registered with the ring */
	struct ev_watch wake;
	int alarm_fd; /* timerfd, CLOCK_MONOTONIC */
	uint64_t alarm_at;
	struct ev_watch alarm;
	const char *failed_call;       /* the system call that the host refused */
	bool failure_logged;	       /* set by the client that has logged the failure */
	sem_t woken;		       /* posted by evloop_wake after the loop has failed */
	struct io_uring_sqe discarded; /* full ring of a failed loop: new requests go here */
};

/* Number of file descriptors that evloop_init opens: eventfd, timerfd, and the ring or the epoll
 * instance. No other function of the loop opens one. */
#define EVLOOP_FDS 3u

/* Initialises a loop. Returns 0 or -errno. For io_uring, -ENOSYS, -EPERM and -ENOMEM mean that the
 * host provides no ring; the host may also refuse only io_uring_enter. Any thread. */
int evloop_init(struct evloop *loop, enum evloop_kind kind);
/* Frees a loop. No eventfd may be watched and no request may be on the ring. Any thread, after the
 * owner has stopped using the loop. */
void evloop_destroy(struct evloop *loop);

/*
 * Restricts the ring to the requests and calls that the engines need
 * (IORING_REGISTER_RESTRICTIONS), even if an attacker controls the process.
 * Called before evloop_begin; has no effect where the kernel does not support it.
 */
void evloop_restrict(struct evloop *loop);

/* Makes the calling thread the owner, enables the ring and watches the loop's own descriptors.
 * Returns 0 or -errno. */
int evloop_begin(struct evloop *loop);

/* Starts to watch fd. An eventfd that is readable already counts as a first wake-up. Returns 0 or
 * -errno. */
int evloop_watch(struct evloop *loop, struct ev_watch *watch, int fd);
/* Stops watching. The function may collect completions and call their done functions. */
void evloop_unwatch(struct evloop *loop, struct ev_watch *watch);

/* Returns a submission queue entry, never NULL. The caller fills it in and then calls
 * evloop_request. io_uring only. */
struct io_uring_sqe *evloop_sqe(struct evloop *loop);
/* Sets the request whose done function receives the completion of sqe. */
void evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);

/*
 * Registers a file with the ring, which saves the kernel a file reference for each request.
 * Returns the file's index for IOSQE_FIXED_FILE, or -errno, in which case the caller uses the
 * descriptor. The kernel keeps the file open until the ring is gone, which may be some time after
 * the process has ended. io_uring only.
 */
int evloop_register_file(struct evloop *loop, int fd);

/*
 * Submits the prepared requests and delivers completions. With `wait`, the function sleeps until
 * there is a completion or a wake-up. A failed loop sleeps until evloop_wake, or for a short time.
 */
void evloop_turn(struct evloop *loop, bool wait);

/* Returns whether a turn would find something to do. Makes no system call. */
bool evloop_ready(const struct evloop *loop);

/* Sets the loop's only alarm: a wait ends at time `at` (CLOCK_MONOTONIC, ns, in the future) at the
 * latest. A later call replaces the time. */
void evloop_alarm(struct evloop *loop, uint64_t at);

/*
 * Marks the loop as failed, because the host refuses `call` (a static string) with `err` (-errno);
 * only the first reason is recorded. An engine calls this when the host refuses its own system
 * calls. Owner only.
 */
void evloop_fail(struct evloop *loop, int err, const char *call);

/* Stops watching the descriptors that evloop_begin watches. The owner's last call. */
void evloop_end(struct evloop *loop);

/* Ends the owner's wait, or its next one if it is not waiting. Any thread. */
void evloop_wake(struct evloop *loop);

#endif
