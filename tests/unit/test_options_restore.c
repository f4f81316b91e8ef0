/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of --restore and --snapshot-dir. */
#include <errno.h>
#include <stdio.h>

#include "tests/lib/cases.h"
#include "tests/unit/options_rig.h"

START_TEST(restore_needs_no_kernel)
{
	ck_assert_int_eq(PARSE("--restore", "dir"), OPTIONS_RUN);
	ck_assert_str_eq(config.restore, "dir");
	ck_assert_ptr_null(config.kernel);
	ck_assert_int_eq(PARSE("--kernel=k"), OPTIONS_RUN);
	ck_assert_ptr_null(config.restore);
}
END_TEST

static const char *const saved[] = { "--kernel=k",	"--initrd=i",	 "--append=a",
				     "--cmdline=c",	"--memory=256M", "--cpus=1",
				     "--describe=acpi", "--dump-dtb=d" };

/* Even a value that is the default, or that of the snapshot. */
START_TEST(options_that_the_snapshot_has_are_refused)
{
	char expected[100];

	ck_assert_int_eq(PARSE("--restore=dir", saved[_i]), OPTIONS_ERROR);
	snprintf(expected, sizeof(expected), "%.*s: not with --restore, whose snapshot has it",
		 (int)strcspn(saved[_i], "="), saved[_i]);
	ck_assert_str_eq(message, expected);
}
END_TEST

START_TEST(clock_stands_still_by_default)
{
	ck_assert_int_eq(PARSE("--restore=dir"), OPTIONS_RUN);
	ck_assert(!config.advance_clock);
	ck_assert_int_eq(PARSE("--restore=dir", "--advance-clock=on"), OPTIONS_RUN);
	ck_assert(config.advance_clock);
	ck_assert_int_eq(PARSE("--kernel=k", "--advance-clock=on"), OPTIONS_ERROR);
	ck_assert_str_eq(message, "--advance-clock: needs --restore");
}
END_TEST

/* The number of CPUs, on which the default of `queues` depends, is not known yet. */
START_TEST(queues_are_settled_when_the_snapshot_is_known)
{
	static const unsigned int queues[] = { 3, 5, 7 };

	ck_assert_int_eq(PARSE("--restore=dir", "--disk=a", "--disk=b,queues=2",
			       "--disk=c,iothreads=0:1"),
			 OPTIONS_RUN);
	ck_assert_uint_eq(config.disk[0].queues, 0);
	config.cpus = 4;
	ck_assert_int_eq(options_settle_restored(&config, queues), 0);
	ck_assert_uint_eq(config.disk[0].queues, 3);
	ck_assert_uint_eq(config.disk[1].queues, 2);
	ck_assert_uint_eq(config.disk[2].queues, 2);
}
END_TEST

START_TEST(impossible_number_of_queues_is_not_taken_over)
{
	static const unsigned int queues[] = { VIRTIO_MAX_QUEUES + 1 };

	ck_assert_int_eq(PARSE("--restore=dir", "--disk=a"), OPTIONS_RUN);
	config.cpus = 2;
	ck_assert_int_eq(options_settle_restored(&config, queues), 0);
	ck_assert_uint_eq(config.disk[0].queues, 2);
}
END_TEST

START_TEST(keys_that_contradict_the_snapshot_are_refused)
{
	static const unsigned int queues[] = { 1 };

	ck_assert_int_eq(PARSE("--restore=dir", "--disk=a,iothreads=2"), OPTIONS_RUN);
	config.cpus = 1;
	ck_assert_int_eq(options_settle_restored(&config, queues), -EINVAL);
}
END_TEST

START_TEST(snapshots_need_the_control_socket)
{
	ck_assert_int_eq(PARSE("--kernel=k", "--snapshot-dir=d"), OPTIONS_ERROR);
	ck_assert_str_eq(message,
			 "--snapshot-dir: needs --control, over which snapshots are taken");
	ck_assert_int_eq(PARSE("--kernel=k", "--snapshot-dir=d", "--control=s"), OPTIONS_RUN);
	ck_assert_str_eq(config.snapshot_dir, "d");
}
END_TEST

START_TEST(prefault_needs_a_snapshot)
{
	ck_assert_int_eq(PARSE("--kernel=k", "--prefault=all"), OPTIONS_ERROR);
	ck_assert_str_eq(message, "--prefault: needs --restore");
	ck_assert_int_eq(PARSE("--restore=d", "--prefault=some"), OPTIONS_ERROR);
	ck_assert_int_eq(PARSE("--restore=d"), OPTIONS_RUN);
	ck_assert_int_eq(config.prefault, PREFAULT_NONE);
	ck_assert_int_eq(PARSE("--restore=d", "--prefault=set"), OPTIONS_RUN);
	ck_assert_int_eq(config.prefault, PREFAULT_SET);
	ck_assert_int_eq(PARSE("--prefault=all", "--restore=d"), OPTIONS_RUN);
	ck_assert_int_eq(config.prefault, PREFAULT_ALL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("options_restore");
	TCase *t = tcase_create("options_restore");

	tcase_add_test(t, restore_needs_no_kernel);
	tcase_add_names_test(t, options_that_the_snapshot_has_are_refused, saved);
	tcase_add_test(t, clock_stands_still_by_default);
	tcase_add_test(t, queues_are_settled_when_the_snapshot_is_known);
	tcase_add_test(t, impossible_number_of_queues_is_not_taken_over);
	tcase_add_test(t, keys_that_contradict_the_snapshot_are_refused);
	tcase_add_test(t, snapshots_need_the_control_socket);
	tcase_add_test(t, prefault_needs_a_snapshot);
	suite_add_tcase(s, t);
	return s;
}
