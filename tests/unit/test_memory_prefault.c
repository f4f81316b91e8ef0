/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of pages that are mapped before a guest runs. Linked with --wrap=madvise. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "vmm/kvm/memory.h"

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);

#define SIZE (16ull << 20)

static bool old_kernel; /* has no MADV_POPULATE_READ */
static int read_ahead;	/* calls of MADV_WILLNEED */

int __wrap_madvise(void *at, size_t size, int advice)
{
	if (advice == MADV_POPULATE_READ && old_kernel) {
		errno = EINVAL;
		return -1;
	}
	read_ahead += advice == MADV_WILLNEED;
	return __real_madvise(at, size, advice);
}

static struct memory memory;
static size_t page;

static void setup(void)
{
	char path[] = "build/prefault.XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, SIZE / 2), 1);
	ck_assert_int_eq(memory_create(&memory, SIZE, fd), 0);
	close(fd);
	page = (size_t)sysconf(_SC_PAGESIZE);
}

static void teardown(void)
{
	memory_destroy(&memory);
}

/* Returns how many of 10 pages from the middle on are mapped. */
static unsigned int mapped(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entries[10];
	unsigned int count = 0;

	ck_assert_int_eq(pread(fd, entries, sizeof(entries),
			       (off_t)(((uintptr_t)memory.base + SIZE / 2) / page * 8)),
			 sizeof(entries));
	for (unsigned int i = 0; i < 10; i++)
		count += entries[i] >> 63;
	close(fd);
	return count;
}

START_TEST(pages_are_mapped)
{
	ck_assert_uint_eq(mapped(), 0);
	memory_prefault(&memory, SIZE / 2, 7 * page);
	/* The kernel may map pages around them. */
	ck_assert_uint_ge(mapped(), 7);
	ck_assert_int_eq(*((char *)memory.base + SIZE / 2), 'x');
	ck_assert_int_eq(read_ahead, 0);
}
END_TEST

START_TEST(old_kernels_read_ahead)
{
	old_kernel = true;
	memory_prefault(&memory, SIZE / 2, 7 * page);
	ck_assert_int_eq(read_ahead, 1);
	ck_assert_uint_eq(mapped(), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("memory_prefault");
	TCase *t = tcase_create("memory_prefault");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, pages_are_mapped);
	tcase_add_test(t, old_kernels_read_ahead);
	suite_add_tcase(s, t);
	return s;
}
