/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of discards and zero writes beside an engine's other requests. Linked with --wrap: the test
 * can block the helper thread's system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"
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

static bool held; /* who calls fallocate waits for `go` */
static sem_t arrived, go;
static off_t order[64];	  /* offsets, as they came; read when all have ended */
static unsigned int came; /* atomic, as what follows */
static unsigned int flushes;
static bool no_memory, no_attr, no_thread;
static unsigned int threads; /* made */

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

/* A signal comes first; for whoever waits. */
int __wrap_sem_wait(sem_t *sem)
{
	static unsigned int calls; /* atomic */

	if (__atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST) % 3 != 0)
		return __real_sem_wait(sem);
	errno = EINTR;
	return -1;
}

static pthread_t worker; /* where it began */

static int worker_begins(const struct thread_init *begin)
{
	(void)begin;
	worker = pthread_self();
	return -EACCES; /* which changes nothing */
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

/* The engine's thread goes on until something is finished. */
static struct io_task *wait_finished(void)
{
	struct io_task *done;

	ioengine_submit(e);
	while (!(done = ioengine_finished(e))) {
		/* What the libaio engine has finished is not the loop's to see here. */
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

START_TEST(row38_reads_go_on_beside_ranges_that_take_long_on_every_engine)
{
	begin(_i);
	WRITE_ONCE(held, true);
	prep_range(0, IO_WRITE_ZEROES);
	prep_range(1, IO_DISCARD);
	ck_assert_uint_eq(threads, 0); /* prep is quick */
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

/* However many are waiting. */
START_TEST(ranges_are_done_first_come_first)
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

/* A system call that blocks is not for requests like these. */
START_TEST(ranges_are_never_run_plainly)
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

/* Late is better than never; and the next time there may be one. */
START_TEST(host_has_no_thread_for_ranges)
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

/* Where there is no helper thread, a turn of the engine's thread does one step. */
START_TEST(ranges_without_a_thread_are_done_step_by_step)
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

START_TEST(row26_ranges_that_nobody_wants_any_more)
{
	begin(_i);
	ioengine_cancel_ranges(e); /* there are none */
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
	/* The next ones are wanted. */
	ioengine_begin(e);
	prep_range(9, IO_DISCARD);
	ck_assert_ptr_eq(wait_finished(), &task[9]);
	ck_assert_int_eq(task[9].result, 0);
	end();
}
END_TEST

/* Where it was, also when the hold ends before the worker has given it back. */
START_TEST(ranges_that_were_held_go_on_where_they_were)
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
	/* The second one may come first when the worker had not yet seen it. */
	first = wait_finished();
	ck_assert_int_eq(first->result, 0);
	ck_assert_ptr_eq(wait_finished(), first == &task[0] ? &task[1] : &task[0]);
	ck_assert(!task[0].result && !task[1].result);
	ck_assert_uint_eq(READ_ONCE(came), 3);
	ck_assert(order[0] == 0 && order[1] + order[2] == 65536 + 8192);
	end();
}
END_TEST

START_TEST(ranges_become_stable_by_what_holds_when_they_end)
{
	begin(_i);
	prep_range(0, IO_DISCARD);
	wait_finished();
	ck_assert_uint_eq(READ_ONCE(flushes), 0);
	/* Begun under the old rule. */
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

	tcase_add_loop_test(t, row38_reads_go_on_beside_ranges_that_take_long_on_every_engine, 0,
			    n);
	tcase_add_loop_test(t, ranges_are_done_first_come_first, 0, n);
	tcase_add_loop_test(t, ranges_are_never_run_plainly, 0, n);
	tcase_add_loop_test(t, host_has_no_thread_for_ranges, 0, n);
	tcase_add_loop_test(t, ranges_without_a_thread_are_done_step_by_step, 0, n);
	tcase_add_loop_test(t, row26_ranges_that_nobody_wants_any_more, 0, n);
	tcase_add_loop_test(t, ranges_that_were_held_go_on_where_they_were, 0, 2 * n);
	tcase_add_loop_test(t, ranges_become_stable_by_what_holds_when_they_end, 0, n);
	suite_add_tcase(s, t);
	return s;
}
