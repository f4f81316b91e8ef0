/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of suggestions for misspelled names, and of values that look like options. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/options/options.h"

#define ARGS_MAX 8

static struct machine_config config;
static char message[OPTIONS_MESSAGE_MAX];
static char *copies[ARGS_MAX + 1];

static void free_copies(void)
{
	for (char **copy = copies; *copy; copy++)
		free(*copy);
	copies[0] = NULL;
}

static enum options_result parse(const char *const *args)
{
	int argc = 0;

	copies[argc++] = strdup("microvm");
	for (; *args; args++)
		copies[argc++] = strdup(*args);
	copies[argc] = NULL;
	message[0] = '\0';
	return options_parse(argc, copies, &config, message);
}

#define TEN "0123456789"

/* What follows "--kernel k" on the line, and exactly what is said about it. */
static const struct {
	const char *args[2];
	const char *message;
} unknown[] = {
	{ { "--disk", "d,,,ro" }, "--disk d,,ro: unknown key (did you mean readonly?)" },
	{ { "--disk", "d,read=on" }, "--disk d,read=on: unknown key (did you mean readonly?)" },
	{ { "--disk", "d,Readonly" }, "--disk d,Readonly: unknown key (did you mean readonly?)" },
	{ { "--disk", "d,blocksize=1" },
	  "--disk d,blocksize=1: unknown key (did you mean blk-size?)" },
	{ { "--disk", "d,ipos=1" }, "--disk d,ipos=1: unknown key (did you mean iops?)" },
	{ { "--disk", "d,colour=red" }, "--disk d,colour=red: unknown key (see --help)" },
	/* A key that there was: no other key is offered in its place. */
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

START_TEST(unknown_name_and_the_one_that_is_like_it)
{
	const char *args[2 + ARRAY_SIZE(unknown[0].args) + 1] = { "--kernel", "k" };

	memcpy(args + 2, unknown[_i].args, sizeof(unknown[_i].args));
	ck_assert_int_eq(parse(args), OPTIONS_ERROR);
	ck_assert_str_eq(message, unknown[_i].message);
}
END_TEST

static const struct {
	const char *args[4];
	const char *message;
} swallowed[] = {
	{ { "--kernel", "--disk", "d" }, "--kernel: needs a value before --disk" },
	{ { "--kernel", "--memory=1G" }, "--kernel: needs a value before --memory" },
	{ { "--initrd", "--kernel", "k" }, "--initrd: needs a value before --kernel" },
	{ { "--append", "--kernel", "k" }, "--append: needs a value before --kernel" },
	{ { "--memory", "--help" }, "--memory: needs a value before --help" },
	{ { "--disk", "--version" }, "--disk: needs a value before --version" },
};

START_TEST(option_in_place_of_a_value)
{
	const char *args[ARRAY_SIZE(swallowed[0].args) + 1] = { NULL };

	memcpy(args, swallowed[_i].args, sizeof(swallowed[_i].args));
	ck_assert_int_eq(parse(args), OPTIONS_ERROR);
	ck_assert_str_eq(message, swallowed[_i].message);
}
END_TEST

START_TEST(value_spelled_like_an_option)
{
	ck_assert_int_eq(parse((const char *const[]){ "--kernel=--disk", "--append=--help", NULL }),
			 OPTIONS_RUN);
	ck_assert_str_eq(config.kernel, "--disk");
	ck_assert_str_eq(config.append, "--help");
}
END_TEST

START_TEST(value_that_only_resembles_an_option)
{
	ck_assert_int_eq(parse((const char *const[]){ "--kernel", "--disks", "--append", "-h",
						      NULL }),
			 OPTIONS_RUN);
	ck_assert_str_eq(config.kernel, "--disks");
	ck_assert_str_eq(config.append, "-h");
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("options_guess");
	TCase *tc = tcase_create("options_guess");

	tcase_add_checked_fixture(tc, NULL, free_copies);
	tcase_add_loop_test(tc, unknown_name_and_the_one_that_is_like_it, 0, ARRAY_SIZE(unknown));
	tcase_add_loop_test(tc, option_in_place_of_a_value, 0, ARRAY_SIZE(swallowed));
	tcase_add_test(tc, value_spelled_like_an_option);
	tcase_add_test(tc, value_that_only_resembles_an_option);
	suite_add_tcase(suite, tc);
	return suite;
}
