/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of clients that are due at a time. Linked with --wrap: the clock is simulated. */
#include <sys/timerfd.h>

#define OWNCLOCK_TICK 100u
#include "tests/lib/ownclock.h"
#include "tests/unit/iothread_rig.h"

static uint64_t alarm_at; /* atomic; 0: none was asked for since the last one that went off */

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

/* One that is due some time after it was served, and tells what it found then. */
struct timed {
	struct client c;
	uint64_t in;		   /* atomic; ns, once */
	const struct client *near; /* whose looks count; NULL: nobody's */
	uint64_t until;		   /* the thread's */
	unsigned int looks;	   /* atomic; between the last two times */
	unsigned int seen;	   /* the thread's */
	uint64_t regpage;	   /* atomic */
	unsigned int served;	   /* atomic */
};

static struct iothread_served serve_timed(struct iothread_client *client)
{
	struct timed *t = container_of(client, struct timed, c.client);
	uint64_t in = __atomic_exchange_n(&t->in, 0, __ATOMIC_SEQ_CST);
	uint64_t now = monotonic_ns();

	if (in)
		t->until = now + in;
	client->due = t->until > now ? t->until : 0;
	if (t->near) {
		__atomic_store_n(&t->looks, get(&t->near->peeks) - t->seen, __ATOMIC_SEQ_CST);
		t->seen = get(&t->near->peeks);
	}
	__atomic_store_n(&t->regpage, thread->adaptive_poll.poll_ns_now, __ATOMIC_SEQ_CST);
	add(&t->served, 1);
	return (struct iothread_served){ 0 };
}

static void join_timed(struct timed *t, uint64_t in, const struct client *near)
{
	struct client_call call = { .call.run = run_join, .client = &t->c };

	*t = (struct timed){
		.c = { .client = { .serve = serve_timed,
				   .peek = peek,
				   .enable_notify = enable_notify },
		       .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) },
		.in = in,
		.near = near,
	};
	iothread_call(thread, &call.call);
	mock_wait_until(get(&t->served));
}

static void begin_timed(int kind, uint64_t poll_us)
{
	ownclock_begin();
	begin(kind, poll_us);
}

/* It goes off, at its time. */
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

static void serve_again(struct timed *t, uint64_t slept)
{
	unsigned int served;

	wait_idle_thread();
	served = get(&t->served);
	ownclock_pass(slept);
	wake(&t->c);
	mock_wait_until(get(&t->served) > served);
}

/* Whichever of them joined first. */
START_TEST(thread_is_woken_for_the_first_that_is_due)
{
	struct timed early, late;

	begin_timed(_i & 1, 0);
	if (_i & 2)
		join_timed(&early, SECOND, NULL);
	join_timed(&late, 2 * SECOND, NULL);
	if (!(_i & 2))
		join_timed(&early, SECOND, NULL);
	/* The one that was alone at first may have asked. */
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

/* It has somebody to look for as well, and would do so for ten times as long. */
START_TEST(thread_looks_on_until_somebody_is_due)
{
	struct client near;
	struct timed t;
	unsigned int served;

	begin_timed(_i, 10);
	join(&near);
	join_timed(&t, 0, &near);
	for (unsigned int i = 0; i < 5; i++)
		serve_again(&t, 5000);
	ck_assert_uint_gt(READ_ONCE(t.regpage), 1000);
	wait_idle_thread();
	served = get(&t.served);
	__atomic_store_n(&t.in, 1000, __ATOMIC_SEQ_CST);
	serve_again(&t, 5000);
	mock_wait_until(get(&t.served) >= served + 2);
	ck_assert_uint_eq(alarm_set(), 0);
	ck_assert_uint_ge(get(&t.looks), 16);
	ck_assert_uint_le(get(&t.looks), 1000 / OWNCLOCK_TICK * 16);
	leave(&t.c);
	leave(&near);
	iothread_destroy(thread);
}
END_TEST

/* It would look on, but for whom? And a long sleep is one, whatever ends it. */
START_TEST(thread_looks_for_nobody_who_is_due)
{
	struct timed t;
	unsigned int peeks, served;

	begin_timed(_i, 10);
	join_timed(&t, 0, NULL);
	for (unsigned int i = 0; i < 5; i++)
		serve_again(&t, 5000);
	ck_assert_uint_gt(READ_ONCE(t.regpage), 1000);
	wait_idle_thread();
	peeks = get(&t.c.peeks);
	__atomic_store_n(&t.in, SECOND, __ATOMIC_SEQ_CST);
	serve_again(&t, 5000);
	mock_wait_until(alarm_set());
	ck_assert_uint_eq(get(&t.c.peeks), peeks);
	served = get(&t.served);
	expect_alarm();
	mock_wait_until(get(&t.served) > served);
	ck_assert_uint_eq(READ_ONCE(t.regpage), 0);
	leave(&t.c);
	iothread_destroy(thread);
}
END_TEST

/* A short sleep is a reason to look on longer; not one that is short because somebody was due. */
START_TEST(sleep_that_an_alarm_ends_is_not_over_yet)
{
	struct timed t;
	unsigned int served;

	begin_timed(_i, 10);
	join_timed(&t, 0, NULL);
	serve_again(&t, SECOND);
	ck_assert_uint_eq(READ_ONCE(t.regpage), 0);
	__atomic_store_n(&t.in, 5000, __ATOMIC_SEQ_CST);
	serve_again(&t, SECOND);
	served = get(&t.served);
	expect_alarm();
	mock_wait_until(get(&t.served) > served);
	ck_assert_uint_eq(READ_ONCE(t.regpage), 0);
	/* Together they were too long. */
	serve_again(&t, 6000);
	ck_assert_uint_eq(READ_ONCE(t.regpage), 0);
	serve_again(&t, 6000);
	ck_assert_uint_eq(READ_ONCE(t.regpage), POLL_START_NS);
	leave(&t.c);
	iothread_destroy(thread);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("iothread_due");
	TCase *t = tcase_create("iothread_due");

	tcase_add_loop_test(t, thread_is_woken_for_the_first_that_is_due, 0, 4);
	tcase_add_loop_test(t, thread_looks_on_until_somebody_is_due, 0, 2);
	tcase_add_loop_test(t, thread_looks_for_nobody_who_is_due, 0, 2);
	tcase_add_loop_test(t, sleep_that_an_alarm_ends_is_not_over_yet, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
