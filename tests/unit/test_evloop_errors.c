/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of hosts whose io_uring is old, refused or short of memory, or ends a poll. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/evloop.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct evloop loop;

/* ---- errors that the host returns; 0: the real call is made ---- */

static int init_errors[2], enable_error, submit_error, eventfd_error, epoll_error;
static unsigned int inits;
static bool no_sparse;
static unsigned int init_flags[2];

int __real_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p);
int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_register(unsigned int fd, unsigned int op, void *arg, unsigned int n);
int __wrap_io_uring_register(unsigned int fd, unsigned int op, void *arg, unsigned int n);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);

static int take(int *error)
{
	int err = *error;

	*error = 0;
	return err;
}

int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p)
{
	unsigned int i = inits++;

	init_flags[i] = p->flags;
	return init_errors[i] ? init_errors[i]
			      : __real_io_uring_queue_init_params(entries, ring, p);
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	return submit_error ? take(&submit_error) : __real_io_uring_submit(ring);
}

int __wrap_io_uring_register(unsigned int fd, unsigned int op, void *arg, unsigned int n)
{
	if (op == IORING_REGISTER_ENABLE_RINGS && enable_error)
		return enable_error;
	if (op == IORING_REGISTER_FILES2 && no_sparse)
		return -EINVAL;
	return __real_io_uring_register(fd, op, arg, n);
}

int __wrap_eventfd(unsigned int count, int flags)
{
	if (!eventfd_error)
		return __real_eventfd(count, flags);
	errno = take(&eventfd_error);
	return -1;
}

int __wrap_epoll_create1(int flags)
{
	if (!epoll_error)
		return __real_epoll_create1(flags);
	errno = take(&epoll_error);
	return -1;
}

/* Checks that evloop_init fails and leaves no descriptor. */
static void expect_refused(enum evloop_kind kind, int err)
{
	unsigned int fds = count_fds();

	inits = 0;
	ck_assert_int_eq(evloop_init(&loop, kind), err);
	ck_assert_uint_eq(count_fds(), fds);
}

START_TEST(host_refuses_what_a_loop_needs)
{
	eventfd_error = EMFILE;
	expect_refused(EVLOOP_EPOLL, -EMFILE);
	epoll_error = ENOMEM;
	expect_refused(EVLOOP_EPOLL, -ENOMEM);
	init_errors[0] = -EPERM;
	expect_refused(EVLOOP_URING, -EPERM);
	ck_assert_uint_eq(inits, 1);
	/* The kernel is too old for the first set of flags, and refuses the second. */
	init_errors[0] = -EINVAL;
	init_errors[1] = -ENOMEM;
	expect_refused(EVLOOP_URING, -ENOMEM);
}
END_TEST

START_TEST(host_older_than_single_issuer)
{
	init_errors[0] = -EINVAL;
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_uint_eq(inits, 2);
	ck_assert(init_flags[0] & IORING_SETUP_SINGLE_ISSUER);
	ck_assert(!(init_flags[1] & (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
				     IORING_SETUP_TASKRUN_FLAG)));
	ck_assert_int_eq(evloop_begin(&loop), 0);
	evloop_wake(&loop);
	evloop_turn(&loop, true);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
}
END_TEST

START_TEST(ring_that_cannot_be_enabled_is_freed)
{
	unsigned int fds = count_fds();

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	enable_error = -EBADFD;
	ck_assert_int_eq(evloop_begin(&loop), -EBADFD);
	evloop_destroy(&loop);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

static unsigned int done;

static void count(struct ev_request *request, int res)
{
	(void)request;
	ck_assert_int_eq(res, 0);
	done++;
}

static struct ev_request request = { count };

static void nops(unsigned int n)
{
	while (n--) {
		struct io_uring_sqe *sqe = evloop_sqe(&loop);

		io_uring_prep_nop(sqe);
		evloop_request(sqe, &request);
	}
}

/* Temporary errors, which do not make the loop fail. */
static const struct {
	const char *name;
	int err;
} temporary[] = {
	{ "EBUSY", -EBUSY },
	{ "EINTR", -EINTR },
	{ "EAGAIN", -EAGAIN },
	{ "ENOMEM", -ENOMEM },
};

/* The submission ring is full, and the kernel accepts no entry before completions are handled. */
START_TEST(submission_is_refused_while_the_ring_is_full)
{
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	nops(100);
	submit_error = temporary[_i].err;
	nops(100);
	ck_assert_int_eq(submit_error, 0);
	ck_assert_int_eq(loop.failed, 0);
	while (done < 200)
		evloop_turn(&loop, true);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
}
END_TEST

static unsigned int nested;

static void count_and_request_many(struct ev_request *r, int res)
{
	count(r, res);
	if (nested++)
		return;
	submit_error = -EBUSY;
	nops(129);
}

/* A completion function makes more requests than the ring has entries, so that other completions
 * must be handled within it. */
START_TEST(turn_within_a_completion_function)
{
	struct ev_request requesting = { count_and_request_many };

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct io_uring_sqe *sqe = evloop_sqe(&loop);

		io_uring_prep_nop(sqe);
		evloop_request(sqe, &requesting);
	}
	nops(50);
	while (done < 3 + 50 + 129)
		evloop_turn(&loop, true);
	ck_assert_int_eq(submit_error, 0);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	ck_assert_uint_eq(done, 3 + 50 + 129);
}
END_TEST

