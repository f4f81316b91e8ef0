/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/iothread.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "dataplane/base.h"

#define THREAD_STACK (256u << 10)

/* Number of polls between two reads of the clock. */
#define POLLS_PER_CLOCK_READ 16

static bool iothread_calls_waiting(const struct iothread *t)
{
	return READ_ONCE(t->calls);
}

static void iothread_run_calls(struct iothread *t)
{
	struct iothread_call *call, *next;

	if (!iothread_calls_waiting(t))
		return;
	/* Pairs with the release in iothread_call: the contents of each call are visible. */
	call = __atomic_exchange_n(&t->calls, NULL, __ATOMIC_ACQUIRE);
	for (; call; call = next) {
		/* The call may be gone after it has been answered. */
		next = call->next;
		call->run(call);
	}
}

static bool iothread_has_work(struct iothread *t)
{
	if (evloop_ready(&t->loop) || iothread_calls_waiting(t))
		return true;
	for (struct iothread_client *c = t->clients; c; c = c->next)
		if (c->peek(c))
			return true;
	return false;
}

/* The earliest time at which a client is due, ns; UINT64_MAX: no client has such a time. */
static uint64_t iothread_first_due(const struct iothread *t)
{
	uint64_t first = UINT64_MAX;

	for (const struct iothread_client *c = t->clients; c; c = c->next)
		if (c->due && c->due < first)
			first = c->due;
	return first;
}

/* False when all clients only wait for their due times, so that polling would find nothing. */
static bool iothread_should_poll(const struct iothread *t)
{
	const struct iothread_client *c = t->clients;

	while (c && c->due)
		c = c->next;
	return c || !t->clients;
}

static bool iothread_busy_poll(struct iothread *t, uint64_t ns)
{
	uint64_t end = monotonic_ns() + ns, due = iothread_first_due(t);

	do {
		for (unsigned int i = 0; i < POLLS_PER_CLOCK_READ; i++)
			if (iothread_has_work(t))
				return true;
	} while (monotonic_ns() < (end < due ? end : due));
	return false;
}

/*
 * Yield the CPU once after an interrupt was raised. Where KVM cannot inject an interrupt at once
 * (on x86_64, through the I/O APIC), a kernel thread of this CPU does. Busy-polling would keep it
 * from running, and so the driver from submitting the requests that the poll waits for.
 */
static void iothread_yield_for_irq(struct iothread *t)
{
	if (t->irq)
		sched_yield();
	t->irq = false;
}

/* Poll for the time that adaptive_poll allows. True: there is work. */
static bool iothread_poll_before_sleep(struct iothread *t)
{
	uint64_t budget_ns;
	bool found;

	/* With one CPU, polling would starve the vCPU that produces the work. */
	if (t->single_cpu || !iothread_should_poll(t))
		return false;
	budget_ns = adaptive_poll_budget(&t->adaptive_poll, t->expected);
	if (!budget_ns)
		return false;
	/* Submit the prepared requests first, so that the host works on them during the poll. */
	evloop_turn(&t->loop, false);
	iothread_yield_for_irq(t);
	found = iothread_busy_poll(t, budget_ns);
	adaptive_poll_polled(&t->adaptive_poll, t->expected, found);
	if (found)
		t->asleep_since = 0;
	t->poll_hit = found;
	return found;
}

static bool iothread_enable_notify(struct iothread *t)
{
	bool more = false;

	for (struct iothread_client *c = t->clients; c; c = c->next)
		more |= c->enable_notify(c);
	return more || iothread_calls_waiting(t);
}

/* True when a client is due. Otherwise sets the loop's timer for the earliest due time, if any. */
static bool iothread_timer_expired(struct iothread *t)
{
	uint64_t due = iothread_first_due(t);

	if (due == UINT64_MAX)
		return false;
	if (monotonic_ns() >= due)
		return true;
	evloop_alarm(&t->loop, due);
	return false;
}

/* Report a finished sleep. A sleep that only a timer ended goes on, since no work has arrived,
 * unless it has already lasted for poll_ns, which is too long to poll. */
static void iothread_account_sleep(struct iothread *t)
{
	uint64_t now = monotonic_ns();
	uint64_t ns = now - t->asleep_since;

	if (ns < t->adaptive_poll.poll_ns && now >= iothread_first_due(t))
		return;
	adaptive_poll_slept(&t->adaptive_poll, ns);
	t->asleep_since = 0;
}

/* Applies wakeup_policy: a thread of class SCHED_BATCH preempts no other thread when it wakes. */
static void iothread_update_sched_class(struct iothread *t)
{
	struct sched_param none = { 0 };
	bool before = t->wakeup_policy.batch_class;
	bool batch_class = wakeup_policy_update(&t->wakeup_policy, t->popped, monotonic_ns());

	t->popped = 0;
	if (batch_class != before)
		sched_setscheduler(0, batch_class ? SCHED_BATCH : SCHED_OTHER, &none);
}

static void iothread_sleep_until_woken(struct iothread *t)
{
	bool timed = t->adaptive_poll.poll_ns;

	if (timed && !t->asleep_since)
		t->asleep_since = monotonic_ns();
	if (t->sched_other)
		iothread_update_sched_class(t);
	evloop_turn(&t->loop, true);
	t->irq = false;
	if (timed)
		iothread_account_sleep(t);
}

