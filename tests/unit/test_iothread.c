/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the dataplane thread and of calls to it. All run on two kinds of loop. */
#include <pthread.h>

#include "tests/unit/iothread_rig.h"

START_TEST(clients_are_served_until_no_work_is_left)
{
	struct client c[3];

	begin(_i, 0);
	for (unsigned int i = 0; i < 3; i++)
		join(&c[i]);
	for (unsigned int i = 0; i < 3; i++)
		add(&c[i].work, 1000 + i);
	/* The thread serves all clients, whichever of them woke it. */
	wake(&c[1]);
	for (unsigned int i = 0; i < 3; i++)
		mock_wait_until(get(&c[i].done) == 1000 + i);
	wait_idle_thread();
	for (unsigned int i = 0; i < 3; i++)
		leave(&c[i]);
	iothread_destroy(thread);
}
END_TEST

START_TEST(clients_come_and_go_in_any_order)
{
	static const unsigned int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 } };
	struct client c[3];

	begin(_i, 0);
	for (unsigned int order = 0; order < ARRAY_SIZE(orders); order++) {
		for (unsigned int i = 0; i < 3; i++)
			join(&c[i]);
		for (unsigned int i = 0; i < 3; i++) {
			leave(&c[orders[order][i]]);
			for (unsigned int k = i + 1; k < 3; k++) {
				struct client *left = &c[orders[order][k]];

				add(&left->work, 1);
				wake(left);
				mock_wait_until(get(&left->done) == get(&left->work));
			}
		}
	}
	iothread_destroy(thread);
}
END_TEST

static void work_once(struct client *c, bool pops)
{
	STORE_RELEASE(c->pops, pops);
	add(&c->work, 1);
	wake(c);
	mock_wait_until(get(&c->done) == get(&c->work));
	wait_idle_thread();
}

START_TEST(last_active_client_is_the_one_that_popped_last)
{
	struct client a, b;

	begin(_i, 0);
	join(&a);
	join(&b);
	work_once(&a, true);
	ck_assert_uint_eq(get(&a.active), 0);
	work_once(&a, true);
	ck_assert_uint_eq(get(&a.active), 1);
	/* Other work, such as a completion, does not count. */
	work_once(&b, false);
	work_once(&a, true);
	ck_assert_uint_eq(get(&a.active), 2);
	work_once(&b, true);
	ck_assert_uint_eq(get(&b.active), 0);
	work_once(&a, true);
	ck_assert_uint_eq(get(&a.active), 2);
	leave(&a);
	leave(&b);
	iothread_destroy(thread);
}
END_TEST

/* Work that a poll finds, and that causes work of the client which is served next. Returns the
 * number of hits that the first client had then. */
static unsigned int work_while_polling(struct client *first)
{
	unsigned int peeks = get(&first->peeks);

	/* The thread polls after a short sleep. */
	for (int64_t end = mock_deadline(); get(&first->peeks) == peeks;) {
		wake(first->to);
		mock_yield(end);
	}
	add(&first->work, 1);
	wake(first); /* the thread may be asleep again */
	mock_wait_until(get(&first->to->done) == get(&first->work));
	return get(&first->hits);
}

/* A turn to which a successful poll led: the hit belongs to the first client that pops. */
START_TEST(poll_hit_belongs_to_one_client)
{
	struct client late, first;
	unsigned int hits;

	begin(_i, 1000 * 1000);
	join(&late);
	join(&first); /* is served before the other */
	first.to = &late;
	while (!(hits = work_while_polling(&first)))
		;
	ck_assert_uint_eq(get(&late.hits), hits);
	STORE_RELEASE(first.pops, true);
	while (work_while_polling(&first) == hits)
		;
	ck_assert_uint_eq(get(&late.hits), hits);
	leave(&first);
	leave(&late);
	iothread_destroy(thread);
}
END_TEST

/* ---- calls ---- */

static unsigned int runs;

static void run_count(struct iothread_call *call)
{
	runs++; /* only the dataplane thread writes this */
	iothread_call_done(call);
}

