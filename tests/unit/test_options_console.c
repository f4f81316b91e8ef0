/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the option --console. */
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/options/options.h"

#define VALUES "must be on, off, pty, file:PATH or socket:PATH"

static struct machine_config config;
static char message[OPTIONS_MESSAGE_MAX];

static enum options_result parse(const char *value)
{
	static char console[64];
	char *args[] = { "microvm", "--kernel", "k", "--console", console, NULL };

	strcpy(console, value);
	return options_parse(ARRAY_SIZE(args) - 1, args, &config, message);
}

START_TEST(console_is_one_of_five)
{
	static const struct {
		const char *value;
		bool console;
		enum console_kind kind;
		const char *path;
	} good[] = {
		{ "on", true, CONSOLE_STANDARD, NULL },
		{ "off", false, CONSOLE_STANDARD, NULL },
		{ "pty", true, CONSOLE_PTY, NULL },
		{ "file:a:b", true, CONSOLE_FILE, "a:b" },
		{ "socket:/run/s", true, CONSOLE_SOCKET, "/run/s" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(parse(good[i].value), OPTIONS_RUN);
		ck_assert_int_eq(config.console, good[i].console);
		ck_assert_int_eq(config.console_kind, good[i].kind);
		ck_assert_pstr_eq(config.console_path, good[i].path);
	}
}
END_TEST

START_TEST(console_is_something_else)
{
	static const char *const bad[][2] = {
		{ "pty:1", "--console pty:1: " VALUES },
		{ "file", "--console file: " VALUES },
		{ "FILE:x", "--console FILE:x: " VALUES },
		{ "file:", "--console file:: the file name is empty" },
		{ "socket:", "--console socket:: the file name is empty" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(parse(bad[i][0]), OPTIONS_ERROR);
		ck_assert_str_eq(message, bad[i][1]);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("options_console");
	TCase *tc = tcase_create("options_console");

	tcase_add_test(tc, console_is_one_of_five);
	tcase_add_test(tc, console_is_something_else);
	suite_add_tcase(suite, tc);
	return suite;
}