/* Serve all clients, and update the input of the polling policy. True: there may be more work. */
static bool iothread_serve(struct iothread *t)
{
	bool more = false;

	t->expected = POLL_COMPLETIONS;
	for (struct iothread_client *c = t->clients, *next; c; c = next) {
		struct iothread_served served;

		/* The client may remove itself and be freed. */
		next = c->next;
		c->last_active = t->last_active == c;
		c->poll_hit = t->poll_hit;
		served = c->serve(c);
		more |= served.more;
		t->irq |= served.irq;
		t->popped += served.popped;
		if (served.popped)
			t->last_active = c;
		if (served.published)
			t->expected = POLL_REQUESTS;
		if (served.popped || served.published)
			t->poll_hit = false;
	}
	t->poll_hit = false;
	return more;
}

static void iothread_fail_clients(struct iothread *t)
{
	for (struct iothread_client *c = t->clients; c; c = c->next)
		c->failed(c);
}

static void iothread_run(struct iothread *t)
{
	for (;;) {
		bool more;

		iothread_run_calls(t);
		if (t->quit)
			return;
		if (__builtin_expect(t->loop.failed, 0))
			iothread_fail_clients(t);
		more = iothread_serve(t);
		if (more || iothread_poll_before_sleep(t) || iothread_enable_notify(t) ||
		    iothread_timer_expired(t))
			evloop_turn(&t->loop, false);
		else
			iothread_sleep_until_woken(t);
	}
}

/* Handshake between iothread_start and the new thread. */
struct iothread_starting {
	struct iothread *thread;
	sem_t done; /* posted when `err` is set */
	int err;    /* result of the thread's set-up: 0, or -errno and the thread ends */
};

static void *iothread_main(void *arg)
{
	struct iothread_starting *starting = arg;
	struct iothread *t = starting->thread;
	int err = thread_init(t->config.begin);

	if (!err)
		err = evloop_begin(&t->loop);
	starting->err = err;
	sem_post(&starting->done);
	if (!err)
		iothread_run(t);
	return NULL;
}

struct iothread_quit {
	struct iothread_call call;
	struct iothread *thread;
};

static void iothread_run_quit(struct iothread_call *call)
{
	struct iothread_quit *end = container_of(call, struct iothread_quit, call);

	evloop_end(&end->thread->loop);
	end->thread->quit = true;
	iothread_call_done(call);
}

/* Returns 0 when the thread accepts calls, or -errno when it could not start or has ended. */
static int iothread_start(struct iothread *t)
{
	struct iothread_starting starting = { .thread = t };
	int cpu = t->config.pinned ? (int)t->config.cpu : THREAD_ANY_CPU;
	int err;

	sem_init(&starting.done, 0, 0);
	err = thread_create(&t->thread, THREAD_STACK, cpu, iothread_main, &starting);
	if (!err) {
		semaphore_wait(&starting.done);
		err = starting.err;
		if (err)
			pthread_join(t->thread, NULL);
	}
	sem_destroy(&starting.done);
	return err;
}

COLD int iothread_create(struct iothread **thread, const struct iothread_config *config)
{
	struct iothread *t = cacheline_alloc(sizeof(*t));
	cpu_set_t cpus;
	int err;

	if (!t)
		return -ENOMEM;
	t->config = *config;
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	t->single_cpu = CPU_COUNT(&cpus) == 1;
	/* Another scheduling class is the user's choice for the whole process, and is kept. */
	t->sched_other = t->single_cpu && sched_getscheduler(0) == SCHED_OTHER;
	t->adaptive_poll.poll_ns = t->single_cpu ? 0 : config->poll_ns;
	err = evloop_init(&t->loop, config->loop);
	if (err)
		goto free_thread;
	evloop_restrict(&t->loop);
	err = iothread_start(t);
	if (err)
		goto destroy_loop;
	*thread = t;
	return 0;

destroy_loop:
	evloop_destroy(&t->loop);
free_thread:
	cacheline_free(t);
	return err;
}

COLD void iothread_destroy(struct iothread *t)
{
	struct iothread_quit end = { .call.run = iothread_run_quit, .thread = t };

	if (!t)
		return;
	iothread_call(t, &end.call);
	pthread_join(t->thread, NULL);
	evloop_destroy(&t->loop);
	cacheline_free(t);
}

/* Hands the call over to the thread. */
static void iothread_post(struct iothread *t, struct iothread_call *call)
{
	sem_init(&call->answered, 0, 0);
	call->next = NULL;
	/* Pairs with the acquire in iothread_run_calls. The exchange fails and is repeated if
	 * another thread has added a call. */
	while (!__atomic_compare_exchange_n(&t->calls, &call->next, call, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	evloop_wake(&t->loop);
}

void iothread_call(struct iothread *t, struct iothread_call *call)
{
	iothread_post(t, call);
	semaphore_wait(&call->answered);
	sem_destroy(&call->answered);
}

void iothread_call_late(struct iothread *t, struct iothread_call *call, unsigned int ms,
			void (*late)(struct iothread_call *call))
{
	iothread_post(t, call);
	while (!semaphore_wait_ms(&call->answered, ms))
		late(call);
	sem_destroy(&call->answered);
}

void iothread_call_done(struct iothread_call *call)
{
	sem_post(&call->answered);
}

void iothread_add(struct iothread *t, struct iothread_client *client)
{
	client->next = t->clients;
	t->clients = client;
}

void iothread_remove(struct iothread *t, struct iothread_client *client)
{
	struct iothread_client **at = &t->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	t->last_active = NULL;
}