/* The kernel ends a multishot poll when the completion ring is full. */
START_TEST(poll_that_the_kernel_ended_is_made_again)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct ev_watch watch;
	uint64_t one = 1;

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_turn(&loop, false);
	/* The eventfd is written to when the completion ring is full. */
	for (unsigned int n = 0; n < 1024; n += 128) {
		nops(128);
		ck_assert_int_gt(io_uring_submit(&loop.ring), 0);
	}
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	io_uring_get_events(&loop.ring);
	while (done < 1024)
		evloop_turn(&loop, true);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(watch.armed);
		ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
		evloop_turn(&loop, true);
	}
	evloop_unwatch(&loop, &watch);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	close(fd);
}
END_TEST

/* ---- registered files and memory, and restrictions ---- */

/* The ring has 32 places for files, and none on older kernels. */
START_TEST(files_that_cannot_be_registered)
{
	int n = 0;

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(evloop_register_file(&loop, 1 << 20), -EBADF);
	while (evloop_register_file(&loop, loop.wake_fd) == n)
		n++;
	ck_assert_int_eq(n, 32);
	ck_assert_int_eq(evloop_register_file(&loop, loop.wake_fd), -ENFILE);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);

	no_sparse = true;
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(evloop_register_file(&loop, loop.wake_fd), -ENFILE);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
}
END_TEST

static int refused;

static void note(struct ev_request *r, int res)
{
	(void)r;
	refused = res;
	done++;
}

START_TEST(restricted_ring_accepts_only_what_engines_need)
{
	struct ev_request noted = { note };
	char byte;

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	evloop_restrict(&loop);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct io_uring_sqe *sqe = evloop_sqe(&loop);

		if (i == 0)
			io_uring_prep_nop(sqe);
		else if (i == 1)
			io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY, 0);
		else
			io_uring_prep_read(sqe, -1, &byte, 1, 0);
		evloop_request(sqe, &noted);
		while (done <= i)
			evloop_turn(&loop, true);
		ck_assert_int_eq(refused, i < 2 ? -EACCES : -EBADF);
	}
	ck_assert_int_eq(io_uring_register_eventfd(&loop.ring, loop.wake_fd), -EACCES);
	ck_assert_int_eq(evloop_register_file(&loop, loop.wake_fd), 0);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
}
END_TEST

/* Kernels without multishot polls refuse each of them, so that the loop must not try again. */
START_TEST(poll_that_the_kernel_refuses_fails_the_loop)
{
	struct ev_watch watch;

	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(evloop_watch(&loop, &watch, 1 << 20), 0);
	evloop_turn(&loop, true);
	ck_assert_int_eq(loop.failed, -EBADF);
	ck_assert_str_eq(loop.failed_call, "io_uring poll");
	evloop_destroy(&loop);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("evloop_errors");
	TCase *t = tcase_create("evloop_errors");

	tcase_add_test(t, host_refuses_what_a_loop_needs);
	tcase_add_test(t, host_older_than_single_issuer);
	tcase_add_test(t, ring_that_cannot_be_enabled_is_freed);
	tcase_add_table_test(t, submission_is_refused_while_the_ring_is_full, temporary);
	tcase_add_test(t, turn_within_a_completion_function);
	tcase_add_test(t, files_that_cannot_be_registered);
	tcase_add_test(t, restricted_ring_accepts_only_what_engines_need);
	tcase_add_test(t, poll_that_the_kernel_ended_is_made_again);
	tcase_add_test(t, poll_that_the_kernel_refuses_fails_the_loop);
	suite_add_tcase(s, t);
	return s;
}
