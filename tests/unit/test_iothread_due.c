/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of clients that must be served at a given time. Linked with --wrap: the clock is
 * simulated. */
#include <sys/timerfd.h>

#define OWNCLOCK_TICK 100u
#include "tests/lib/cases.h"
#include "tests/lib/ownclock.h"
#include "tests/unit/iothread_rig.h"

static uint64_t alarm_at; /* atomic: time that the timer is set to; 0: not set since it expired */

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	must(fd == thread->loop.alarm_fd && flags == TFD_TIMER_ABSTIME && !old);
	__atomic_store_n(&alarm_at,
			 (uint64_t) new->it_value.tv_sec *SECOND + (uint64_t) new->it_value.tv_nsec,
			 __ATOMIC_SEQ_CST);
	return 0;
}

static uint64_t alarm_set(void)
{
	return __atomic_load_n(&alarm_at, __ATOMIC_SEQ_CST);
}

/* A client that is due some time after it was served. */
struct timed {
	struct client c;
	uint64_t in;		     /* atomic: ns until it is due, set by the test; used once */
	const struct client *peeked; /* client whose peeks are counted; or NULL */
	uint64_t until;		     /* when it is due; only the dataplane thread uses it */
	unsigned int peeks;	     /* atomic: peeks between the last two times it was served */
	unsigned int peeks_seen;     /* only the dataplane thread uses it */
	uint64_t poll_ns;	     /* atomic: the long polling window when it was served */
	unsigned int served;	     /* atomic */
};

static struct iothread_served serve_timed(struct iothread_client *client)
{
	struct timed *t = container_of(client, struct timed, c.client);
	uint64_t in = __atomic_exchange_n(&t->in, 0, __ATOMIC_SEQ_CST);
	uint64_t now = monotonic_ns();

	if (in)
		t->until = now + in;
	client->due = t->until > now ? t->until : 0;
	if (t->peeked) {
		__atomic_store_n(&t->peeks, get(&t->peeked->peeks) - t->peeks_seen,
				 __ATOMIC_SEQ_CST);
		t->peeks_seen = get(&t->peeked->peeks);
	}
	__atomic_store_n(&t->poll_ns, thread->adaptive_poll.poll_ns_now, __ATOMIC_SEQ_CST);
	add(&t->served, 1);
	return (struct iothread_served){ 0 };
}

static void join_timed(struct timed *t, uint64_t in, const struct client *peeked)
{
	struct client_call call = { .call.run = run_join, .client = &t->c };

	*t = (struct timed){
		.c = { .client = { .serve = serve_timed,
				   .peek = peek,
				   .enable_notify = enable_notify },
		       .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) },
		.in = in,
		.peeked = peeked,
	};
	iothread_call(thread, &call.call);
	mock_wait_until(get(&t->served));
}

static void begin_timed(int kind, uint64_t poll_us)
{
	ownclock_begin();
	begin(kind, poll_us);
}

/* Waits until the timer is set, and lets it expire. Returns its time. */
static uint64_t expect_alarm(void)
{
	const struct itimerspec soon = { .it_value.tv_nsec = 1 };
	uint64_t at;

	mock_wait_until(alarm_set());
	wait_idle_thread();
	at = __atomic_exchange_n(&alarm_at, 0, __ATOMIC_SEQ_CST);
	ownclock_set(at);
	must(!__real_timerfd_settime(thread->loop.alarm_fd, 0, &soon, NULL));
	return at;
}

/* Wakes the thread for a client, `slept` ns after it went to sleep. */
static void serve_again(struct timed *t, uint64_t slept)
{
	unsigned int served;

	wait_idle_thread();
	served = get(&t->served);
	ownclock_pass(slept);
	wake(&t->c);
	mock_wait_until(get(&t->served) > served);
}

static const struct {
	const char *name;
	enum evloop_kind kind;
	bool early_first; /* the client that is due first joins first */
} orders[] = {
	{ "epoll, late joins first", EVLOOP_EPOLL, false },
	{ "io_uring, late joins first", EVLOOP_URING, false },
	{ "epoll, early joins first", EVLOOP_EPOLL, true },
	{ "io_uring, early joins first", EVLOOP_URING, true },
};

