/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of a disk with limits. Linked with --wrap: the dataplane's clock is the test's. Each includer has its own. */
#ifndef TESTS_UNIT_LIMIT_RIG_H
#define TESTS_UNIT_LIMIT_RIG_H

#include <pthread.h>
#include <sys/timerfd.h>

#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r, other;
static struct mockdrv *const m = &r.m;
static struct blklimit limit;

#define MS	1000000ull
#define SECOND	(1000 * MS)
#define TICK_NS 100u /* from one look at the clock to the next */
#define DEPTH	5u

/* ---- time ---- */

static pthread_t tester;
static bool own_clock;
static uint64_t clock_ns;   /* atomic */
static unsigned int alarms; /* atomic: how often one was asked for */

/* Each thread's. */
static struct alarm {
	int fd;	     /* atomic; 0: not known yet */
	uint64_t at; /* atomic; 0: none was asked for since the last time that went by */
} alarm_of[2];

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t t;

	/* Check reads it as well, before a test begins. */
	if (!own_clock || pthread_equal(pthread_self(), tester))
		return __real_clock_gettime(id, ts);
	t = __atomic_add_fetch(&clock_ns, TICK_NS, __ATOMIC_ACQ_REL);
	*ts = (struct timespec){ .tv_sec = (time_t)(t / SECOND), .tv_nsec = (long)(t % SECOND) };
	return 0;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct alarm *a = &alarm_of[fd != r.thread->loop.alarm_fd];

	must(flags == TFD_TIMER_ABSTIME && !old);
	__atomic_store_n(&a->fd, fd, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&alarms, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&a->at,
			 (uint64_t) new->it_value.tv_sec *SECOND + (uint64_t) new->it_value.tv_nsec,
			 __ATOMIC_SEQ_CST);
	return 0;
}

static void begin_clock(void)
{
	tester = pthread_self();
	own_clock = true;
	clock_ns = 7 * SECOND;
}

static uint64_t alarm_set_by(unsigned int thread)
{
	return __atomic_load_n(&alarm_of[thread].at, __ATOMIC_SEQ_CST);
}

static void ring_alarm(unsigned int thread)
{
	const struct itimerspec soon = { .it_value.tv_nsec = 1 };
	int fd = __atomic_load_n(&alarm_of[thread].fd, __ATOMIC_SEQ_CST);

	must(!__real_timerfd_settime(fd, 0, &soon, NULL));
}

/* ---- the disk ---- */

static struct mock_blk req[DEPTH];

static void set_limit(uint64_t iops, uint64_t burst)
{
	struct blklimit_rates rates = { .iops = iops, .iops_burst = burst };

	must(blklimit_settle(&rates));
	blklimit_set(&limit, &rates, __atomic_load_n(&clock_ns, __ATOMIC_SEQ_CST));
	if (r.plane)
		blkplane_limit_changed(r.plane);
}

/* Formats: packed, EVENT_IDX. */
static void begin(int format, uint64_t iops, uint64_t burst)
{
	begin_clock();
	rig_poll_ns = 50000;
	rig_init(&r, 16, format & 2, false, 16);
	if (format & 1)
		mock_ring_packed(m, 16, format & 2, false);
	r.config.limit = &limit;
	set_limit(iops, burst);
	rig_start(&r);
	for (unsigned int i = 0; i < DEPTH; i++)
		mock_blk(m, &req[i], VIRTIO_BLK_T_OUT, i, 512);
}

static void offer(unsigned int from, unsigned int to)
{
	for (; from < to; from++)
		mock_stage(m, req[from].head);
	mock_show(m);
	mock_kick(m);
}

#endif
