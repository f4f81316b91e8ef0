/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iothread: a dataplane thread. It serves its clients, turn by turn; when none has anything to do
 * it looks on for a while (polling), then asks for wake-ups and sleeps.
 *
 * Other threads reach it by calls: a call is run between two turns, and answered when whoever runs
 * it says so. The thread itself takes no lock and never waits for a caller.
 */
#ifndef DATAPLANE_IOTHREAD_H
#define DATAPLANE_IOTHREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "dataplane/evloop.h"
#include "dataplane/adaptive_poll.h"
#include "dataplane/wakeup_policy.h"

struct iothread_client {
	/* Do what can be done now, up to a bound. True: there may be more. */
	bool (*serve)(struct iothread_client *client);
	/* Is there something to do that no wake-up was asked for? Cheap: called over and over. */
	bool (*peek)(struct iothread_client *client);
	/* The thread is about to sleep: ask for wake-ups. True: something came meanwhile. */
	bool (*arm)(struct iothread_client *client);
	/* The thread's loop has failed (evloop.h): no wake-up comes any more, nor a completion
	 * from a ring; the client is served until it leaves. Called before each turn. */
	void (*failed)(struct iothread_client *client);
	/* Set in serve: until then (CLOCK_MONOTONIC, ns) it needs no looking for, and is to be served again
	 * when that is over. 0: there is no such time. */
	uint64_t due;
	struct iothread_client *next; /* the thread's */
};

struct iothread_call {
	void (*run)(struct iothread_call *call); /* on the thread */
	struct iothread_call *next;
	sem_t answered;
};

struct iothread_config {
	enum evloop_kind loop;
	uint64_t poll_ns; /* how long to look on before sleeping, at most (adaptive_poll.h) */
	const struct hostmem *fixed; /* memory for the ring to hold; NULL: none. For io_uring */
	bool pinned;
	unsigned int cpu;		 /* the processor it stays on, if pinned */
	const struct thread_init *begin; /* when it fails, there is no thread */
};

struct iothread {
	struct evloop loop; /* the thread's alone */
	struct iothread_config config;
	struct iothread_client *clients;
	const struct iothread_client *busy; /* the one that had something to do last */
	struct iothread_call *calls;	    /* atomic; last come first */
	struct adaptive_poll adaptive_poll;
	enum poll_target expected; /* since the last turn began */
	bool found;		   /* this turn began as something was looked for and found */
	bool raised;		   /* an interrupt, since others could last have the processor */
	uint64_t
		asleep_since; /* ns, by turns that only looked at the clock in between; 0: it is not */
	bool single_cpu;      /* shared with the vCPUs, */
	bool sched_other;     /* and how is the thread's choice: */
	struct wakeup_policy wakeup_policy;
	unsigned int taken; /* requests, since the last sleep */
	bool quit;
	pthread_t thread;
};

/* 0 or -errno; io_uring: as evloop_init; -EINVAL: not a processor this process may use. The thread inherits the caller's signal mask. */
int iothread_create(struct iothread **thread, const struct iothread_config *config);
/* It has no clients any more. NULL is allowed. */
void iothread_destroy(struct iothread *thread);

/* Any other thread: have call->run called there, and wait until it is answered. */
void iothread_call(struct iothread *thread, struct iothread_call *call);

/* The rest is for the thread itself. */
void iothread_call_done(struct iothread_call *call);
void iothread_add(struct iothread *thread, struct iothread_client *client);
/* For a client: so many requests were taken. */
void iothread_count_requests(struct iothread *thread, unsigned int requests);
/* For a client: the driver was given something back, and may have its next requests ready soon. */
void iothread_expect_requests(struct iothread *thread);
/* For a client: the driver was sent an interrupt. */
void iothread_irq_raised(struct iothread *thread);
/* For a client that had something to do: was it looked for? At each find the first one is told so. */
static inline bool iothread_take_poll_hit(struct iothread *thread)
{
	bool found = thread->found;

	thread->found = false;
	return found;
}
/* For a client that has something to do: was it so the last time, or another one? */
bool iothread_was_last_active(struct iothread *thread, const struct iothread_client *client);
/* Also while it is being served. */
void iothread_remove(struct iothread *thread, struct iothread_client *client);

#endif