static void *call_often(void *arg)
{
	for (unsigned int i = 0; i < 500; i++) {
		struct iothread_call call = { .run = run_count };

		iothread_call(thread, &call);
	}
	return arg;
}

START_TEST(calls_from_many_threads)
{
	pthread_t caller[4];

	begin(_i, 0);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&caller[i], NULL, call_often, NULL), 0);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(caller[i], NULL);
	iothread_destroy(thread);
	ck_assert_uint_eq(runs, 2000);
}
END_TEST

static unsigned int go; /* atomic: run_hold may return */

static void run_hold(struct iothread_call *call)
{
	iothread_call_done(call);
	mock_wait_until(get(&go));
}

static void *call_once(void *arg)
{
	struct iothread_call call = { .run = run_count };

	iothread_call(thread, &call);
	return arg;
}

START_TEST(calls_that_come_while_the_thread_is_busy_are_all_run)
{
	struct iothread_call hold = { .run = run_hold };
	pthread_t caller[5];

	begin(_i, 0);
	iothread_call(thread, &hold);
	for (unsigned int i = 0; i < 5; i++) {
		uint64_t woken = eventfd_count(thread->loop.wake_fd);

		ck_assert_int_eq(pthread_create(&caller[i], NULL, call_once, NULL), 0);
		mock_wait_until(eventfd_count(thread->loop.wake_fd) > woken);
	}
	ck_assert_uint_eq(runs, 0);
	add(&go, 1);
	for (unsigned int i = 0; i < 5; i++)
		pthread_join(caller[i], NULL);
	iothread_destroy(thread);
	ck_assert_uint_eq(runs, 5);
}
END_TEST

static struct iothread_call *kept; /* atomic: a call that is not answered yet */

static void run_keep(struct iothread_call *call)
{
	__atomic_store_n(&kept, call, __ATOMIC_RELEASE);
}

static void *call_and_wait(void *arg)
{
	struct iothread_call call = { .run = run_keep };

	iothread_call(thread, &call);
	return arg;
}

static void run_answer_kept(struct iothread_call *call)
{
	iothread_call_done(__atomic_load_n(&kept, __ATOMIC_ACQUIRE));
	iothread_call_done(call);
}

/* The thread runs another call before it answers the first one. */
START_TEST(caller_waits_until_the_call_is_answered)
{
	struct iothread_call meanwhile = { .run = run_count }, end = { .run = run_answer_kept };
	pthread_t caller;

	begin(_i, 0);
	ck_assert_int_eq(pthread_create(&caller, NULL, call_and_wait, NULL), 0);
	mock_wait_until(__atomic_load_n(&kept, __ATOMIC_ACQUIRE));
	iothread_call(thread, &meanwhile);
	ck_assert_uint_eq(runs, 1);
	iothread_call(thread, &end);
	pthread_join(caller, NULL);
	iothread_destroy(thread);
}
END_TEST

/* The call of iothread_destroy came before the thread had begun to watch its eventfd. */
START_TEST(call_to_a_thread_that_has_just_started_is_lost)
{
	for (unsigned int i = 0; i < 300; i++) {
		begin(_i, 0);
		iothread_destroy(thread);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("iothread");
	TCase *t = tcase_create("iothread");

	tcase_add_named_test(t, clients_are_served_until_no_work_is_left, 2, loop_name);
	tcase_add_named_test(t, clients_come_and_go_in_any_order, 2, loop_name);
	tcase_add_named_test(t, last_active_client_is_the_one_that_popped_last, 2, loop_name);
	tcase_add_named_test(t, poll_hit_belongs_to_one_client, 2, loop_name);
	tcase_add_named_test(t, calls_from_many_threads, 2, loop_name);
	tcase_add_named_test(t, calls_that_come_while_the_thread_is_busy_are_all_run, 2, loop_name);
	tcase_add_named_test(t, caller_waits_until_the_call_is_answered, 2, loop_name);
	tcase_add_named_test(t, call_to_a_thread_that_has_just_started_is_lost, 2, loop_name);
	suite_add_tcase(s, t);
	return s;
}
