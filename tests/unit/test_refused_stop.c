/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a host that refuses the waits of an engine while requests are in flight: stop waits for
 * requests that still end. Linked with --wrap: the test decides when fallocate returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "tests/lib/refuse.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#ifdef SYS_epoll_wait
static const int epoll[] = { SYS_epoll_wait, SYS_epoll_pwait, -1 };
#else
static const int epoll[] = { SYS_epoll_pwait, -1 };
#endif
static const int enter[] = { SYS_io_uring_enter, -1 };

/* A request that the host holds until the stop of the plane has begun. */
struct held {
	struct rig rig;
	struct mock_blk req;
	pthread_t host;
	pid_t stopper;
	void (*release)(struct held *held);
};

static sem_t fallocate_began, fallocate_continues;

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	sem_post(&fallocate_began);
	must(!sem_wait(&fallocate_continues));
	return __real_fallocate(fd, mode, offset, len);
}

static void release_discard(struct held *held)
{
	(void)held;
	sem_post(&fallocate_continues);
}

static void release_read(struct held *held)
{
	scripted_complete(held->rig.engine, 0, SCRIPTED_ALL);
}

/* The host: lets the request end when the thread that stops the plane waits. */
static void *host(void *arg)
{
	struct held *held = arg;

	mock_wait_until(thread_sleeps_in(held->stopper, SYS_futex));
	held->release(held);
	return NULL;
}

/* Refuses a system call, and checks that stop waits for the request. */
static void stop_waits_for(struct held *held, const int *call)
{
	refuse_calls(call, EPERM);
	mock_kick(&held->rig.m);
	rig_wait_broken(&held->rig);
	held->stopper = gettid();
	must(!pthread_create(&held->host, NULL, host, held));
	rig_stop(&held->rig);
	ck_assert_uint_eq(held->rig.engine->in_flight, 0);
	must(!pthread_join(held->host, NULL));
	rig_fini(&held->rig);
}

/* The failed loop reaps completions without a wake-up. */
START_TEST(stop_waits_for_requests_that_still_complete)
{
	static struct held held = { .release = release_read };

	rig_init(&held.rig, 16, false, true, 16);
	mock_blk(&held.rig.m, &held.req, VIRTIO_BLK_T_IN, 0, 512);
	rig_start(&held.rig);
	mock_offer(&held.rig.m, held.req.head);
	scripted_wait(held.rig.engine, 1);
	stop_waits_for(&held, epoll);
}
END_TEST

/* The worker still uses the memory of the request. */
START_TEST(stop_waits_for_discards_while_the_ring_is_lost)
{
	static struct held held = { .release = release_discard };
	struct virtio_blk_discard_write_zeroes range = { .sector = 0, .num_sectors = 8 };

	sem_init(&fallocate_began, 0, 0);
	sem_init(&fallocate_continues, 0, 0);
	rig_init_file(&held.rig, &ioengine_uring, 16, false);
	held.rig.config.disk.discard_max = 1024;
	mock_blk(&held.rig.m, &held.req, VIRTIO_BLK_T_DISCARD, 0, sizeof(range));
	memcpy(mock_ptr(&held.rig.m, held.req.data), &range, sizeof(range));
	rig_start(&held.rig);
	mock_offer(&held.rig.m, held.req.head);
	must(!sem_wait(&fallocate_began));
	stop_waits_for(&held, enter);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("refused_stop");
	TCase *t = tcase_create("refused_stop");

	tcase_add_test(t, stop_waits_for_requests_that_still_complete);
	tcase_add_test(t, stop_waits_for_discards_while_the_ring_is_lost);
	suite_add_tcase(s, t);
	return s;
}
