/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the directory of a snapshot: it takes its name when it is complete, and never before. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/state/directory.h"

static char parent[] = "/tmp/microvm-test-snapshots-XXXXXX";
static int parent_fd;
static struct snapshot_dir dir;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(parent));
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(parent_fd, 0);
}

static void teardown(void)
{
	char command[100];

	close(parent_fd);
	snprintf(command, sizeof(command), "rm -rf %s", parent);
	ck_assert_int_eq(system(command), 0);
}

static bool exists(const char *path)
{
	return !faccessat(parent_fd, path, F_OK, 0);
}

/* Writes a file with this content into the directory. */
static void add(const char *name, const char *content)
{
	int fd = snapshot_dir_file(&dir, name);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
}

/* Creates a snapshot "a" that is not committed. */
static void create(const char *content)
{
	ck_assert_int_eq(snapshot_dir_create(&dir, parent_fd, "a"), 0);
	add(SNAPSHOT_STATE, content);
	add(SNAPSHOT_MEMORY, content);
}

static void expect(const char *content)
{
	char got[20] = "";
	int fd = openat(parent_fd, "a/state", O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(read(fd, got, sizeof(got) - 1), 0);
	close(fd);
	ck_assert_str_eq(got, content);
}

static const struct {
	const char *name;
	bool valid;
} names[] = {
	{ "a", true },
	{ "Run-2_b.7", true },
	{ "0123456789012345678901234567890123456789012345678901234567890123", true },
	{ "01234567890123456789012345678901234567890123456789012345678901234", false },
	{ "", false },
	{ ".", false },
	{ "..", false },
	{ ".hidden", false },
	{ "a/b", false },
	{ "a b", false },
	{ "a\n", false },
	{ "\xc3\xa4", false },
};

START_TEST(names_cannot_leave_the_directory)
{
	ck_assert_int_eq(snapshot_name_valid(names[_i].name), names[_i].valid);
}
END_TEST

START_TEST(snapshot_has_its_name_only_when_it_is_complete)
{
	create("one");
	ck_assert(!exists("a"));
	ck_assert_int_eq(snapshot_dir_commit(&dir), 0);
	ck_assert_int_eq(dir.fd, -1);
	expect("one");
	ck_assert(!exists(".a.new"));
	/* Only the owner can read the memory of a guest. */
	struct stat st;

	ck_assert_int_eq(fstatat(parent_fd, "a", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(fstatat(parent_fd, "a/memory", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(old_snapshot_stays_whole_until_the_new_one_replaces_it)
{
	int old;

	create("old");
	ck_assert_int_eq(snapshot_dir_commit(&dir), 0);
	old = openat(parent_fd, "a/memory", O_RDONLY);
	create("new");
	expect("old");
	snapshot_dir_cancel(&dir);
	snapshot_dir_cancel(&dir);
	expect("old");
	ck_assert(!exists(".a.new"));
	create("new");
	ck_assert_int_eq(snapshot_dir_commit(&dir), 0);
	expect("new");
	ck_assert(!exists(".a.new"));
	/* A clone that runs keeps its file. */
	char got[4] = "";

	ck_assert_int_eq(read(old, got, 3), 3);
	ck_assert_str_eq(got, "old");
	close(old);
}
END_TEST

START_TEST(clones_of_disks_are_removed_with_the_snapshot)
{
	char name[SNAPSHOT_DISK_NAME];

	create("old");
	for (unsigned int i = 0; i < SNAPSHOT_DISKS; i++) {
		snapshot_disk_name(name, i);
		add(name, "disk");
	}
	ck_assert_int_eq(snapshot_dir_commit(&dir), 0);
	ck_assert(exists("a/disk0.img") && exists("a/disk15.img"));
	create("new");
	ck_assert_int_eq(snapshot_dir_commit(&dir), 0);
	expect("new");
	ck_assert(!exists("a/disk0.img") && !exists(".a.new"));
}
END_TEST

/* The process was killed in the middle. */
START_TEST(leftover_of_an_interrupted_snapshot_is_replaced)
{
	create("half");
	close(dir.fd);
	create("whole");
	ck_assert_int_eq(snapshot_dir_commit(&dir), 0);
	expect("whole");
}
END_TEST

/* The operator's own files are not removed. */
START_TEST(directory_with_other_files_is_not_replaced)
{
	ck_assert_int_eq(mkdirat(parent_fd, ".a.new", 0700), 0);
	ck_assert_int_eq(mkdirat(parent_fd, ".a.new/other", 0700), 0);
	ck_assert_int_eq(snapshot_dir_create(&dir, parent_fd, "a"), -ENOTEMPTY);
	ck_assert(exists(".a.new/other"));
	snapshot_dir_cancel(&dir);
	ck_assert(exists(".a.new/other"));
}
END_TEST

START_TEST(existing_file_is_not_opened)
{
	create("one");
	ck_assert_int_eq(snapshot_dir_file(&dir, SNAPSHOT_STATE), -EEXIST);
	snapshot_dir_cancel(&dir);
}
END_TEST

START_TEST(lost_directory_is_an_error)
{
	create("one");
	ck_assert_int_eq(renameat(parent_fd, ".a.new", parent_fd, "away"), 0);
	ck_assert_int_eq(snapshot_dir_commit(&dir), -ENOENT);
	ck_assert_int_eq(dir.fd, -1);
	ck_assert(!exists("a"));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("state_directory");
	TCase *t = tcase_create("state_directory");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_table_test(t, names_cannot_leave_the_directory, names);
	tcase_add_test(t, snapshot_has_its_name_only_when_it_is_complete);
	tcase_add_test(t, old_snapshot_stays_whole_until_the_new_one_replaces_it);
	tcase_add_test(t, clones_of_disks_are_removed_with_the_snapshot);
	tcase_add_test(t, leftover_of_an_interrupted_snapshot_is_replaced);
	tcase_add_test(t, directory_with_other_files_is_not_replaced);
	tcase_add_test(t, existing_file_is_not_opened);
	tcase_add_test(t, lost_directory_is_an_error);
	suite_add_tcase(s, t);
	return s;
}
