/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evloop: where a dataplane thread hands work to the host and sleeps. There are three kinds:
 *
 *	epoll	  sleeps until a watched eventfd is written to.
 *	io_uring  the same, and the ring engines put their requests on: what was prepared is
 *		  submitted, completions are collected, and the wait is done by one system call.
 *	iopoll	  io_uring with a second ring, for reads and writes that the kernel polls its
 *		  device for. While there are any, a turn asks for them and does not wait.
 *
 * Eventfds are watched edge-triggered: their counters are never read, and each write is a
 * wake-up. A wake-up does not say who woke: the thread looks at everything it serves.
 *
 * One thread, the owner, uses a loop, from evloop_begin on; only evloop_wake is for any thread.
 *
 * A loop fails, for good, when the host refuses to submit or to wait with an error that does not
 * pass, as a seccomp policy does. A failed loop makes no system call but for its sleep: it
 * submits nothing, hands out no completion and watches nothing. The requests that were on its
 * ring are lost.
 */
#ifndef DATAPLANE_EVLOOP_H
#define DATAPLANE_EVLOOP_H

#include <liburing.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/hostmem.h"

enum evloop_kind { EVLOOP_EPOLL, EVLOOP_URING, EVLOOP_IOPOLL };

/* A watched eventfd. The caller's, from watch to unwatch. */
struct ev_watch {
	int fd;
	bool armed;	      /* io_uring: the ring refers to it */
	unsigned int wakeups; /* so far; the owner may set it back */
};

/* A request on the ring: what its completion is handed to. */
struct ev_request {
	void (*done)(struct ev_request *request, int res);
};

/* Guest RAM that the ring holds, in pieces of EVLOOP_PIECE bytes, numbered from `first` on. */
#define EVLOOP_PIECE (1ull << 30)

struct ev_fixed {
	uintptr_t base;
	uint64_t size;
	unsigned int first;
};

struct evloop {
	enum evloop_kind kind;
	int failed; /* atomic, the owner writes it: -errno once the loop has failed */
	int wake_fd;
	int epoll_fd;
	struct io_uring ring;
	struct io_uring polled; /* iopoll */
	unsigned int polling;	/* requests put there and not yet completed */
	unsigned int files;	/* registered with the ring, or with both */
	unsigned int fixed_count;
	struct ev_fixed fixed[HOSTMEM_MAX_REGIONS];
	struct ev_watch wake;
	int alarm_fd; /* a timerfd */
	uint64_t alarm_at;
	struct ev_watch alarm;
	const char *failed_call;       /* the system call that was refused */
	bool failure_logged;	       /* the owner's clients': one line is enough */
	sem_t woken;		       /* by evloop_wake, once the loop has failed */
	struct io_uring_sqe discarded; /* where requests go that find the ring full then */
};

/* 0 or -errno (io_uring: -ENOSYS, -EPERM, -ENOMEM where the host does not lend one, also where it
 * refuses io_uring_enter alone). Any thread. */
int evloop_init(struct evloop *loop, enum evloop_kind kind);
/* How many descriptors evloop_init opens; no other function opens one. */
unsigned int evloop_fds(enum evloop_kind kind);
/* Nothing may be watched or on the ring. Any thread, when the owner is gone. */
void evloop_destroy(struct evloop *loop);

/* Before evloop_begin: from then on the ring takes only what the engines need, also from whoever has
 * got hold of it. Does nothing where the kernel cannot. */
void evloop_restrict(struct evloop *loop);

/*
 * Before evloop_begin: memory that the ring holds spares the kernel to look its pages up for each
 * request. All of it is locked, and so becomes resident, until the ring is gone. 0 or -errno
 * (-ENOMEM: more than RLIMIT_MEMLOCK; -E2BIG: more than 1 TiB). io_uring only.
 */
int evloop_register_memory(struct evloop *loop, const struct hostmem *mem);

/* Its number (buf_index), if all of *iov is in one piece of what the ring holds; else -1. */
static inline int evloop_fixed(const struct evloop *loop, const struct iovec *iov)
{
	for (unsigned int i = 0; i < loop->fixed_count; i++) {
		const struct ev_fixed *f = &loop->fixed[i];
		uint64_t at = (uintptr_t)iov->iov_base - f->base;

		if (at < f->size && at % EVLOOP_PIECE + iov->iov_len <= EVLOOP_PIECE)
			return (int)(f->first + at / EVLOOP_PIECE);
	}
	return -1;
}

/* The caller is the owner from now on. 0 or -errno. */
int evloop_begin(struct evloop *loop);

/* What was readable before counts as a first wake-up. 0 or -errno. */
int evloop_watch(struct evloop *loop, struct ev_watch *watch, int fd);
/* May collect completions. */
void evloop_unwatch(struct evloop *loop, struct ev_watch *watch);

/* A place for a request; never NULL. The caller fills it in and ends with evloop_request. io_uring
 * only. */
struct io_uring_sqe *evloop_sqe(struct evloop *loop);
void evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);
/* The same on the ring for polled ones, which takes reads and writes only. iopoll only. */
struct io_uring_sqe *evloop_polled_sqe(struct evloop *loop);

/*
 * A file that the ring holds spares the kernel a reference for each request. Its number on this ring
 * (IOSQE_FIXED_FILE), or -errno, and then the descriptor has to do. The ring holds it until it is
 * gone, which may be some time after its process is. io_uring only.
 */
int evloop_register_file(struct evloop *loop, int fd);

/* Submit what was prepared, hand out completions; `wait`: until there was one, or a wake-up, but not
 * while anything is polled for. A failed loop waits until evloop_wake, or for a short time. */
void evloop_turn(struct evloop *loop, bool wait);

/* Only turns see polled requests through: who has any must not sleep, nor look on for long. */
static inline bool evloop_polling(const struct evloop *loop)
{
	return loop->polling && !loop->failed;
}

/* Has a turn something to do? No system call. */
bool evloop_ready(const struct evloop *loop);

/* A wait ends at that time (CLOCK_MONOTONIC, ns, not yet over), if it has not before. There is one alarm:
 * another time takes its place. */
void evloop_alarm(struct evloop *loop, uint64_t at);

/* The loop has failed, because the host refuses `call` (static) with `err` (-errno); only the first
 * reason counts. Also for an engine that the host refuses. The owner. */
void evloop_fail(struct evloop *loop, int err, const char *call);

/* The owner's last call: what evloop_begin watches is watched no longer. */
void evloop_end(struct evloop *loop);

/* Any thread: end the owner's wait, or its next one. */
void evloop_wake(struct evloop *loop);

#endif
