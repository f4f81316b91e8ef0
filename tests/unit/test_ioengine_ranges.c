/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of discards and write zeroes beside other requests of an engine. Linked with --wrap: the
 * test can block the system calls of the worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"
#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_pthread_attr_init(pthread_attr_t *attr);
int __wrap_pthread_attr_init(pthread_attr_t *attr);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __real_sem_wait(sem_t *sem);
int __wrap_sem_wait(sem_t *sem);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

#define SIZE  (1u << 20)
#define DEPTH 16u

static bool held; /* a caller of fallocate waits for `go` */
static sem_t arrived, go;
static off_t order[64];	     /* offsets of the fallocate calls; read when all have returned */
static unsigned int came;    /* atomic: number of fallocate calls */
static unsigned int flushes; /* atomic: number of fdatasync calls */
static bool no_memory, no_attr, no_thread;
static unsigned int threads; /* number of threads created */

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	unsigned int at = __atomic_fetch_add(&came, 1, __ATOMIC_SEQ_CST);

	order[at % ARRAY_SIZE(order)] = offset;
	if (READ_ONCE(held)) {
		sem_post(&arrived);
		while (sem_wait(&go))
			;
	}
	return __real_fallocate(fd, mode, offset, len);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

int __wrap_pthread_attr_init(pthread_attr_t *attr)
{
	return no_attr ? ENOMEM : __real_pthread_attr_init(attr);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	threads++;
	return no_thread ? EAGAIN : __real_pthread_create(thread, attr, fn, arg);
}

int __wrap_fdatasync(int fd)
{
	__atomic_fetch_add(&flushes, 1, __ATOMIC_SEQ_CST);
	return __real_fdatasync(fd);
}

/* A signal interrupts every third wait, of any thread. */
int __wrap_sem_wait(sem_t *sem)
{
	static unsigned int calls; /* atomic */

	if (__atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST) % 3 != 0)
		return __real_sem_wait(sem);
	errno = EINTR;
	return -1;
}

static pthread_t worker; /* thread that called worker_begins */

static int worker_begins(const struct thread_init *begin)
{
	(void)begin;
	worker = pthread_self();
	return -EACCES; /* the worker ignores this */
}

static const struct thread_init worker_begin = { worker_begins };
static struct test_image image;
static struct evloop loop;
static struct ioengine *e;
static struct io_task task[DEPTH];
static struct iovec iov[DEPTH];
static uint8_t memory[SIZE] __attribute__((aligned(4096)));

static void begin(int way)
{
	struct engine_way w = engine_way(way);

	image_make(&image, SIZE, w.direct);
	struct ioengine_config config = { .loop = &loop,
					  .fd = image.fd,
					  .depth = DEPTH,
					  .direct_align = image.align,
					  .worker_begin = &worker_begin };
	ck_assert_int_eq(evloop_init(&loop, w.ops->loop), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(ioengine_create(&e, w.ops, &config), 0);
	sem_init(&arrived, 0, 0);
	sem_init(&go, 0, 0);
	threads = 0;
}

static void end(void)
{
	ck_assert_uint_eq(e->in_flight, 0);
	ck_assert_uint_eq(e->ranges_in_flight, 0);
	ioengine_destroy(e);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	image_remove(&image);
}

static void prep_range(unsigned int i, enum io_op op)
{
	memset(&task[i], 0xa5, sizeof(task[i]));
	task[i].op = op;
	task[i].stable = false;
	task[i].range_count = 1;
	task[i].range[0] = (struct io_range){ .offset = i * 8192ull, .len = 4096 };
	ioengine_prep(e, &task[i]);
}

static void prep_read(unsigned int i)
{
	iov[i] = (struct iovec){ memory + i * 8192, 4096 };
	task[i] = (struct io_task){
		.op = IO_READ, .offset = i * 8192ull, .len = 4096, .iov = &iov[i], .iov_count = 1
	};
	ioengine_prep(e, &task[i]);
}

/* Drives the engine until a task is finished. Returns the task. */
static struct io_task *wait_finished(void)
{
	struct io_task *done;

	ioengine_submit(e);
	while (!(done = ioengine_finished(e))) {
		/* This loop does not watch the eventfd of the libaio engine, so it must not
		 * sleep. */
		evloop_turn(&loop, !ioengine_ready(e) && e->event_fd < 0);
		ioengine_reap(e);
		ioengine_submit(e);
	}
	return done;
}

static void wait_arrived(void)
{
	while (sem_wait(&arrived))
		;
}

START_TEST(row38_reads_continue_beside_ranges_that_take_long_on_every_engine)
{
	begin(_i);
	WRITE_ONCE(held, true);
	prep_range(0, IO_WRITE_ZEROES);
	prep_range(1, IO_DISCARD);
	ck_assert_uint_eq(threads, 0); /* prep starts no worker */
	ioengine_submit(e);
	ck_assert_uint_eq(threads, 1);
	wait_arrived();
	for (unsigned int round = 0; round < 20; round++) {
		prep_read(2 + round % 8);
		ck_assert(!ioengine_transfers_done(e));
		ck_assert_ptr_eq(wait_finished(), &task[2 + round % 8]);
		ck_assert_int_eq(task[2 + round % 8].result, 0);
		ck_assert(image_is_fresh(memory + (2 + round % 8) * 8192, (2 + round % 8) * 8192,
					 4096));
		ck_assert(ioengine_transfers_done(e));
	}
	ck_assert(pthread_equal(worker, e->worker->thread));
	ck_assert_uint_eq(ioengine_room(e), DEPTH - 2);
	ck_assert_uint_eq(READ_ONCE(came), 1);
	ck_assert(!ioengine_ready(e));

	WRITE_ONCE(held, false);
	sem_post(&go);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_ptr_eq(wait_finished(), &task[i]);
		ck_assert_int_eq(task[i].result, 0);
	}
	ck_assert_uint_eq(threads, 1);
	image_peek(&image, memory, 0, 16384);
	ck_assert(all_bytes(memory, 0, 4096));
	ck_assert(image_is_fresh(memory + 4096, 4096, 4096));
	ck_assert(all_bytes(memory + 8192, 0, 4096));
	end();
}
END_TEST

