/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the wake-up policy of a dataplane thread on a host with a single CPU. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#define RING	    64
#define EAGER_WAKES (WAKEUP_POLICY_EAGER_SPANS * WAKEUP_POLICY_SPAN)

static struct rig r;
static struct mockdrv *const m = &r.m;

/* ---- the host ---- */

static bool one_cpu;
static int process_policy;
static int policy;	     /* atomic: scheduling class of the dataplane thread */
static unsigned int changes; /* atomic: number of times that it was set */

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getscheduler(pid_t pid);
int __wrap_sched_setscheduler(pid_t pid, int to, const struct sched_param *param);

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	int err = __real_sched_getaffinity(pid, size, set);

	CPU_ZERO_S(size, set);
	CPU_SET_S(0, size, set);
	if (!one_cpu)
		CPU_SET_S(1, size, set);
	return err;
}

int __wrap_sched_getscheduler(pid_t pid)
{
	must(pid == 0);
	return process_policy;
}

int __wrap_sched_setscheduler(pid_t pid, int to, const struct sched_param *param)
{
	must(pid == 0 && param->sched_priority == 0);
	__atomic_store_n(&policy, to, __ATOMIC_RELEASE);
	__atomic_add_fetch(&changes, 1, __ATOMIC_ACQ_REL);
	return 0;
}

/* The clock of the dataplane thread advances only when the test offers requests. */
static pthread_t tester;
static uint64_t clock_ns; /* atomic */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t t;

	if (pthread_equal(pthread_self(), tester) || !one_cpu)
		return __real_clock_gettime(id, ts);
	t = __atomic_load_n(&clock_ns, __ATOMIC_ACQUIRE);
	*ts = (struct timespec){ .tv_sec = (time_t)(t / 1000000000u),
				 .tv_nsec = (long)(t % 1000000000u) };
	return 0;
}

static void setup(void)
{
	tester = pthread_self();
	one_cpu = true;
	process_policy = SCHED_OTHER;
	policy = SCHED_OTHER;
	changes = 0;
}

/* ---- the driver ---- */

static uint16_t used;

/* Sends requests by one doorbell, of which each takes `each_ns`. */
static void offer(unsigned int count, uint64_t each_ns)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	mock_forget(m);
	for (unsigned int i = 0; i < count; i++) {
		mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, BLKREQ_ID_BYTES);
		mock_stage(m, req.head);
	}
	mock_show(m);
	__atomic_add_fetch(&clock_ns, count * each_ns, __ATOMIC_ACQ_REL);
	mock_kick(m);
	used = (uint16_t)(used + count);
	mock_wait_index(m, used);
	/* When the thread sleeps, it has applied the policy. */
	wait_idle_thread();
	while (mock_used(m, &elem))
		;
}

static void offer_one_by_one(unsigned int count)
{
	while (count--)
		offer(1, 1000);
}

static void begin(void)
{
	used = 0;
	rig_init(&r, RING, false, false, RING);
	rig_start(&r);
	wait_idle_thread();
	/* The first request only sets the time. */
	offer_one_by_one(1);
}

static unsigned int get_changes(void)
{
	return __atomic_load_n(&changes, __ATOMIC_ACQUIRE);
}

START_TEST(sched_batch_while_a_doorbell_brings_several_requests)
{
	begin();
	offer_one_by_one(EAGER_WAKES - 1);
	ck_assert_uint_eq(get_changes(), 0);
	offer_one_by_one(1);
	ck_assert_uint_eq(get_changes(), 1);
	ck_assert_int_eq(policy, SCHED_BATCH);

	/* SCHED_BATCH is tried for a span, and kept for another. Two requests per doorbell are
	 * enough. */
	for (unsigned int i = 0; i < 2 * WAKEUP_POLICY_SPAN; i++)
		offer(2, 200);
	ck_assert_uint_eq(get_changes(), 1);

	/* A span with one request per doorbell ends SCHED_BATCH. */
	offer_one_by_one(WAKEUP_POLICY_SPAN - 1);
	ck_assert_uint_eq(get_changes(), 1);
	offer_one_by_one(1);
	ck_assert_uint_eq(get_changes(), 2);
	ck_assert_int_eq(policy, SCHED_OTHER);
	rig_fini(&r);
}
END_TEST

static const struct {
	const char *name;
	bool one_cpu;
	int policy; /* of the process */
} fixed[] = {
	{ "two CPUs", false, SCHED_OTHER },
	{ "the user has chosen a class", true, SCHED_BATCH },
};

START_TEST(scheduling_class_is_left_alone)
{
	one_cpu = fixed[_i].one_cpu;
	process_policy = fixed[_i].policy;
	begin();
	offer_one_by_one(EAGER_WAKES);
	ck_assert_uint_eq(get_changes(), 0);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("iothread_wakeup_policy");
	TCase *t = tcase_create("iothread_wakeup_policy");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, sched_batch_while_a_doorbell_brings_several_requests);
	tcase_add_table_test(t, scheduling_class_is_left_alone, fixed);
	suite_add_tcase(s, t);
	return s;
}
