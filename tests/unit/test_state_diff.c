/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of diffs of a memory that is a private mapping of a file: a diff has the pages that were
 * written, by whatever means, and no others.
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "vmm/state/memory_file.h"

#define PAGES  300u
#define ROUNDS 1000u

static size_t page, size;
static int base_fd, pagemap_fd, noise_fd;
static struct io_uring ring;
static bool has_ring;
static char *memory;	    /* a private mapping of base_fd */
static const char *base;    /* a shared one */
static bool written[PAGES]; /* the pages that the test has written */
static const uint32_t cancel;
static uint64_t seed = 18;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % below;
}

static int empty_file(void)
{
	char path[] = "build/diff.XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	return fd;
}

/* Creates a file of random bytes, of which every third page is a hole if there are to be holes. */
static int random_file(bool holes)
{
	int fd = empty_file();
	uint64_t buffer[512];

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	for (unsigned int i = 0; i < size / sizeof(buffer); i++) {
		if (holes && i % 3 == 0)
			continue;
		for (unsigned int j = 0; j < 512; j++)
			buffer[j] = draw(UINT64_MAX);
		ck_assert_int_eq(pwrite(fd, buffer, sizeof(buffer), (off_t)(i * sizeof(buffer))),
				 (ssize_t)sizeof(buffer));
	}
	return fd;
}

static char *map(int flags)
{
	char *at = mmap(NULL, size, PROT_READ | (flags == MAP_PRIVATE ? PROT_WRITE : 0), flags,
			base_fd, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static void setup(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	size = PAGES * page;
	base_fd = random_file(true);
	noise_fd = random_file(false);
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	ck_assert_int_ge(pagemap_fd, 0);
	/* A host without io_uring tests the rest. */
	has_ring = io_uring_queue_init(4, &ring, 0) == 0;
	base = map(MAP_SHARED);
	memory = map(MAP_PRIVATE);
}

static void teardown(void)
{
	if (has_ring)
		io_uring_queue_exit(&ring);
}

static void begin_again(void)
{
	munmap(memory, size);
	memory = map(MAP_PRIVATE);
	memset(written, 0, sizeof(written));
}

static void read_by_ring(char *to, size_t len, off_t at)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;

	io_uring_prep_read(sqe, noise_fd, to, (unsigned int)len, (uint64_t)at);
	ck_assert_int_eq(io_uring_submit(&ring), 1);
	ck_assert_int_eq(io_uring_wait_cqe(&ring, &cqe), 0);
	ck_assert_int_eq(cqe->res, (int)len);
	io_uring_cqe_seen(&ring, cqe);
}

/* Changes up to four pages of the memory, and notes which. */
static void write_somewhere(void)
{
	size_t at = draw(size), len = 1 + draw(4 * page);
	unsigned int how = (unsigned int)draw(5);

	if (len > size - at)
		len = size - at;
	if (how == 0)
		memory[at] ^= 1;
	else if (how == 1)
		memset(memory + at, 0, len);
	else if (how == 2)
		memcpy(memory + at, base + at, len);
	else if (how == 3 || !has_ring)
		ck_assert_int_eq(pread(noise_fd, memory + at, len, (off_t)draw(size - len + 1)),
				 (ssize_t)len);
	else
		read_by_ring(memory + at, len, (off_t)draw(size - len + 1));
	for (size_t i = at / page; i <= (at + (how ? len : 1) - 1) / page; i++)
		written[i] = true;
}

/* Reads pages, and lets the kernel take pages away: into swap, if they were written. */
static void disturb(void)
{
	size_t first = draw(PAGES), count = 1 + draw(PAGES - first);
	volatile char *at = memory + first * page;

	if (draw(2))
		for (size_t i = 0; i < count; i++)
			(void)at[i * page];
	else
		madvise((void *)at, count * page, MADV_PAGEOUT);
}

static bool in(const struct page_set *set, size_t i)
{
	return set->bits[i / 8] >> i % 8 & 1;
}

static void find(struct page_set *set, enum page_kind kind)
{
	ck_assert_int_eq(page_set_scan(set, pagemap_fd, memory, size, kind, &cancel), 0);
}

/* Writes a diff, reads it over another mapping of the base, and compares all. */
static void expect_copy(struct page_set *set)
{
	const struct memory_image image = { memory, size, base_fd, &cancel };
	char *copy = map(MAP_PRIVATE);
	int fd = empty_file();
	struct stat st;

	ck_assert_int_eq(memory_file_write(fd, &image, set, true), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, page_set_count(set) * page);
	ck_assert_int_eq(memory_file_read_diff(fd, copy, set), 0);
	ck_assert_int_eq(memcmp(copy, memory, size), 0);
	munmap(copy, size);
	close(fd);
}

/* What reads of the kernel write is as much in a diff as what the processor stores. A page that was
 * written is in it even if it has the content of the base. */
START_TEST(diff_has_what_was_written_and_nothing_else)
{
	struct page_set set;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		if (round % 20 == 0)
			begin_again();
		write_somewhere();
		disturb();
		find(&set, PAGES_OWN);
		for (unsigned int i = 0; i < PAGES; i++) {
			ck_assert_msg(in(&set, i) ||
					      !memcmp(memory + i * page, base + i * page, page),
				      "round %u: page %u is missing", round, i);
			ck_assert_msg(in(&set, i) == written[i], "round %u: page %u", round, i);
		}
		if (round % 20 == 19)
			expect_copy(&set);
		page_set_free(&set);
	}
}
END_TEST

/* More runs than one system call moves, and one that is longer than a part of it. */
START_TEST(diff_of_scattered_pages)
{
	struct page_set set;

	for (unsigned int i = 0; i < PAGES; i++)
		if (i % 2 || i > 200)
			memory[i * page] ^= 1;
	find(&set, PAGES_OWN);
	ck_assert_uint_eq(page_set_count(&set), 100 + 99);
	expect_copy(&set);
	page_set_free(&set);
}
END_TEST

START_TEST(diff_of_an_unchanged_memory_is_empty)
{
	struct page_set set;

	ck_assert_int_eq(memcmp(memory, base, size), 0);
	find(&set, PAGES_OWN);
	ck_assert_uint_eq(page_set_count(&set), 0);
	expect_copy(&set);
	page_set_free(&set);
}
END_TEST

START_TEST(pages_that_were_read_are_present)
{
	struct page_set set;

	(void)*(volatile char *)(memory + 200 * page);
	memory[100 * page] = 1;
	find(&set, PAGES_PRESENT);
	ck_assert(in(&set, 100) && in(&set, 200));
	/* The kernel maps pages around the one that is read. */
	ck_assert_uint_lt(page_set_count(&set), 100);
	page_set_free(&set);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("state_diff");
	TCase *t = tcase_create("state_diff");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, diff_has_what_was_written_and_nothing_else);
	tcase_add_test(t, diff_of_scattered_pages);
	tcase_add_test(t, diff_of_an_unchanged_memory_is_empty);
	tcase_add_test(t, pages_that_were_read_are_present);
	suite_add_tcase(s, t);
	return s;
}
