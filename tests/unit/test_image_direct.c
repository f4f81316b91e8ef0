/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of O_DIRECT on every kind of host. Linked with --wrap: the functions below simulate a host
 * with an alignment, on any file system. test_image.c tests this host's own behaviour.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/image.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st);
ssize_t __real_pread(int fd, void *data, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t offset);
int __real_posix_memalign(void **p, size_t align, size_t size);
int __wrap_posix_memalign(void **p, size_t align, size_t size);

static struct test_image file;
static struct image image;
static const char *why;

/* The simulated host. */
static struct {
	int statx_error;       /* 0: statx works */
	bool statx_tells;      /* the file system reports STATX_DIOALIGN */
	uint32_t mem_align;    /* the reported alignments */
	uint32_t offset_align; /* of offsets and lengths */
	uint32_t read_align;   /* real alignment of reads; 0: every O_DIRECT read fails */
	int getfl_error;
	int direct_error;   /* of F_SETFL with O_DIRECT */
	int buffered_error; /* of F_SETFL without O_DIRECT */
	int memalign_error;
} host;
static int status_flags;   /* status flags of the image, as F_SETFL set them */
static unsigned int reads; /* reads with O_DIRECT; the last one reads the start of the image */

static int refuse(int err)
{
	errno = err;
	return -1;
}

static int set_flags(int flags)
{
	int err = flags & O_DIRECT ? host.direct_error : host.buffered_error;

	if (err)
		return refuse(err);
	status_flags = flags;
	return 0;
}

int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	int res;

	va_start(ap, command);
	if (fd != image.fd)
		res = command == F_SETFL ? __real_fcntl(fd, command, va_arg(ap, int))
					 : __real_fcntl(fd, command, va_arg(ap, void *));
	else if (command == F_GETFL)
		res = host.getfl_error ? refuse(host.getfl_error) : status_flags;
	else if (command == F_SETFL)
		res = set_flags(va_arg(ap, int));
	else
		res = __real_fcntl(fd, command, va_arg(ap, void *));
	va_end(ap);
	return res;
}

int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	ck_assert_int_eq(fd, image.fd);
	ck_assert_str_eq(path, "");
	ck_assert_int_eq(flags, AT_EMPTY_PATH);
	if (host.statx_error)
		return refuse(host.statx_error);
	/* A field is valid only if its bit in stx_mask is set. */
	*st = (struct statx){ .stx_mask = STATX_BASIC_STATS,
			      .stx_dio_mem_align = 4,
			      .stx_dio_offset_align = 512 };
	if (host.statx_tells && mask & STATX_DIOALIGN) {
		st->stx_mask |= STATX_DIOALIGN;
		st->stx_dio_mem_align = host.mem_align;
		st->stx_dio_offset_align = host.offset_align;
	}
	return 0;
}

ssize_t __wrap_pread(int fd, void *data, size_t len, off_t offset)
{
	/* Reads through the page cache do not probe the alignment. */
	if (fd != image.fd || !(status_flags & O_DIRECT))
		return __real_pread(fd, data, len, offset);
	reads++;
	if (!host.read_align || ((uintptr_t)data | len | (uintptr_t)offset) % host.read_align)
		return refuse(EINVAL);
	memset(data, 0, len);
	return (ssize_t)len;
}

int __wrap_posix_memalign(void **p, size_t align, size_t size)
{
	return host.memalign_error ? host.memalign_error : __real_posix_memalign(p, align, size);
}

static void setup(void)
{
	image_make(&file, 64 << 10, false);
	image.fd = -1;
	memset(&host, 0, sizeof(host));
}

static void teardown(void)
{
	image.fd = -1; /* functions that run at exit use the real calls */
	image_remove(&file);
}

static int try_open(enum blk_direct direct, uint32_t blk_size)
{
	struct blk_config c = {
		.path = file.path, .blk_size = blk_size, .queue_size = 64, .direct = direct
	};

	why = NULL;
	status_flags = O_RDWR;
	reads = 0;
	return image_open(&image, &c, &why);
}

static void expect_direct(uint32_t blk_size, uint32_t align)
{
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(try_open(i ? BLK_DIRECT_ON : BLK_DIRECT_AUTO, blk_size), 0);
		ck_assert_uint_eq(image.direct_align, align);
		ck_assert_int_eq(status_flags, O_RDWR | O_DIRECT);
		image_close(&image);
	}
}

/* Expects the page cache, or this error for a user who requires O_DIRECT. */
static void expect_buffered(uint32_t blk_size, const char *words)
{
	ck_assert_int_eq(try_open(BLK_DIRECT_AUTO, blk_size), 0);
	ck_assert_uint_eq(image.direct_align, 1);
	ck_assert_int_eq(status_flags, O_RDWR);
	image_close(&image);

	unsigned int fds = count_fds();
	ck_assert_int_eq(try_open(BLK_DIRECT_ON, blk_size), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, words));
	ck_assert_int_eq(image.fd, -1);
	ck_assert_uint_eq(count_fds(), fds);
}

