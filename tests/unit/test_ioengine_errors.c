/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of engines on a host without resources. Linked with --wrap for the functions below. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/ioengine.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __real_io_setup(int depth, io_context_t *ctx);
int __wrap_io_setup(int depth, io_context_t *ctx);
int __real_io_submit(io_context_t ctx, long nr, struct iocb **cbs);
int __wrap_io_submit(io_context_t ctx, long nr, struct iocb **cbs);
ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset);

#define NEVER (~0u)

/* Number of calls before the one that fails; counted only in calls of the code under test. */
static unsigned int calloc_fails = NEVER;
static unsigned int mmap_fails = NEVER;
static int eventfd_error;
static int setup_error;
static int submit_error;
static int preadv_error;
static unsigned int preadv_errors; /* number of the next calls that fail */
static unsigned int preadv_calls;

/* Returns true for the call that must fail. */
static bool due(unsigned int *calls)
{
	return *calls != NEVER && !(*calls)--;
}

void *__wrap_calloc(size_t n, size_t size)
{
	if (due(&calloc_fails)) {
		errno = ENOMEM;
		return NULL;
	}
	return __real_calloc(n, size);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (due(&mmap_fails)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(addr, len, prot, flags, fd, offset);
}

int __wrap_eventfd(unsigned int count, int flags)
{
	if (eventfd_error) {
		errno = eventfd_error;
		return -1;
	}
	return __real_eventfd(count, flags);
}

/* Returns -errno, and leaves another value in errno, as does io_submit below. */
int __wrap_io_setup(int depth, io_context_t *ctx)
{
	if (setup_error) {
		errno = EDOM;
		return -setup_error;
	}
	return __real_io_setup(depth, ctx);
}

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb **cbs)
{
	if (submit_error) {
		errno = EDOM;
		return -submit_error;
	}
	return __real_io_submit(ctx, nr, cbs);
}

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	preadv_calls++;
	if (preadv_errors) {
		preadv_errors--;
		errno = preadv_error;
		return -1;
	}
	return __real_preadv(fd, iov, count, offset);
}

static struct test_image image;
static struct ioengine *e;

static int create(const struct ioengine_ops *ops)
{
	struct ioengine_config config = { .fd = image.fd, .depth = 4, .direct_align = 1 };

	e = NULL;
	return ioengine_create(&e, ops, &config);
}

/* Checks that no engine is created and no descriptor left open. Leak checkers find lost memory. */
static void expect_refused(const struct ioengine_ops *ops, int err)
{
	unsigned int fds = count_fds();

	ck_assert_int_eq(create(ops), err);
	ck_assert_ptr_null(e);
	ck_assert_uint_eq(count_fds(), fds);
}

/* Checks that an engine works after the host has recovered. */
static void expect_recovered(const struct ioengine_ops *ops)
{
	static char buffer[512];
	struct iovec iov = { .iov_base = buffer, .iov_len = sizeof(buffer) };
	struct io_task *done,
		task = { .op = IO_READ, .len = sizeof(buffer), .iov = &iov, .iov_count = 1 };

	ck_assert_int_eq(create(ops), 0);
	ioengine_prep(e, &task);
	ioengine_submit(e);
	while (!(done = ioengine_finished(e)))
		ioengine_reap(e);
	ck_assert_ptr_eq(done, &task);
	ck_assert_int_eq(task.result, 0);
	ck_assert(image_is_fresh(buffer, 0, sizeof(buffer)));
	ioengine_destroy(e);
}

START_TEST(host_out_of_memory_for_an_engine)
{
	static const struct ioengine_ops *const engines[] = { &ioengine_libaio, &ioengine_sync };

	image_make(&image, 4096, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		calloc_fails = 0;
		expect_refused(engines[i], -ENOMEM);
		mmap_fails = 0;
		expect_refused(engines[i], -ENOMEM);
		expect_recovered(engines[i]);
	}
	image_remove(&image);
}
END_TEST

