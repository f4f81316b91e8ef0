/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fixture of rings of a throttled disk. Linked with --wrap: the dataplane uses a simulated clock.
 * A test program includes this file once.
 */
#ifndef TESTS_UNIT_LIMIT_RIG_H
#define TESTS_UNIT_LIMIT_RIG_H

#include <sys/timerfd.h>

#define OWNCLOCK_TICK 100u
#include "tests/lib/ownclock.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r, other;
static struct mockdrv *const m = &r.m;
static struct blklimit limit;

#define DEPTH 5u

/* ---- timers ---- */

static unsigned int alarms; /* atomic: number of timers set */

/* Timer of each dataplane thread. */
static struct alarm {
	int fd;	     /* atomic; 0: not known yet */
	uint64_t at; /* atomic; 0: not set since it last expired */
} alarm_of[2];

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);

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

static uint64_t alarm_set_by(unsigned int thread)
{
	return __atomic_load_n(&alarm_of[thread].at, __ATOMIC_SEQ_CST);
}

/* Lets the timer of a thread expire. */
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

	must(blklimit_fill_defaults(&rates));
	blklimit_set(&limit, &rates, ownclock_now());
	if (r.plane)
		blkplane_limit_changed(r.plane);
}

/* Returns the name of a format, which has bit 0 for packed and bit 1 for EVENT_IDX. */
static inline const char *format_name(int format)
{
	static const char *const names[] = { "split", "packed", "split, EVENT_IDX",
					     "packed, EVENT_IDX" };

	return names[format];
}

/* Creates the disk and its rings; bits of `format` select packed rings and EVENT_IDX. */
static void begin(int format, uint64_t iops, uint64_t burst)
{
	ownclock_begin();
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