#define TOO_SMALL "needs a larger blk-size"
#define NOT_HERE  "not possible on this file system"

/* One number is the alignment of memory, offset and length. */
START_TEST(alignment_reported_by_the_file_system)
{
	static const struct {
		uint32_t mem;
		uint32_t offset;
		uint32_t align;
	} table[] = {
		{ 4, 512, 512 }, { 512, 512, 512 }, { 1024, 512, 1024 }, { 512, 4096, 4096 }
	};

	host.statx_tells = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		host.mem_align = table[i].mem;
		host.offset_align = table[i].offset;
		expect_direct(4096, table[i].align);
		ck_assert_uint_eq(reads,
				  1); /* no reads to probe, because the file system reports it */
		if (table[i].align == 512)
			expect_direct(512, 512);
		else
			expect_buffered(512, TOO_SMALL);
	}
}
END_TEST

/* Before Linux 6.1, and on file systems that do not report it, the alignment is probed by reads. */
START_TEST(alignment_probed_by_reading)
{
	for (unsigned int old = 0; old < 2; old++) {
		host.statx_error = old ? ENOSYS : 0;
		for (uint32_t align = 512; align <= 4096; align *= 2) {
			host.read_align = align;
			expect_direct(4096, align);
			ck_assert_uint_eq(reads, (unsigned int)__builtin_ctz(align / 512) + 2);
			if (align > 512)
				expect_buffered(512, TOO_SMALL);
		}
	}
}
END_TEST

START_TEST(host_whose_reads_need_more_than_a_page)
{
	host.read_align = 8192;
	expect_buffered(4096, NOT_HERE);
	ck_assert_uint_eq(reads, 4);
	host.read_align = 0;
	expect_buffered(4096, NOT_HERE);
}
END_TEST

/* An alignment of 0 means that O_DIRECT does not work on this file. */
START_TEST(host_that_reports_no_o_direct)
{
	host.statx_tells = true;
	expect_buffered(4096, NOT_HERE);
}
END_TEST

START_TEST(host_that_refuses_o_direct)
{
	host.statx_tells = true;
	host.mem_align = host.offset_align = host.read_align = 512;
	host.direct_error = EINVAL;
	expect_buffered(4096, NOT_HERE);
}
END_TEST

START_TEST(host_out_of_memory_to_find_the_alignment)
{
	host.read_align = 512;
	host.memalign_error = ENOMEM;
	expect_buffered(4096, NOT_HERE);
	ck_assert_uint_eq(reads, 0);
}
END_TEST

/* An image whose O_DIRECT flag cannot be cleared after a failure is refused. */
static void expect_clear_fails(int err)
{
	unsigned int fds = count_fds();

	ck_assert_int_eq(try_open(BLK_DIRECT_AUTO, 512), -err);
	ck_assert_str_eq(why, strerror(err));
	ck_assert_int_eq(image.fd, -1);
	ck_assert_uint_eq(count_fds(), fds);
}

START_TEST(host_on_which_o_direct_cannot_be_cleared)
{
	host.buffered_error = EPERM;
	expect_clear_fails(EPERM);
	host.buffered_error = 0;
	host.getfl_error = EBADF;
	expect_clear_fails(EBADF);
}
END_TEST

START_TEST(direct_off_asks_the_host_nothing)
{
	host.statx_tells = true;
	host.mem_align = host.offset_align = host.read_align = 512;
	host.direct_error = host.buffered_error = host.getfl_error = EIO;
	ck_assert_int_eq(try_open(BLK_DIRECT_OFF, 512), 0);
	ck_assert_uint_eq(image.direct_align, 1);
	ck_assert_int_eq(status_flags, O_RDWR);
	ck_assert_uint_eq(reads, 0);
	image_close(&image);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image_direct");
	TCase *t = tcase_create("image_direct");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, alignment_reported_by_the_file_system);
	tcase_add_test(t, alignment_probed_by_reading);
	tcase_add_test(t, host_whose_reads_need_more_than_a_page);
	tcase_add_test(t, host_that_reports_no_o_direct);
	tcase_add_test(t, host_that_refuses_o_direct);
	tcase_add_test(t, host_out_of_memory_to_find_the_alignment);
	tcase_add_test(t, host_on_which_o_direct_cannot_be_cleared);
	tcase_add_test(t, direct_off_asks_the_host_nothing);
	suite_add_tcase(s, t);
	return s;
}
