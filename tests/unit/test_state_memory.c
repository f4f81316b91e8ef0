/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the memory file of a snapshot: it has every page that was written, and untouched pages
 * stay holes. Linked with --wrap=copy_file_range.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/state/memory_file.h"

ssize_t __real_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
			       unsigned int flags);
ssize_t __wrap_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
			       unsigned int flags);

#define PAGES 2000u /* more than the writer reads of the page map at once */

static size_t page;
static int pagemap_fd;
static struct memory_image image;
static struct page_set own;
static uint32_t cancel;
static bool no_copy; /* the file system has no copy_file_range */

ssize_t __wrap_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
			       unsigned int flags)
{
	if (!no_copy)
		return __real_copy_file_range(from, from_at, to, to_at, len, flags);
	errno = EXDEV;
	return -1;
}

/* Creates an empty file in the build directory: /tmp may be a file system without holes. */
static int empty_file(void)
{
	char path[] = "build/memory.XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	return fd;
}

/* Maps the memory: anonymous, or private of base_fd. */
static void map(int base_fd)
{
	void *base = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | (base_fd < 0 ? MAP_ANONYMOUS : 0), base_fd, 0);

	ck_assert_ptr_ne(base, MAP_FAILED);
	image.base = base;
	image.base_fd = base_fd;
}

static void setup(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	image = (struct memory_image){ .size = PAGES * page, .cancel = &cancel };
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	ck_assert_int_ge(pagemap_fd, 0);
}

static char *at(unsigned int i)
{
	return (char *)image.base + i * page;
}

static void fill(unsigned int i, int byte)
{
	memset(at(i), byte, page);
}

/* Compares the file with the memory, which this makes present. */
static void expect_copy(int fd)
{
	char *copy = malloc(page);
	struct stat st;

	ck_assert_ptr_nonnull(copy);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)image.size);
	for (unsigned int i = 0; i < PAGES; i++) {
		ck_assert_int_eq(pread(fd, copy, page, (off_t)(i * page)), (ssize_t)page);
		ck_assert_msg(!memcmp(copy, at(i), page), "page %u", i);
	}
	free(copy);
}

static int scan(void)
{
	return page_set_scan(&own, pagemap_fd, image.base, image.size, PAGES_OWN, &cancel);
}

/* Writes the file. Returns the number of pages that the process has of its own. */
static uint64_t write_file(int fd)
{
	uint64_t pages;

	ck_assert_int_eq(memory_file_begin(fd, &image), 0);
	ck_assert_int_eq(scan(), 0);
	pages = page_set_count(&own);
	ck_assert_int_eq(memory_file_write(fd, &image, &own, false), 0);
	page_set_free(&own);
	return pages;
}

/* Returns the number of pages for which the host has memory. */
static unsigned int resident(void)
{
	unsigned char vec[PAGES];
	unsigned int count = 0;

	ck_assert_int_eq(mincore((void *)image.base, image.size, vec), 0);
	for (unsigned int i = 0; i < PAGES; i++)
		count += vec[i] & 1;
	return count;
}

START_TEST(written_pages_are_in_the_file_and_others_are_holes)
{
	int fd = empty_file();
	struct stat st;

	map(-1);
	madvise((void *)image.base, image.size, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < PAGES; i += i < 100 ? 1 : 97)
		fill(i, (int)(i | 1));
	fill(PAGES - 1, 1);
	/* A page of zeros is the guest's, but needs no space. */
	fill(1500, 0);
	unsigned int before = resident();

	ck_assert_uint_eq(write_file(fd), before);
	ck_assert_uint_eq(resident(), before);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_le((uint64_t)st.st_blocks * 512, (before + 64) * page);
	expect_copy(fd);
}
END_TEST

/* The pages of a restored guest are those of its base, unless it has written them. */
START_TEST(restored_memory_is_written_with_the_data_of_its_base)
{
	int base_fd = empty_file(), fd = empty_file();

	no_copy = _i;
	ck_assert_int_eq(ftruncate(base_fd, (off_t)(PAGES * page)), 0);
	map(base_fd);
	for (unsigned int i = 10; i < 1000; i += 3)
		ck_assert_int_eq(pwrite(base_fd, &i, sizeof(i), (off_t)(i * page)), sizeof(i));
	fill(11, 5);   /* where the base has nothing */
	fill(13, 6);   /* where it has something else */
	fill(16, 0);   /* zeros in place of it */
	fill(1999, 7); /* at the end */
	ck_assert_int_eq(*(volatile char *)at(19), 19);
	ck_assert_uint_eq(write_file(fd), 4);
	expect_copy(fd);
	/* The base is unchanged. */
	unsigned int number;

	ck_assert_int_eq(pread(base_fd, &number, sizeof(number), (off_t)(13 * page)),
			 sizeof(number));
	ck_assert_uint_eq(number, 13);
}
END_TEST

static const char *const copies[] = { "copy_file_range", "reads and writes" };

START_TEST(cancelled_write_ends)
{
	int base_fd = empty_file();

	ck_assert_int_eq(ftruncate(base_fd, (off_t)(PAGES * page)), 0);
	ck_assert_int_eq(pwrite(base_fd, "x", 1, 0), 1);
	map(base_fd);
	fill(0, 1);
	ck_assert_int_eq(scan(), 0);
	cancel = 1;
	ck_assert_int_eq(memory_file_begin(empty_file(), &image), -ECANCELED);
	ck_assert_int_eq(memory_file_write(empty_file(), &image, &own, false), -ECANCELED);
	ck_assert_int_eq(memory_file_write(empty_file(), &image, &own, true), -ECANCELED);
	page_set_free(&own);
	ck_assert_int_eq(scan(), -ECANCELED);
	page_set_free(&own);
}
END_TEST

START_TEST(errors_of_the_host_are_returned)
{
	int full = open("/dev/full", O_WRONLY);

	map(-1);
	fill(0, 1);
	ck_assert_int_eq(scan(), 0);
	ck_assert_int_eq(memory_file_begin(full, &image), -EINVAL);
	ck_assert_int_eq(memory_file_write(full, &image, &own, false), -ENOSPC);
	ck_assert_int_eq(memory_file_write(full, &image, &own, true), -ENOSPC);
	ck_assert_int_eq(memory_file_read_diff(empty_file(), (void *)image.base, &own), -EIO);
	page_set_free(&own);
	close(pagemap_fd);
	ck_assert_int_eq(scan(), -EBADF);
	page_set_free(&own);
	pagemap_fd = empty_file();
	ck_assert_int_eq(scan(), -EIO);
	page_set_free(&own);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("state_memory");
	TCase *t = tcase_create("state_memory");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, written_pages_are_in_the_file_and_others_are_holes);
	tcase_add_names_test(t, restored_memory_is_written_with_the_data_of_its_base, copies);
	tcase_add_test(t, cancelled_write_ends);
	tcase_add_test(t, errors_of_the_host_are_returned);
	suite_add_tcase(s, t);
	return s;
}
