/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/iothread.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"

#define THREAD_STACK (256u << 10)

/* Looks between two looks at the clock. */
#define POLLS_PER_CLOCK_READ 16

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		; /* a signal */
}

static bool calls_waiting(const struct iothread *t)
{
	return READ_ONCE(t->calls);
}

static void run_calls(struct iothread *t)
{
	struct iothread_call *call, *next;

	if (!calls_waiting(t))
		return;
	/* Pairs with the callers' release: what they prepared is there. */
	call = __atomic_exchange_n(&t->calls, NULL, __ATOMIC_ACQUIRE);
	for (; call; call = next) {
		/* Once answered it is the caller's. */
		next = call->next;
		call->run(call);
	}
}

static bool has_work(struct iothread *t)
{
	if (evloop_ready(&t->loop) || calls_waiting(t))
		return true;
	for (struct iothread_client *c = t->clients; c; c = c->next)
		if (c->peek(c))
			return true;
	return false;
}

/* The first time at which a client is due; UINT64_MAX: none. */
static uint64_t first_due(const struct iothread *t)
{
	uint64_t first = UINT64_MAX;

	for (const struct iothread_client *c = t->clients; c; c = c->next)
		if (c->due && c->due < first)
			first = c->due;
	return first;
}

/* Is there anybody to look for? */
static bool should_poll(const struct iothread *t)
{
	const struct iothread_client *c = t->clients;

	while (c && c->due)
		c = c->next;
	return c || !t->clients;
}

static bool busy_poll(struct iothread *t, uint64_t ns)
{
	uint64_t end = monotonic_ns() + ns, due = first_due(t);

	do {
		for (unsigned int i = 0; i < POLLS_PER_CLOCK_READ; i++)
			if (has_work(t))
				return true;
	} while (monotonic_ns() < (end < due ? end : due));
	return false;
}

/*
 * KVM passes an interrupt on by a kernel thread of this processor where it cannot do so at once: on
 * x86_64, one for the I/O APIC. Whoever looks on here would keep that from running, and the driver from
 * what it is looked for.
 */
static void yield_for_irq(struct iothread *t)
{
	if (t->raised)
		sched_yield();
	t->raised = false;
}

/* Look on for as long as it pays. True: there is something to do. */
static bool poll_before_sleep(struct iothread *t)
{
	/* On an only processor, looking on keeps what is looked for from happening. */
	uint64_t budget_ns;
	bool found;

	if (t->single_cpu || !should_poll(t))
		return false;
	budget_ns = adaptive_poll_budget(&t->adaptive_poll, t->expected);
	if (!budget_ns)
		return false;
	/* What the host was given it can do meanwhile. */
	evloop_turn(&t->loop, false);
	yield_for_irq(t);
	found = busy_poll(t, budget_ns);
	adaptive_poll_polled(&t->adaptive_poll, t->expected, found);
	if (found)
		t->asleep_since = 0;
	t->found = found;
	return found;
}

static bool arm(struct iothread *t)
{
	bool more = false;

	for (struct iothread_client *c = t->clients; c; c = c->next)
		more |= c->arm(c);
	return more || calls_waiting(t);
}

/* Has a client become due? Else the thread is woken for it. */
static bool timer_expired(struct iothread *t)
{
	uint64_t due = first_due(t);

	if (due == UINT64_MAX)
		return false;
	if (monotonic_ns() >= due)
		return true;
	evloop_alarm(&t->loop, due);
	return false;
}

/* It sleeps no longer. Of the end of a sleep that an alarm ended, nothing is known yet, unless it has been
 * too long to be looked on for. */
static void account_sleep(struct iothread *t)
{
	uint64_t now = monotonic_ns();
	uint64_t ns = now - t->asleep_since;

	if (ns < t->adaptive_poll.poll_ns && now >= first_due(t))
		return;
	adaptive_poll_slept(&t->adaptive_poll, ns);
	t->asleep_since = 0;
}

/* A thread of the batch class takes the processor from nobody when it is woken. */
static void update_sched_class(struct iothread *t)
{
	struct sched_param none = { 0 };
	bool before = t->wakeup_policy.batch_class;
	bool batch_class = wakeup_policy_update(&t->wakeup_policy, t->taken, monotonic_ns());

	t->taken = 0;
	if (batch_class != before)
		sched_setscheduler(0, batch_class ? SCHED_BATCH : SCHED_OTHER, &none);
}

static void sleep_until_woken(struct iothread *t)
{
	bool timed = t->adaptive_poll.poll_ns;

	if (timed && !t->asleep_since)
		t->asleep_since = monotonic_ns();
	if (t->sched_other)
		update_sched_class(t);
	evloop_turn(&t->loop, true);
	t->raised = false;
	if (timed)
		account_sleep(t);
}

