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
static unsigned int calloc_fails; /* as eventfd_fails */
static bool no_aio, no_uring;
static unsigned int eventfd_fails; /* the nth call from now; 0: none */

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

/* `why` says what is wrong with the image: nothing is. The log says what the host lacks. */
static void expect_refused(int err, const char *what)
{
	struct blk *blk = NULL;
	const char *why = "";
	unsigned int fds = count_fds();
	int ends[2], saved = dup(STDERR_FILENO);
	char said[200] = "", expected[200];

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	ck_assert_int_eq(blk_create(&blk, &d.config, 0, &m->hostmem, &why), err);
	dup2(saved, STDERR_FILENO);
	close(ends[1]);
	ck_assert_int_gt(read(ends[0], said, sizeof(said) - 1), 0);
	close(ends[0]);
	close(saved);
	ck_assert_ptr_null(blk);
	ck_assert_ptr_null(why);
	ck_assert_uint_eq(count_fds(), fds);
	snprintf(expected, sizeof(expected), "microvm: %s: %s\n", what, strerror(-err));
	ck_assert_str_eq(said, expected);
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
	/* Where times are to be kept. */
	d.config.stats = true;
	calloc_fails = 2;
	expect_refused(-ENOMEM, "statistics of a disk");
	ck_assert_uint_eq(calloc_fails, 0);
	disk_open(&d);
	disk_fini(&d);
}
END_TEST

/* From a queue that is ready to DRIVER_OK, with no memory: neither engine is to be had. */
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
		/* A doorbell leads nowhere; a driver that begins again finds a disk. */
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL),
				  VIRTIO_BLK_S_OK);
		disk_fini(&d);
	}
}
END_TEST

/* ---- what is said of it ---- */

static char text[65536];
static int ends[2], saved;

static void begin_to_listen(void)
{
	ck_assert_int_eq(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
}

static void heard(void)
{
	ssize_t n;
	size_t len = 0;

	dup2(saved, STDERR_FILENO);
	close(saved);
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(ends[0]);
}

static unsigned int count_lines(const char *words)
{
	unsigned int n = 0;

	for (const char *at = text; (at = strstr(at, words)); at++)
		n++;
	return n;
}

#define FALL_BACK "using sync"

/* The guest decides how often it tries again, and must not fill the host's log. */
START_TEST(guest_floods_the_log_with_activations_that_fail)
{
	disk_init(&d, BLK_ENGINE_LIBAIO);
	disk_open(&d);
	begin_to_listen();
	for (unsigned int i = 0; i < 100; i++)
		activate_without_memory();
	heard();
	unsigned int lines = count_lines("cannot start the dataplane");
	ck_assert_uint_ge(lines, LOG_BURST);
	/* A period may have ended meanwhile, and on a slow host several. */
	ck_assert_uint_le(lines, 50);
	ck_assert_uint_eq(count_lines(FALL_BACK), 0); /* it did not help */
	disk_fini(&d);
}
END_TEST

static void several_lives(enum blk_engine engine)
{
	struct mock_blk req;

	disk_init(&d, engine);
	disk_open(&d);
	for (unsigned int life = 0; life < 3; life++) {
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL),
				  VIRTIO_BLK_S_OK);
	}
	disk_fini(&d);
}

/* Each disk says so, however many there are, and says it once. */
START_TEST(host_without_aio_is_told_once_per_disk)
{
	no_aio = true;
	begin_to_listen();
	for (unsigned int disk = 0; disk < 2 * LOG_BURST; disk++)
		several_lives(BLK_ENGINE_LIBAIO);
	heard();
	ck_assert_uint_eq(count_lines("libaio is unavailable"), 2 * LOG_BURST);
	ck_assert_uint_eq(count_lines(FALL_BACK), 2 * LOG_BURST);
}
END_TEST

START_TEST(host_without_io_uring_falls_back_to_the_next_engine)
{
	no_uring = true;
	begin_to_listen();
	several_lives(BLK_ENGINE_URING);
	several_lives(BLK_ENGINE_LIBAIO);
	no_aio = true;
	several_lives(BLK_ENGINE_URING);
	heard();
	ck_assert_uint_eq(count_lines("io_uring is unavailable (Operation not permitted), "
				      "using libaio"),
			  1);
	ck_assert_uint_eq(count_lines("io_uring is unavailable (Operation not permitted), "
				      "using sync"),
			  1);
	ck_assert_uint_eq(count_lines(" is unavailable ("), 2);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_errors");
	TCase *t = tcase_create("blk_errors");

	tcase_add_test(t, host_out_of_memory_or_descriptors_for_a_disk);
	tcase_add_test(t, host_out_of_memory_at_activation);
	tcase_add_test(t, guest_floods_the_log_with_activations_that_fail);
	tcase_add_test(t, host_without_aio_is_told_once_per_disk);
	tcase_add_test(t, host_without_io_uring_falls_back_to_the_next_engine);
	suite_add_tcase(s, t);
	return s;
}
