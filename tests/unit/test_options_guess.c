/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of suggestions for misspelled names, and of values that look like options. */
#include "tests/lib/cases.h"
#include "tests/unit/options_rig.h"

#define TEN "0123456789"

static const struct bad_line unknown[] = {
	{ { "--disk", "d,,,ro" }, "--disk d,,ro: unknown key (did you mean readonly?)" },
	{ { "--disk", "d,read=on" }, "--disk d,read=on: unknown key (did you mean readonly?)" },
	{ { "--disk", "d,Readonly" }, "--disk d,Readonly: unknown key (did you mean readonly?)" },
	{ { "--disk", "d,blocksize=1" },
	  "--disk d,blocksize=1: unknown key (did you mean blk-size?)" },
	{ { "--disk", "d,ipos=1" }, "--disk d,ipos=1: unknown key (did you mean iops?)" },
	{ { "--disk", "d,colour=red" }, "--disk d,colour=red: unknown key (see --help)" },
	/* No other key is suggested for one that was removed. */
	{ { "--disk", "d,sqpoll" }, "--disk d,sqpoll: unknown key (see --help)" },
	{ { "--disk", "d,sqpoll=on" }, "--disk d,sqpoll=on: unknown key (see --help)" },
	{ { "--disk", "d,io_uring" }, "--disk d,io_uring: unknown key (see --help)" },
	{ { "--disk", "d," TEN TEN TEN "=1" },
	  "--disk d," TEN TEN TEN "=1: unknown key (see --help)" },
	{ { "--mem", "1G" }, "unknown option '--mem' (did you mean --memory?)" },
	{ { "--memoryy=1G" }, "unknown option '--memoryy=1G' (did you mean --memory?)" },
	{ { "-kernel", "k" }, "unknown option '-kernel' (did you mean --kernel?)" },
	{ { "--vcpus=2" }, "unknown option '--vcpus=2' (did you mean --cpus?)" },
	{ { "--dsik", "d" }, "unknown option '--dsik' (did you mean --disk?)" },
	{ { "--log-levle=info" }, "unknown option '--log-levle=info' (did you mean --log-level?)" },
	{ { "--smp", "2" }, "unknown option '--smp' (see --help)" },
	{ { "--m" }, "unknown option '--m' (see --help)" },
	{ { "mem=1G" }, "unexpected argument 'mem=1G' (see --help)" },
};

START_TEST(unknown_name_is_refused_with_a_suggestion)
{
	expect_refused(&unknown[_i], true);
}
END_TEST

static const struct bad_line swallowed[] = {
	{ { "--kernel", "--disk", "d" }, "--kernel: needs a value before --disk" },
	{ { "--kernel", "--memory=1G" }, "--kernel: needs a value before --memory" },
	{ { "--initrd", "--kernel", "k" }, "--initrd: needs a value before --kernel" },
	{ { "--append", "--kernel", "k" }, "--append: needs a value before --kernel" },
	{ { "--memory", "--help" }, "--memory: needs a value before --help" },
	{ { "--disk", "--version" }, "--disk: needs a value before --version" },
};

START_TEST(option_in_place_of_a_value_is_refused)
{
	expect_refused(&swallowed[_i], false);
}
END_TEST

START_TEST(value_spelled_like_an_option)
{
	ck_assert_int_eq(PARSE("--kernel=--disk", "--append=--help"), OPTIONS_RUN);
	ck_assert_str_eq(config.kernel, "--disk");
	ck_assert_str_eq(config.append, "--help");
}
END_TEST

START_TEST(value_that_only_resembles_an_option)
{
	ck_assert_int_eq(PARSE("--kernel", "--disks", "--append", "-h"), OPTIONS_RUN);
	ck_assert_str_eq(config.kernel, "--disks");
	ck_assert_str_eq(config.append, "-h");
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("options_guess");
	TCase *tc = tcase_create("options_guess");

	tcase_add_checked_fixture(tc, NULL, free_copies);
	tcase_add_member_test(tc, unknown_name_is_refused_with_a_suggestion, unknown, message);
	tcase_add_member_test(tc, option_in_place_of_a_value_is_refused, swallowed, message);
	tcase_add_test(tc, value_spelled_like_an_option);
	tcase_add_test(tc, value_that_only_resembles_an_option);
	suite_add_tcase(suite, tc);
	return suite;
}
