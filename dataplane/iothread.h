/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iothread: a dataplane thread, which serves virtqueues in an event loop.
 *
 * The thread serves all its clients once in each turn. When no client has work, the thread
 * busy-polls for a time that adapts to the load (poll_policy.h), then enables the clients'
 * wake-ups and sleeps.
 *
 * Other threads reach the thread by calls. The thread runs a call between two turns; the caller
 * waits until iothread_call_done answers the call, which may be many turns later. The thread itself
 * takes no lock and never waits for a caller.
 */
#ifndef DATAPLANE_IOTHREAD_H
#define DATAPLANE_IOTHREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "dataplane/evloop.h"
#include "dataplane/poll_policy.h"

/* Result of serving a client for one turn. */
struct iothread_served {
	unsigned int popped; /* requests popped from the ring */
	bool published; /* requests were returned to the driver, which may soon submit new ones */
	bool irq;	/* an interrupt was raised for them */
	bool more;	/* there may be more work, for which no wake-up was requested */
};

/* A client of a dataplane thread, such as a plane. All callbacks run on the thread. */
struct iothread_client {
	/* Process the work that is ready, up to a bound. A client that pops no request in this turn
	 * may remove itself and be freed. */
	struct iothread_served (*serve)(struct iothread_client *client);
	/* True when the client has work for which no wake-up was requested. The poll loop calls
	 * this in every iteration, so it must be cheap. */
	bool (*peek)(struct iothread_client *client);
	/* The thread is about to sleep: enable the client's wake-ups. Returns true when work
	 * arrived before they were enabled; the thread then does not sleep. */
	bool (*enable_notify)(struct iothread_client *client);
	/*
	 * The thread's event loop has failed (evloop.h): it delivers no more wake-ups and no more
	 * completions of io_uring requests. Called before each turn until the client is removed;
	 * serve is still called, too.
	 */
	void (*failed)(struct iothread_client *client);
	/* Time (CLOCK_MONOTONIC, ns) at which the thread must serve the client again; the thread
	 * does not poll for this client's work before. Set by serve. 0: no such time. */
	uint64_t due;
	/* Set by the thread before each serve: no other client has popped requests since this one
	 * did. */
	bool last_active;
	/* Set by the thread before each serve: a successful poll led to the turn, and no client
	 * served earlier in the turn had work. The client may clear it. */
	bool poll_hit;
	struct iothread_client *next; /* in iothread.clients */
};

/* A function call to be executed on the thread. The caller sets `run`. */
struct iothread_call {
	void (*run)(struct iothread_call *call);
	struct iothread_call *next; /* in iothread.calls */
	sem_t answered;		    /* posted by iothread_call_done */
};

struct iothread_config {
	enum evloop_kind loop;
	uint64_t poll_ns; /* longest busy-poll before a sleep, ns (poll_policy.h) */
	bool pinned;
	unsigned int cpu;		 /* CPU that the thread is bound to, if pinned */
	const struct thread_init *begin; /* runs first on the thread; its failure ends the thread */
};

struct iothread {
	struct evloop loop; /* used by the thread only, except for evloop_wake */
	struct iothread_config config;
	struct iothread_client *clients;
	const struct iothread_client *last_active; /* the client that popped last; NULL: none */
	struct iothread_call *calls;		   /* pending calls, a LIFO list; atomic */
	struct adaptive_poll adaptive_poll;
	enum poll_target expected; /* which kind of work a poll after this turn would find */
	bool poll_hit; /* a successful poll led to this turn, and no client has had work in it */
	bool irq;      /* an interrupt was raised since the thread last yielded the CPU or slept */
	/* Start of the current sleep, ns; 0: none. A turn that only served an expired timer does
	 * not end the sleep. */
	uint64_t asleep_since;
	bool single_cpu; /* the process may use only one CPU; the vCPUs share it */
	/* single_cpu, and the process has the class SCHED_OTHER: wakeup_policy may change the
	 * thread's class. */
	bool sched_other;
	struct wakeup_policy wakeup_policy;
	unsigned int popped; /* requests popped since the last sleep */
	bool quit;
	pthread_t thread;
};

/*
 * Create a thread that inherits the caller's signal mask. Returns 0 or -errno: the errors of
 * evloop_init, -EINVAL when the process may not use config->cpu, and the result of config->begin.
 */
int iothread_create(struct iothread **thread, const struct iothread_config *config);
/* End and free the thread, which must have no clients left; NULL is allowed. */
void iothread_destroy(struct iothread *thread);

/* Execute call->run on the thread, and wait until iothread_call_done is called for it. For any
 * thread but this one. */
void iothread_call(struct iothread *thread, struct iothread_call *call);
/* As iothread_call; late(call) runs on the calling thread whenever `ms` milliseconds have passed
 * without an answer. */
void iothread_call_late(struct iothread *thread, struct iothread_call *call, unsigned int ms,
			void (*late)(struct iothread_call *call));

/* ---- The functions below are called on the thread itself. ---- */

/* Answer a call: its caller continues, and `call` is no longer valid. */
void iothread_call_done(struct iothread_call *call);
/* Serve a client from the next turn on. */
void iothread_add(struct iothread *thread, struct iothread_client *client);
/* Stop serving a client. A client may remove itself in its serve callback. */
void iothread_remove(struct iothread *thread, struct iothread_client *client);

#endif