START_TEST(thread_is_woken_for_the_client_that_is_due_first)
{
	struct timed early, late;

	begin_timed(orders[_i].kind, 0);
	if (orders[_i].early_first)
		join_timed(&early, SECOND, NULL);
	join_timed(&late, 2 * SECOND, NULL);
	if (!orders[_i].early_first)
		join_timed(&early, SECOND, NULL);
	/* The timer may have been set for the first client before the second one joined. */
	mock_wait_until(alarm_set() && alarm_set() < 9 * SECOND);
	ck_assert_uint_lt(expect_alarm(), 9 * SECOND);
	ck_assert_uint_ge(expect_alarm(), 9 * SECOND);
	wait_idle_thread();
	ck_assert_uint_eq(alarm_set(), 0);
	leave(&early.c);
	leave(&late.c);
	iothread_destroy(thread);
}
END_TEST

/* For another client, the thread would poll ten times as long. */
START_TEST(thread_polls_only_until_a_client_is_due)
{
	struct client other;
	struct timed t;
	unsigned int served;

	begin_timed(_i, 10);
	join(&other);
	join_timed(&t, 0, &other);
	for (unsigned int i = 0; i < 5; i++)
		serve_again(&t, 5000);
	ck_assert_uint_gt(READ_ONCE(t.poll_ns), 1000);
	wait_idle_thread();
	served = get(&t.served);
	__atomic_store_n(&t.in, 1000, __ATOMIC_SEQ_CST);
	serve_again(&t, 5000);
	mock_wait_until(get(&t.served) >= served + 2);
	ck_assert_uint_eq(alarm_set(), 0);
	ck_assert_uint_ge(get(&t.peeks), 16);
	ck_assert_uint_le(get(&t.peeks), 1000 / OWNCLOCK_TICK * 16);
	leave(&t.c);
	leave(&other);
	iothread_destroy(thread);
}
END_TEST

/* The thread does not poll for a client that is due later. A long sleep closes the polling window
 * also when a timer ends it. */
START_TEST(thread_does_not_poll_for_a_client_that_is_due_later)
{
	struct timed t;
	unsigned int peeks, served;

	begin_timed(_i, 10);
	join_timed(&t, 0, NULL);
	for (unsigned int i = 0; i < 5; i++)
		serve_again(&t, 5000);
	ck_assert_uint_gt(READ_ONCE(t.poll_ns), 1000);
	wait_idle_thread();
	peeks = get(&t.c.peeks);
	__atomic_store_n(&t.in, SECOND, __ATOMIC_SEQ_CST);
	serve_again(&t, 5000);
	mock_wait_until(alarm_set());
	ck_assert_uint_eq(get(&t.c.peeks), peeks);
	served = get(&t.served);
	expect_alarm();
	mock_wait_until(get(&t.served) > served);
	ck_assert_uint_eq(READ_ONCE(t.poll_ns), 0);
	leave(&t.c);
	iothread_destroy(thread);
}
END_TEST

/* A short sleep makes the polling window longer, unless it was short because a timer ended it. */
START_TEST(sleep_that_a_timer_ends_continues_in_the_next_one)
{
	struct timed t;
	unsigned int served;

	begin_timed(_i, 10);
	join_timed(&t, 0, NULL);
	serve_again(&t, SECOND);
	ck_assert_uint_eq(READ_ONCE(t.poll_ns), 0);
	__atomic_store_n(&t.in, 5000, __ATOMIC_SEQ_CST);
	serve_again(&t, SECOND);
	served = get(&t.served);
	expect_alarm();
	mock_wait_until(get(&t.served) > served);
	ck_assert_uint_eq(READ_ONCE(t.poll_ns), 0);
	/* This sleep and the one that the timer ended were too long together. */
	serve_again(&t, 6000);
	ck_assert_uint_eq(READ_ONCE(t.poll_ns), 0);
	serve_again(&t, 6000);
	ck_assert_uint_eq(READ_ONCE(t.poll_ns), POLL_START_NS);
	leave(&t.c);
	iothread_destroy(thread);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("iothread_due");
	TCase *t = tcase_create("iothread_due");

	tcase_add_table_test(t, thread_is_woken_for_the_client_that_is_due_first, orders);
	tcase_add_named_test(t, thread_polls_only_until_a_client_is_due, 2, loop_name);
	tcase_add_named_test(t, thread_does_not_poll_for_a_client_that_is_due_later, 2, loop_name);
	tcase_add_named_test(t, sleep_that_a_timer_ends_continues_in_the_next_one, 2, loop_name);
	suite_add_tcase(s, t);
	return s;
}
