/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of sets of pages: their runs, their section in a state file, and the file of a working set. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/state/working_set.h"

#define MACHINE 62u
#define PAGES	43u

static uint64_t size;
static struct page_set set;
static struct state_writer out;
static struct state_reader in;
static const struct identity identity = { "0123456789abcdef" };
static char parent[] = "/tmp/microvm-test-set-XXXXXX";
static int parent_fd;

static bool known(uint32_t tag)
{
	return tag == TAG_PAGES;
}

static void setup(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	size = PAGES * page;
	set = (struct page_set){ calloc(1, (PAGES + 7) / 8), PAGES, page };
	ck_assert_ptr_nonnull(set.bits);
	ck_assert_ptr_nonnull(mkdtemp(parent));
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(parent_fd, 0);
	ck_assert_int_eq(mkdirat(parent_fd, "a", 0700), 0);
}

static void teardown(void)
{
	char command[100];

	page_set_free(&set);
	state_free(&out);
	snprintf(command, sizeof(command), "rm -rf %s", parent);
	ck_assert_int_eq(system(command), 0);
}

static void add(uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++)
		set.bits[i / 8] |= (uint8_t)(1 << i % 8);
}

static const struct {
	const char *name;
	unsigned int count;
	struct page_run run[4];
} runs[] = {
	{ "none", 0, { { 0 } } },
	{ "the first", 1, { { 0, 1 } } },
	{ "the last", 1, { { PAGES - 1, 1 } } },
	{ "all", 1, { { 0, PAGES } } },
	{ "inside a byte", 2, { { 9, 2 }, { 12, 3 } } },
	{ "whole bytes", 2, { { 8, 8 }, { 32, 8 } } },
	{ "over the edges of bytes", 4, { { 1, 1 }, { 7, 10 }, { 23, 2 }, { 39, 4 } } },
};

START_TEST(runs_are_found_in_ascending_order)
{
	struct page_run run = { 0 };
	uint64_t count = 0;

	for (unsigned int i = 0; i < runs[_i].count; i++) {
		add(runs[_i].run[i].first, runs[_i].run[i].count);
		count += runs[_i].run[i].count;
	}
	/* Bits behind the last page mean nothing. */
	set.bits[PAGES / 8] |= (uint8_t)(0xff << PAGES % 8);
	for (unsigned int i = 0; i < runs[_i].count; i++) {
		ck_assert(page_set_next(&set, &run));
		ck_assert_uint_eq(run.first, runs[_i].run[i].first);
		ck_assert_uint_eq(run.count, runs[_i].run[i].count);
	}
	ck_assert(!page_set_next(&set, &run));
	ck_assert_uint_eq(page_set_count(&set), count);
}
END_TEST

/* Opens a state file with a section of `bytes` bytes, of which the first are the page size. */
static void open_section(uint64_t page, size_t bytes)
{
	uint8_t *data;

	state_free(&out);
	state_begin(&out, MACHINE);
	data = state_reserve(&out, TAG_PAGES, 0, bytes);
	memcpy(data, &page, bytes < sizeof(page) ? bytes : sizeof(page));
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_int_eq(state_open(&in, out.data, out.size, MACHINE, known), 0);
}

START_TEST(section_is_read_as_written)
{
	struct page_set back;

	add(5, 20);
	add(PAGES - 1, 1);
	state_begin(&out, MACHINE);
	page_set_put(&set, &out);
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_int_eq(state_open(&in, out.data, out.size, MACHINE, known), 0);
	ck_assert_int_eq(page_set_get(&back, &in, size), 0);
	ck_assert_uint_eq(back.pages, PAGES);
	ck_assert_uint_eq(back.page, set.page);
	ck_assert_int_eq(memcmp(back.bits, set.bits, (PAGES + 7) / 8), 0);
	page_set_free(&back);
	/* Of a smaller or a larger memory. */
	ck_assert_int_eq(page_set_get(&back, &in, size - 8 * set.page), -EINVAL);
	page_set_free(&back);
	ck_assert_int_eq(page_set_get(&back, &in, size + 8 * set.page), -EINVAL);
	ck_assert_str_eq(in.why, "section 'PAGE' 0: is not for this memory");
	page_set_free(&back);
}
END_TEST

START_TEST(sections_of_other_sizes_are_refused)
{
	const size_t right = 8 + (PAGES + 7) / 8;
	const struct {
		uint64_t page;
		size_t bytes;
	} bad[] = { { set.page, right - 1 },
		    { set.page, right + 1 },
		    { set.page, 8 },
		    { set.page, 0 },
		    { set.page, 7 },
		    { set.page / 2, right },
		    { 0, right },
		    { UINT64_MAX, right } };
	struct page_set back;

	open_section(set.page, right);
	ck_assert_int_eq(page_set_get(&back, &in, size), 0);
	page_set_free(&back);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		open_section(bad[i].page, bad[i].bytes);
		ck_assert_int_eq(page_set_get(&back, &in, size), -EINVAL);
		page_set_free(&back);
	}
	state_free(&out);
	state_begin(&out, MACHINE);
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_int_eq(state_open(&in, out.data, out.size, MACHINE, known), 0);
	ck_assert_int_eq(page_set_get(&back, &in, size), -EINVAL);
	page_set_free(&back);
}
END_TEST

static int read_set(const struct identity *of, struct page_set *back)
{
	int fd = openat(parent_fd, "a/set", O_RDONLY);
	int err;

	ck_assert_int_ge(fd, 0);
	err = working_set_read(fd, MACHINE, of, size, back, &in);
	close(fd);
	return err;
}

/* A set that an interrupted write has left is no obstacle, and an older set is replaced. */
START_TEST(working_set_is_written_and_read)
{
	static const struct identity other = { "other" };
	struct page_set back;
	int fd = openat(parent_fd, "a/set.new", O_WRONLY | O_CREAT, 0600);

	close(fd);
	for (unsigned int i = 0; i < 2; i++) {
		add(3 + 20 * i, 4);
		ck_assert_int_eq(working_set_write(parent_fd, "a", MACHINE, &identity, &set), 0);
		ck_assert_int_eq(read_set(&identity, &back), 0);
		ck_assert_int_eq(memcmp(back.bits, set.bits, (PAGES + 7) / 8), 0);
		page_set_free(&back);
	}
	back = (struct page_set){ .bits = NULL };
	ck_assert_int_eq(read_set(&other, &back), -EINVAL);
	ck_assert_str_eq(in.why, "section 'IDEN' 0: is that of another snapshot");
	page_set_free(&back);
}
END_TEST

START_TEST(working_set_that_cannot_be_written_leaves_nothing)
{
	ck_assert_int_eq(working_set_write(parent_fd, "b", MACHINE, &identity, &set), -ENOENT);
	ck_assert_int_eq(mkdirat(parent_fd, "a/set", 0700), 0);
	ck_assert_int_eq(mkdirat(parent_fd, "a/set/other", 0700), 0);
	ck_assert_int_eq(working_set_write(parent_fd, "a", MACHINE, &identity, &set), 0);
	/* A directory had the name. */
	ck_assert_int_eq(working_set_write(parent_fd, "a", MACHINE, &identity, &set), -EISDIR);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("state_page_set");
	TCase *t = tcase_create("state_page_set");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_table_test(t, runs_are_found_in_ascending_order, runs);
	tcase_add_test(t, section_is_read_as_written);
	tcase_add_test(t, sections_of_other_sizes_are_refused);
	tcase_add_test(t, working_set_is_written_and_read);
	tcase_add_test(t, working_set_that_cannot_be_written_leaves_nothing);
	suite_add_tcase(s, t);
	return s;
}
