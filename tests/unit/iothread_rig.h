/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fixture of a dataplane thread with scripted clients. A test program includes this file once.
 * Most tests run on two kinds of loop: kind is EVLOOP_EPOLL or EVLOOP_URING.
 */
#ifndef TESTS_UNIT_IOTHREAD_RIG_H
#define TESTS_UNIT_IOTHREAD_RIG_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/iothread.h"
#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct iothread *thread;

struct client {
	struct iothread_client client;
	unsigned int work;   /* atomic: amount of work to do */
	unsigned int done;   /* atomic */
	unsigned int armed;  /* atomic: number of times the thread was about to sleep */
	unsigned int peeks;  /* atomic: number of times the thread looked for work while polling */
	bool raises;	     /* atomic: the work of this client interrupts the driver */
	bool pops;	     /* atomic: the work of this client pops a request */
	bool publishes;	     /* atomic: the work of this client returns a request to the driver */
	struct client *to;   /* its work causes work of this client; NULL: of none */
	unsigned int active; /* atomic: how often it worked while it was last active */
	unsigned int hits;   /* atomic: how often it worked after a successful poll */
	unsigned int
		polls; /* atomic: number of turns with a request that is polled for; epoll only */
	struct ev_watch watch;
	int fd;
};

static unsigned int get(const unsigned int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void add(unsigned int *counter, unsigned int n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_ACQ_REL);
}

static struct iothread_served serve(struct iothread_client *client)
{
	struct client *c = container_of(client, struct client, client);
	struct iothread_served served = { 0 };

	if (thread->config.loop == EVLOOP_EPOLL)
		thread->loop.polling = get(&c->polls);
	if (get(&c->polls))
		__atomic_fetch_sub(&c->polls, 1, __ATOMIC_ACQ_REL);
	if (get(&c->done) == get(&c->work))
		return served;
	add(&c->active, client->last_active);
	add(&c->hits, client->poll_hit);
	if (c->to)
		add(&c->to->work, 1);
	served.popped = LOAD_ACQUIRE(c->pops);
	served.published = LOAD_ACQUIRE(c->publishes);
	served.irq = LOAD_ACQUIRE(c->raises);
	add(&c->done, 1);
	served.more = get(&c->done) != get(&c->work);
	return served;
}

static bool peek(struct iothread_client *client)
{
	struct client *c = container_of(client, struct client, client);

	add(&c->peeks, 1);
	return get(&c->done) != get(&c->work);
}

static bool enable_notify(struct iothread_client *client)
{
	struct client *c = container_of(client, struct client, client);

	add(&c->armed, 1);
	return get(&c->done) != get(&c->work);
}

struct client_call {
	struct iothread_call call;
	struct client *client;
};

static void run_join(struct iothread_call *call)
{
	struct client *c = container_of(call, struct client_call, call)->client;

	evloop_watch(&thread->loop, &c->watch, c->fd);
	iothread_add(thread, &c->client);
	iothread_call_done(call);
}

static void run_leave(struct iothread_call *call)
{
	struct client *c = container_of(call, struct client_call, call)->client;

	iothread_remove(thread, &c->client);
	evloop_unwatch(&thread->loop, &c->watch);
	iothread_call_done(call);
}

/* Registers a client with the thread. */
static void join(struct client *c)
{
	struct client_call call = { .call.run = run_join, .client = c };

	*c = (struct client){
		.client = { .serve = serve, .peek = peek, .enable_notify = enable_notify }
	};
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	iothread_call(thread, &call.call);
}

/* Removes a client from the thread. */
static void leave(struct client *c)
{
	struct client_call call = { .call.run = run_leave, .client = c };

	iothread_call(thread, &call.call);
	close(c->fd);
}

/* Creates the thread. */
static void begin(enum evloop_kind kind, uint64_t poll_us)
{
	struct iothread_config config = { .loop = kind, .poll_ns = poll_us * 1000 };

	ck_assert_int_eq(iothread_create(&thread, &config), 0);
}

/* Writes to the eventfd of a client, which wakes the thread. */
static void wake(struct client *c)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(c->fd, &one, sizeof(one)), sizeof(one));
}

#endif
