/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of jobs: run in order on another thread, completed on the submitting thread. */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>

#include "dataplane/base.h"
#include "tests/lib/files.h"
#include "tests/lib/suite.h"
#include "vmm/control/jobs.h"

#define COUNT 100u

struct numbered {
	struct job job;
	unsigned int number;
	pthread_t ran_on;
};

static struct numbered some[COUNT];
static unsigned int ran, done;
static sem_t let_go;

static void run(struct job *job)
{
	struct numbered *n = container_of(job, struct numbered, job);

	if (n->number == 0)
		sem_wait(&let_go);
	n->ran_on = pthread_self();
	ck_assert_uint_eq(n->number, ran++);
}

static void is_done(struct job *job)
{
	struct numbered *n = container_of(job, struct numbered, job);

	ck_assert_uint_eq(n->number, done++);
	ck_assert(!pthread_equal(n->ran_on, pthread_self()));
}

static void give(struct jobs *e, unsigned int i)
{
	some[i] = (struct numbered){ .job = { run, is_done, NULL }, .number = i };
	jobs_queue(e, &some[i].job);
}

START_TEST(jobs_are_run_and_completed_in_order)
{
	struct jobs *e;

	sem_init(&let_go, 0, 0);
	ck_assert_int_eq(jobs_create(&e), 0);
	for (unsigned int i = 0; i < COUNT; i++)
		give(e, i);
	jobs_reap(e);
	ck_assert_uint_eq(done, 0);
	sem_post(&let_go);
	while (done < COUNT) {
		struct pollfd fd = { .fd = jobs_fd(e), .events = POLLIN };

		ck_assert_int_eq(poll(&fd, 1, 60000), 1);
		jobs_reap(e);
	}
	jobs_destroy(e);
}
END_TEST

/* The job that is running is waited for; the others are dropped. */
START_TEST(destroy_with_pending_jobs)
{
	unsigned int fds = count_fds();
	struct jobs *e;

	sem_init(&let_go, 0, 0);
	ck_assert_int_eq(jobs_create(&e), 0);
	give(e, 0);
	give(e, 1);
	sem_post(&let_go);
	jobs_destroy(e);
	ck_assert_uint_eq(done, 0);
	jobs_destroy(NULL);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("jobs");
	TCase *t = tcase_create("jobs");

	tcase_add_test(t, jobs_are_run_and_completed_in_order);
	tcase_add_test(t, destroy_with_pending_jobs);
	suite_add_tcase(s, t);
	return s;
}