/* After the engine itself, the backend and its array of events are allocated. */
START_TEST(host_out_of_memory_for_the_libaio_backend)
{
	image_make(&image, 4096, false);
	for (unsigned int call = 1; call <= 2; call++) {
		calloc_fails = call;
		expect_refused(&ioengine_libaio, -ENOMEM);
		ck_assert_uint_eq(calloc_fails, NEVER);
	}
	expect_recovered(&ioengine_libaio);
	image_remove(&image);
}
END_TEST

START_TEST(host_out_of_descriptors_for_the_libaio_backend)
{
	image_make(&image, 4096, false);
	eventfd_error = EMFILE;
	expect_refused(&ioengine_libaio, -EMFILE);
	eventfd_error = 0;
	expect_recovered(&ioengine_libaio);
	image_remove(&image);
}
END_TEST

/* EAGAIN: aio-max-nr is exhausted. ENOSYS: the kernel has no AIO. */
START_TEST(host_without_aio)
{
	image_make(&image, 4096, false);
	setup_error = EAGAIN;
	expect_refused(&ioengine_libaio, -EAGAIN);
	setup_error = ENOSYS;
	expect_refused(&ioengine_libaio, -ENOSYS);
	setup_error = 0;
	expect_recovered(&ioengine_libaio);
	image_remove(&image);
}
END_TEST

#define SECTOR 512u

static char memory[SECTOR];
static struct iovec iov;
static struct io_task task;

static void submit_read(const struct ioengine_ops *ops)
{
	image_make(&image, 4096, false);
	ck_assert_int_eq(create(ops), 0);
	iov = (struct iovec){ .iov_base = memory, .iov_len = SECTOR };
	task = (struct io_task){
		.op = IO_READ, .offset = SECTOR, .len = SECTOR, .iov = &iov, .iov_count = 1
	};
	ioengine_prep(e, &task);
	ioengine_submit(e);
}

static void end(void)
{
	ck_assert_ptr_null(ioengine_finished(e));
	ck_assert_uint_eq(e->in_flight, 0);
	ioengine_destroy(e);
	image_remove(&image);
}

/* Neither io_submit nor preadv gets memory, and no request is in flight whose completion could free
 * some: the request must fail, because the thread would wait forever. */
START_TEST(request_fails_when_the_host_stays_out_of_memory)
{
	submit_error = preadv_error = ENOMEM;
	preadv_errors = 1;
	submit_read(&ioengine_libaio);
	ck_assert_uint_eq(preadv_calls, 1);
	ck_assert_ptr_eq(ioengine_finished(e), &task);
	ck_assert_int_eq(task.result, -ENOMEM);
	end();
}
END_TEST

START_TEST(blocking_transfer_that_a_signal_interrupts_is_tried_again)
{
	preadv_error = EINTR;
	preadv_errors = 2;
	submit_read(&ioengine_sync);
	ck_assert_uint_eq(preadv_calls, 3);
	ck_assert_ptr_eq(ioengine_finished(e), &task);
	ck_assert_int_eq(task.result, 0);
	ck_assert(image_is_fresh(memory, SECTOR, SECTOR));
	end();
}
END_TEST

/* The caller need not know which engine finishes all requests in submit. */
START_TEST(reaping_the_synchronous_engine_changes_nothing)
{
	submit_read(&ioengine_sync);
	ioengine_reap(e);
	ck_assert_uint_eq(e->in_flight, 1);
	ck_assert_ptr_eq(ioengine_finished(e), &task);
	ioengine_reap(e);
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_errors");
	TCase *t = tcase_create("ioengine_errors");

	tcase_add_test(t, host_out_of_memory_for_an_engine);
	tcase_add_test(t, host_out_of_memory_for_the_libaio_backend);
	tcase_add_test(t, host_out_of_descriptors_for_the_libaio_backend);
	tcase_add_test(t, host_without_aio);
	tcase_add_test(t, request_fails_when_the_host_stays_out_of_memory);
	tcase_add_test(t, blocking_transfer_that_a_signal_interrupts_is_tried_again);
	tcase_add_test(t, reaping_the_synchronous_engine_changes_nothing);
	suite_add_tcase(s, t);
	return s;
}