static bool serve(struct iothread *t)
{
	bool more = false;

	for (struct iothread_client *c = t->clients, *next; c; c = next) {
		/* It may leave, and be gone. */
		next = c->next;
		more |= c->serve(c);
	}
	return more;
}

static void fail_clients(struct iothread *t)
{
	for (struct iothread_client *c = t->clients; c; c = c->next)
		c->failed(c);
}

static void run(struct iothread *t)
{
	for (;;) {
		bool more;

		run_calls(t);
		if (t->quit)
			return;
		if (__builtin_expect(t->loop.failed, 0))
			fail_clients(t);
		t->expected = POLL_COMPLETIONS;
		more = serve(t);
		t->found = false;
		if (!more && evloop_polling(&t->loop)) {
			yield_for_irq(t);
			more = true;
		}
		if (more || poll_before_sleep(t) || arm(t) || timer_expired(t))
			evloop_turn(&t->loop, false);
		else
			sleep_until_woken(t);
	}
}

/* What the new thread has to say to its maker, before it can be called. */
struct thread_start {
	struct iothread *thread;
	sem_t done;
	int err;
};

static void *iothread_main(void *arg)
{
	struct thread_start *thread_start = arg;
	struct iothread *t = thread_start->thread;
	int err = thread_init(t->config.begin);

	if (!err)
		err = evloop_begin(&t->loop);
	thread_start->err = err;
	sem_post(&thread_start->done);
	if (!err)
		run(t);
	return NULL;
}

struct quit_call {
	struct iothread_call call;
	struct iothread *thread;
};

static void run_quit(struct iothread_call *call)
{
	struct quit_call *end = container_of(call, struct quit_call, call);

	evloop_end(&end->thread->loop);
	end->thread->quit = true;
	iothread_call_done(call);
}

/* Returns when the thread can be called, or is gone. */
static int start_thread(struct iothread *t)
{
	struct thread_start thread_start = { .thread = t };
	pthread_attr_t attr;
	cpu_set_t cpu;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	sem_init(&thread_start.done, 0, 0);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	if (t->config.pinned) {
		CPU_ZERO(&cpu);
		CPU_SET(t->config.cpu, &cpu);
		pthread_attr_setaffinity_np(&attr, sizeof(cpu), &cpu);
	}
	err = pthread_create(&t->thread, &attr, iothread_main, &thread_start);
	pthread_attr_destroy(&attr);
	if (!err) {
		wait_for(&thread_start.done);
		if (thread_start.err)
			pthread_join(t->thread, NULL);
	}
	sem_destroy(&thread_start.done);
	return err ? -err : thread_start.err;
}

/* It is worth having, not needing. */
static void hold_memory(struct iothread *t)
{
	int err = 0;

	if (t->config.fixed && t->config.loop != EVLOOP_EPOLL)
		err = evloop_register_memory(&t->loop, t->config.fixed);
	if (err)
		log_warn("fixed-buffers ignored: io_uring cannot lock guest RAM (%s)",
			 strerror(-err));
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
	/* What the user chose for the whole process is left alone. */
	t->sched_other = t->single_cpu && sched_getscheduler(0) == SCHED_OTHER;
	t->adaptive_poll.poll_ns = t->single_cpu ? 0 : config->poll_ns;
	err = evloop_init(&t->loop, config->loop);
	if (err)
		goto free_thread;
	hold_memory(t);
	evloop_restrict(&t->loop);
	err = start_thread(t);
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
	struct quit_call end = { .call.run = run_quit, .thread = t };

	if (!t)
		return;
	iothread_call(t, &end.call);
	pthread_join(t->thread, NULL);
	evloop_destroy(&t->loop);
	cacheline_free(t);
}

void iothread_call(struct iothread *t, struct iothread_call *call)
{
	sem_init(&call->answered, 0, 0);
	call->next = NULL;
	/* Pairs with run_calls' acquire. Others may be there already. */
	while (!__atomic_compare_exchange_n(&t->calls, &call->next, call, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	evloop_wake(&t->loop);
	wait_for(&call->answered);
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

void iothread_count_requests(struct iothread *t, unsigned int requests)
{
	t->taken += requests;
}

void iothread_irq_raised(struct iothread *t)
{
	t->raised = true;
}

void iothread_expect_requests(struct iothread *t)
{
	t->expected = POLL_REQUESTS;
}

bool iothread_was_last_active(struct iothread *t, const struct iothread_client *client)
{
	bool again = t->busy == client;

	t->busy = client;
	return again;
}

void iothread_remove(struct iothread *t, struct iothread_client *client)
{
	struct iothread_client **at = &t->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	t->busy = NULL;
}
