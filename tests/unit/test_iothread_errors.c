/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a host without memory, threads or descriptors, with both kinds of loop. */
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dataplane/iothread.h"
#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

/* Errors that the host returns, once each; 0: the real call is made. */
static int timer_error, calloc_error, attr_error, create_error, enable_error;
static unsigned int
	watch_refused; /* number of the next epoll_ctl call that fails, from 1; 0: none */

int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);

int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags);
void *__real_calloc(size_t n, size_t size);
int __real_pthread_attr_init(pthread_attr_t *attr);
int __real_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
void *__wrap_calloc(size_t n, size_t size);
int __wrap_pthread_attr_init(pthread_attr_t *attr);
int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);

int __real_io_uring_register(unsigned int fd, unsigned int op, void *arg, unsigned int n);
int __wrap_io_uring_register(unsigned int fd, unsigned int op, void *arg, unsigned int n);

int __real_sem_wait(sem_t *sem);
int __wrap_sem_wait(sem_t *sem);

static unsigned int interruptions; /* number of the next waits that a signal interrupts */

int __wrap_sem_wait(sem_t *sem)
{
	if (!interruptions)
		return __real_sem_wait(sem);
	interruptions--;
	errno = EINTR;
	return -1;
}

int __real_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov,
				     unsigned int n);
int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov,
				     unsigned int n);

static int lock_error;
static unsigned int locks;

int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov, unsigned int n)
{
	locks++;
	return lock_error ? lock_error : __real_io_uring_register_buffers(ring, iov, n);
}

static int take(int *error)
{
	int err = *error;

	*error = 0;
	return err;
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	if (!watch_refused || --watch_refused)
		return __real_epoll_ctl(epoll, op, fd, event);
	errno = ENOSPC;
	return -1;
}

int __wrap_timerfd_create(int clock, int flags)
{
	if (!timer_error)
		return __real_timerfd_create(clock, flags);
	errno = take(&timer_error);
	return -1;
}

void *__wrap_calloc(size_t n, size_t size)
{
	if (!calloc_error)
		return __real_calloc(n, size);
	errno = take(&calloc_error);
	return NULL;
}

/* This function and pthread_create return their error, and leave another value in errno. */
int __wrap_pthread_attr_init(pthread_attr_t *attr)
{
	errno = EDOM;
	return attr_error ? take(&attr_error) : __real_pthread_attr_init(attr);
}

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg)
{
	errno = EDOM;
	return create_error ? take(&create_error) : __real_pthread_create(id, attr, start, arg);
}

int __wrap_io_uring_register(unsigned int fd, unsigned int op, void *arg, unsigned int n)
{
	if (op == IORING_REGISTER_ENABLE_RINGS && enable_error)
		return -take(&enable_error);
	return __real_io_uring_register(fd, op, arg, n);
}

static struct iothread *made;

/* Checks that iothread_create fails and leaves no descriptor and no thread. */
static void expect_refused(enum evloop_kind kind, int err)
{
	struct iothread_config config = { .loop = kind };
	unsigned int fds = count_fds(), threads = count_threads();

	ck_assert_int_eq(iothread_create(&made, &config), err);
	ck_assert_uint_eq(count_fds(), fds);
	/* The thread sanitizer may have started a thread of its own. */
	mock_wait_until(count_threads() <= threads + 1);
}

START_TEST(host_out_of_memory_or_threads)
{
	struct iothread_config config = { .loop = _i };

	timer_error = EMFILE;
	expect_refused(_i, -EMFILE);
	calloc_error = ENOMEM;
	expect_refused(_i, -ENOMEM);
	attr_error = ENOMEM;
	expect_refused(_i, -ENOMEM);
	create_error = EAGAIN;
	expect_refused(_i, -EAGAIN);
	for (unsigned int i = 1; _i == EVLOOP_EPOLL && i <= 2; i++) {
		watch_refused = i;
		expect_refused(_i, -ENOSPC);
	}
	if (_i == EVLOOP_URING) {
		enable_error = EBADFD;
		expect_refused(_i, -EBADFD);
	}
	ck_assert_int_eq(iothread_create(&made, &config), 0);
	iothread_destroy(made);
	iothread_destroy(NULL);
}
END_TEST

/* The waits for the start of the thread, and for its answer to a call, continue after a signal. */
START_TEST(signals_do_not_end_the_waits)
{
	struct iothread_config config = { .loop = _i };

	for (unsigned int i = 0; i < 100; i++) {
		interruptions = 3;
		ck_assert_int_eq(iothread_create(&made, &config), 0);
		ck_assert_uint_eq(interruptions, 0);
		interruptions = 3;
		iothread_destroy(made);
		ck_assert_uint_eq(interruptions, 0);
	}
}
END_TEST

/* When the host locks no memory, the thread works without fixed buffers. */
START_TEST(host_locks_no_memory)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));
	struct hostmem mem = { 0 };
	struct iothread_config config = { .loop = _i, .fixed = &mem };

	ck_assert_int_eq(hostmem_add(&mem, 4096, sizeof(page), page, false), 0);
	for (unsigned int i = 0; i < 2; i++) {
		const struct iovec iov = { page, sizeof(page) };

		lock_error = i ? 0 : -ENOMEM;
		ck_assert_int_eq(iothread_create(&made, &config), 0);
		ck_assert_uint_eq(locks, _i ? i + 1 : 0);
		if (_i)
			ck_assert_int_eq(evloop_fixed(&made->loop, &iov), i ? 0 : -1);
		iothread_destroy(made);
	}
}
END_TEST

static pthread_t began_on;

static int begin_on(const struct thread_init *begin)
{
	(void)begin;
	began_on = pthread_self();
	return 0;
}

static int refuse_to_begin(const struct thread_init *begin)
{
	(void)begin;
	return -EACCES;
}

START_TEST(thread_whose_begin_function_fails_is_not_created)
{
	const struct thread_init good = { begin_on }, bad = { refuse_to_begin };
	struct iothread_config config = { .loop = _i };
	struct iothread *t;

	config.begin = &bad;
	ck_assert_int_eq(iothread_create(&t, &config), -EACCES);
	config.begin = &good;
	ck_assert_int_eq(iothread_create(&t, &config), 0);
	ck_assert(pthread_equal(began_on, t->thread));
	iothread_destroy(t);
}
END_TEST

/* The host has no descriptor left, or one of the two that the thread needs. */
START_TEST(host_out_of_descriptors)
{
	struct rlimit before, few;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (unsigned int spare = 0; spare < 2; spare++) {
		struct iothread_config config = { .loop = _i };
		unsigned int fds = count_fds();
		int next = dup(0), err;

		close(next);
		few = before;
		few.rlim_cur = (rlim_t)next + spare;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		err = iothread_create(&made, &config);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		ck_assert_int_eq(err, -EMFILE);
		ck_assert_uint_eq(count_fds(), fds);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("iothread_errors");
	TCase *t = tcase_create("iothread_errors");

	tcase_add_named_test(t, host_out_of_memory_or_threads, 2, loop_name);
	tcase_add_named_test(t, thread_whose_begin_function_fails_is_not_created, 2, loop_name);
	tcase_add_named_test(t, host_locks_no_memory, 2, loop_name);
	tcase_add_named_test(t, signals_do_not_end_the_waits, 2, loop_name);
	tcase_add_named_test(t, host_out_of_descriptors, 2, loop_name);
	suite_add_tcase(s, t);
	return s;
}