START_TEST(ranges_are_executed_in_their_order)
{
	begin(_i);
	WRITE_ONCE(held, true);
	prep_range(0, IO_DISCARD);
	ioengine_submit(e);
	wait_arrived();
	for (unsigned int i = 1; i < DEPTH; i++) {
		prep_range(i, IO_DISCARD);
		if (i % 3)
			ioengine_submit(e);
	}
	ck_assert_uint_eq(ioengine_room(e), 0);
	WRITE_ONCE(held, false);
	sem_post(&go);
	for (unsigned int i = 0; i < DEPTH; i++)
		ck_assert_ptr_eq(wait_finished(), &task[i]);
	for (unsigned int i = 0; i < DEPTH; i++)
		ck_assert_uint_eq(order[i], i * 8192u);
	end();
}
END_TEST

/* They may block for long, so that they always go to the worker. */
START_TEST(ranges_are_never_executed_inline)
{
	begin(_i);
	task[0].op = IO_DISCARD;
	task[0].range_count = 1;
	task[0].range[0] = (struct io_range){ .offset = 0, .len = 4096 };
	ioengine_run(e, &task[0]);
	ck_assert_uint_eq(READ_ONCE(came), 0);
	ck_assert_ptr_eq(wait_finished(), &task[0]);
	ck_assert_uint_eq(threads, 1);
	end();
}
END_TEST

/* The engine executes the ranges itself, and tries again to start a worker for the next ones. */
START_TEST(host_starts_no_thread_for_ranges)
{
	bool *const lack[] = { &no_memory, &no_attr, &no_thread };

	begin(_i);
	for (unsigned int i = 0; i < 3; i++) {
		prep_range(2 * i, IO_WRITE_ZEROES);
		prep_range(2 * i + 1, IO_DISCARD);
		*lack[i] = true;
		ioengine_submit(e);
		*lack[i] = false;
		ck_assert(ioengine_ready(e));
		ck_assert_ptr_eq(ioengine_finished(e), &task[2 * i]);
		ck_assert_ptr_eq(ioengine_finished(e), &task[2 * i + 1]);
		ck_assert_uint_eq(READ_ONCE(came), 2 * i + 2);
		ck_assert_ptr_null(e->worker);
	}
	prep_range(8, IO_DISCARD);
	ck_assert_ptr_eq(wait_finished(), &task[8]);
	ck_assert_ptr_nonnull(e->worker);
	end();
}
END_TEST

/* Without a worker, the dataplane thread executes one step in each turn. */
START_TEST(ranges_without_a_worker_are_executed_step_by_step)
{
	begin(_i);
	no_thread = true;
	prep_range(0, IO_WRITE_ZEROES);
	task[0].range_count = 2;
	task[0].range[1] = (struct io_range){ .offset = 65536, .len = 4096 };
	ioengine_submit(e);
	ck_assert_ptr_null(ioengine_finished(e));
	ck_assert(ioengine_ready(e));
	ioengine_submit(e);
	ck_assert_ptr_eq(ioengine_finished(e), &task[0]);
	ck_assert_int_eq(task[0].result, 0);
	ck_assert(!ioengine_ready(e));
	no_thread = false;
	end();
}
END_TEST

