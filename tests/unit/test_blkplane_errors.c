/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a plane on a host without resources, and with an engine that has room for one request.
 * Linked with --wrap for the functions below.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_pthread_attr_init(pthread_attr_t *attr);
int __wrap_pthread_attr_init(pthread_attr_t *attr);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);

/* Errors of the next calls; 0: the real call is made. */
static int calloc_error, mmap_error;

static int take(int *error)
{
	int err = *error;

	*error = 0;
	return err;
}

void *__wrap_calloc(size_t n, size_t size)
{
	if (!calloc_error)
		return __real_calloc(n, size);
	errno = take(&calloc_error);
	return NULL;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (!mmap_error)
		return __real_mmap(addr, len, prot, flags, fd, offset);
	errno = take(&mmap_error);
	return MAP_FAILED;
}

static unsigned int epoll_fails; /* number of the next EPOLL_CTL_ADD that fails, from 1; 0: none */

int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	if (op != EPOLL_CTL_ADD || !epoll_fails || --epoll_fails)
		return __real_epoll_ctl(epoll, op, fd, event);
	errno = ENOSPC;
	return -1;
}

static struct rig r;

/* Checks that blkplane_start fails and leaves no descriptor open. Leak checkers find lost
 * memory. */
static void expect_refused(int err)
{
	unsigned int fds = count_fds();

	r.plane = NULL;
	ck_assert_int_eq(blkplane_start(&r.plane, &r.config), err);
	ck_assert_ptr_null(r.plane);
	ck_assert_uint_eq(count_fds(), fds);
}

/* Checks that the plane works after the host has recovered. */
static void expect_recovered(void)
{
	struct mock_blk req;

	mock_blk(&r.m, &req, VIRTIO_BLK_T_IN, 0, 512);
	rig_start(&r);
	ck_assert_uint_eq(mock_do(&r.m, &req, NULL), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}

START_TEST(host_out_of_memory_for_a_dataplane)
{
	rig_init_file(&r, &ioengine_libaio, 16, false);
	calloc_error = ENOMEM;
	expect_refused(-ENOMEM);
	mmap_error = ENOMEM;
	expect_refused(-ENOMEM);
	expect_recovered();
}
END_TEST

/*
 * The engine has room for one request, which is finished when submit returns. The plane must see
 * that there is room again, because neither a completion event nor a notification follows: all
 * requests were in the ring before the start.
 */
START_TEST(engine_has_room_again_when_submit_returns)
{
	struct ioengine_config config = { .depth = 1, .direct_align = 1 };
	struct mock_blk req[8];

	rig_init_file(&r, &ioengine_sync, 64, false);
	ioengine_destroy(r.engine);
	config.fd = r.image.fd;
	ck_assert_int_eq(ioengine_create(&r.engine, &ioengine_sync, &config), 0);
	r.config.engine = r.engine;
	for (unsigned int i = 0; i < ARRAY_SIZE(req); i++) {
		mock_blk(&r.m, &req[i], VIRTIO_BLK_T_IN, i, 512);
		mock_stage(&r.m, req[i].head);
	}
	mock_show(&r.m);
	rig_start(&r);
	mock_wait_index(&r.m, ARRAY_SIZE(req));
	for (unsigned int i = 0; i < ARRAY_SIZE(req); i++)
		ck_assert_uint_eq(mock_status(&r.m, &req[i]), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

/* One of the two eventfds cannot be watched. The other one must not stay watched. */
START_TEST(host_out_of_watches_for_a_dataplane)
{
	rig_init_file(&r, &ioengine_libaio, 16, false);
	for (unsigned int call = 1; call <= 2; call++) {
		epoll_fails = call;
		expect_refused(-ENOSPC);
		ck_assert_uint_eq(epoll_fails, 0);
	}
	expect_recovered();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_errors");
	TCase *t = tcase_create("blkplane_errors");

	tcase_add_test(t, host_out_of_memory_for_a_dataplane);
	tcase_add_test(t, host_out_of_watches_for_a_dataplane);
	tcase_add_test(t, engine_has_room_again_when_submit_returns);
	suite_add_tcase(s, t);
	return s;
}
