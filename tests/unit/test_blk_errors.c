/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the device on a host without memory or descriptors. Linked with --wrap for the functions
 * below. (test_blk.c tests a lack of descriptors at activation.)
 */
#include <errno.h>
#include <libaio.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/capture.h"
#include "tests/lib/disk.h"
#include "tests/lib/engines.h"
#include "tests/lib/suite.h"

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_io_setup(int depth, io_context_t *ctx);
int __wrap_io_setup(int depth, io_context_t *ctx);
int __real_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *params);

static bool no_memory, no_pages;
static unsigned int calloc_fails; /* number of the next call that fails, from 1; 0: none */
static bool no_aio, no_uring;
static unsigned int eventfd_fails; /* number of the next call that fails, from 1; 0: none */

void *__wrap_calloc(size_t n, size_t size)
{
	if (!no_memory && (!calloc_fails || --calloc_fails))
		return __real_calloc(n, size);
	errno = ENOMEM;
	return NULL;
}

int __wrap_eventfd(unsigned int count, int flags)
{
	if (!eventfd_fails || --eventfd_fails)
		return __real_eventfd(count, flags);
	errno = EMFILE;
	return -1;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (!no_pages)
		return __real_mmap(addr, len, prot, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

int __wrap_io_setup(int depth, io_context_t *ctx)
{
	return no_aio ? -EAGAIN : __real_io_setup(depth, ctx);
}

int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *params)
{
	return no_uring ? -EPERM : __real_io_uring_queue_init_params(entries, ring, params);
}

static struct disk d;
static struct mockdrv *const m = &d.m;

/* Checks that blk_create fails and logs what the host lacks. `why` is NULL, because it is for
 * problems of the image. */
static void expect_refused(int err, const char *what)
{
	struct blk *blk = NULL;
	const char *why = "";
	unsigned int fds;
	char expected[200];

	capture_begin();
	fds = count_fds();
	ck_assert_int_eq(blk_create(&blk, &d.config, 0, &m->hostmem, &why), err);
	ck_assert_uint_eq(count_fds(), fds);
	capture_end();
	ck_assert_ptr_null(blk);
	ck_assert_ptr_null(why);
	snprintf(expected, sizeof(expected), "microvm: %s: %s\n", what, strerror(-err));
	ck_assert_str_eq(capture_text(), expected);
}

START_TEST(host_out_of_memory_or_descriptors_for_a_disk)
{
	disk_init(&d, BLK_ENGINE_SYNC);
	no_memory = true;
	expect_refused(-ENOMEM, "a disk");
	no_memory = false;
	no_pages = true;
	expect_refused(-ENOMEM, "registers of a disk");
	no_pages = false;
	for (unsigned int call = 1; call <= 2; call++) {
		eventfd_fails = call;
		expect_refused(-EMFILE, "event file descriptors of a disk");
		ck_assert_uint_eq(eventfd_fails, 0);
	}
	/* With statistics, times need further memory. */
	d.config.stats = true;
	calloc_fails = 2;
	expect_refused(-ENOMEM, "statistics of a disk");
	ck_assert_uint_eq(calloc_fails, 0);
	disk_open(&d);
	disk_fini(&d);
}
END_TEST

/* Sets DRIVER_OK on a host without memory, so that no engine can be created. */
static void activate_without_memory(void)
{
	reg_set_status(&d.mmio, 0);
	mock_ring(m, 64, false, false);
	ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES));
	ck_assert(reg_queue(&d.mmio, &m->ring));
	no_memory = true;
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	no_memory = false;
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
}

START_TEST(host_out_of_memory_at_activation)
{
	struct mock_blk req;

	for (int way = 0; way < engine_ways(); way += 2) {
		disk_init(&d, engine_way(way).engine);
		disk_open(&d);
		activate_without_memory();
		ck_assert_uint_ge(mock_irqs(m), 1);
		/* A notification has no effect. The disk starts after a reset. */
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL),
				  VIRTIO_BLK_S_OK);
		disk_fini(&d);
	}
}
END_TEST

/* ---- what is logged ---- */

#define FALL_BACK "using sync"

/* A guest must not be able to fill the log. */
START_TEST(guest_floods_the_log_with_activations_that_fail)
{
	disk_init(&d, BLK_ENGINE_LIBAIO);
	disk_open(&d);
	capture_begin();
	for (unsigned int i = 0; i < 100; i++)
		activate_without_memory();
	capture_end();
	unsigned int lines = capture_count("cannot start the dataplane");
	ck_assert_uint_ge(lines, LOG_BURST);
	/* Several periods may have ended meanwhile. */
	ck_assert_uint_le(lines, 50);
	ck_assert_uint_eq(capture_count(FALL_BACK), 0); /* it failed as well */
	disk_fini(&d);
}
END_TEST

/* Starts a disk three times. */
static void start_and_reset(enum blk_engine engine)
{
	struct mock_blk req;

	disk_init(&d, engine);
	disk_open(&d);
	for (unsigned int start = 0; start < 3; start++) {
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL),
				  VIRTIO_BLK_S_OK);
	}
	disk_fini(&d);
}

/* Each disk logs it once, also when there are more disks than the log allows lines. */
START_TEST(host_without_aio_is_logged_once_per_disk)
{
	no_aio = true;
	capture_begin();
	for (unsigned int disk = 0; disk < 2 * LOG_BURST; disk++)
		start_and_reset(BLK_ENGINE_LIBAIO);
	capture_end();
	ck_assert_uint_eq(capture_count("libaio is unavailable"), 2 * LOG_BURST);
	ck_assert_uint_eq(capture_count(FALL_BACK), 2 * LOG_BURST);
}
END_TEST

START_TEST(host_without_io_uring_falls_back_to_the_next_engine)
{
	no_uring = true;
	capture_begin();
	start_and_reset(BLK_ENGINE_URING);
	start_and_reset(BLK_ENGINE_LIBAIO);
	no_aio = true;
	start_and_reset(BLK_ENGINE_URING);
	capture_end();
	ck_assert_uint_eq(capture_count("io_uring is unavailable (Operation not permitted), "
					"using libaio"),
			  1);
	ck_assert_uint_eq(capture_count("io_uring is unavailable (Operation not permitted), "
					"using sync"),
			  1);
	ck_assert_uint_eq(capture_count(" is unavailable ("), 2);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_errors");
	TCase *t = tcase_create("blk_errors");

	tcase_add_test(t, host_out_of_memory_or_descriptors_for_a_disk);
	tcase_add_test(t, host_out_of_memory_at_activation);
	tcase_add_test(t, guest_floods_the_log_with_activations_that_fail);
	tcase_add_test(t, host_without_aio_is_logged_once_per_disk);
	tcase_add_test(t, host_without_io_uring_falls_back_to_the_next_engine);
	suite_add_tcase(s, t);
	return s;
}