START_TEST(row26_ranges_are_cancelled)
{
	begin(_i);
	ioengine_cancel_ranges(e); /* without ranges in flight */
	ioengine_begin(e);
	WRITE_ONCE(held, true);
	for (unsigned int i = 0; i < 8; i++)
		prep_range(i, i % 2 ? IO_DISCARD : IO_WRITE_ZEROES);
	ioengine_submit(e);
	wait_arrived();
	ioengine_cancel_ranges(e);
	prep_range(8, IO_DISCARD);
	WRITE_ONCE(held, false);
	sem_post(&go);
	for (unsigned int i = 0; i < 9; i++) {
		ck_assert_ptr_eq(wait_finished(), &task[i]);
		ck_assert_int_eq(task[i].result, i ? -ECANCELED : 0);
	}
	ck_assert_uint_eq(READ_ONCE(came), 1);
	/* Later ranges are not cancelled. */
	ioengine_begin(e);
	prep_range(9, IO_DISCARD);
	ck_assert_ptr_eq(wait_finished(), &task[9]);
	ck_assert_int_eq(task[9].result, 0);
	end();
}
END_TEST

/* Returns the name of combination i: an engine, and when the hold ends. */
static const char *hold_name(int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s, released %s the worker has parked it",
		 engine_way_name(i / 2), i & 1 ? "before" : "after");
	return name;
}

START_TEST(ranges_that_were_held_continue_where_they_were_interrupted)
{
	struct io_task *first;

	begin(_i / 2);
	WRITE_ONCE(held, true);
	prep_range(0, IO_WRITE_ZEROES);
	task[0].range_count = 2;
	task[0].range[1] = (struct io_range){ .offset = 65536, .len = 4096 };
	prep_range(1, IO_DISCARD);
	ioengine_submit(e);
	wait_arrived();
	ioengine_hold(e);
	WRITE_ONCE(held, false);
	sem_post(&go);
	while (!ioengine_ready(e))
		sched_yield();
	if (_i & 1)
		ioengine_release(e);
	while (!(_i & 1) && ioengine_working(e))
		ioengine_reap(e);
	ck_assert_ptr_null(ioengine_finished(e));
	ioengine_release(e);
	/* The second task may finish first when the worker had not taken it before the hold. */
	first = wait_finished();
	ck_assert_int_eq(first->result, 0);
	ck_assert_ptr_eq(wait_finished(), first == &task[0] ? &task[1] : &task[0]);
	ck_assert(!task[0].result && !task[1].result);
	ck_assert_uint_eq(READ_ONCE(came), 3);
	ck_assert(order[0] == 0 && order[1] + order[2] == 65536 + 8192);
	end();
}
END_TEST

START_TEST(write_cache_mode_at_the_end_of_a_range_decides_about_its_flush)
{
	begin(_i);
	prep_range(0, IO_DISCARD);
	wait_finished();
	ck_assert_uint_eq(READ_ONCE(flushes), 0);
	/* The mode changes while the range is executed. */
	WRITE_ONCE(held, true);
	prep_range(0, IO_DISCARD);
	ioengine_submit(e);
	wait_arrived();
	ioengine_set_writethrough(e, true);
	WRITE_ONCE(held, false);
	sem_post(&go);
	wait_finished();
	ck_assert_uint_eq(READ_ONCE(flushes), 1);
	ioengine_set_writethrough(e, false);
	prep_range(0, IO_DISCARD);
	wait_finished();
	ck_assert_uint_eq(READ_ONCE(flushes), 1);
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_ranges");
	TCase *t = tcase_create("ioengine_ranges");
	const int n = engine_ways();

	tcase_add_named_test(t, row38_reads_continue_beside_ranges_that_take_long_on_every_engine,
			     n, engine_way_name);
	tcase_add_named_test(t, ranges_are_executed_in_their_order, n, engine_way_name);
	tcase_add_named_test(t, ranges_are_never_executed_inline, n, engine_way_name);
	tcase_add_named_test(t, host_starts_no_thread_for_ranges, n, engine_way_name);
	tcase_add_named_test(t, ranges_without_a_worker_are_executed_step_by_step, n,
			     engine_way_name);
	tcase_add_named_test(t, row26_ranges_are_cancelled, n, engine_way_name);
	tcase_add_named_test(t, ranges_that_were_held_continue_where_they_were_interrupted, 2 * n,
			     hold_name);
	tcase_add_named_test(t, write_cache_mode_at_the_end_of_a_range_decides_about_its_flush, n,
			     engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
