/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the guest's last console line, which is said when the VM ends. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/console/last_line.h"

static struct last_line line;

static void setup(void)
{
	memset(&line, 0, sizeof(line));
}

static void add(const char *text)
{
	while (*text)
		last_line_add(&line, (uint8_t)*text++);
}

static const struct {
	const char *output, *last;
} last_lines[] = {
	{ "", "" },
	{ "\r\n \t\n\n", "" },
	{ "one\ntwo\n", "two" },
	{ "one\r\ntwo\r\n", "two" },
	{ "one\r\n\r\n  \r\n", "one" },
	{ "one\nlogin: ", "login: " },
	{ "one\n   ", "one" },
	{ "10%\r20%\r100%\r\n", "100%" },
	{ "overwritten\rnew", "new" },
	{ "\033[1;32m[  OK  ]\033[0m done\033[K\n", "[  OK  ] done" },
	{ "\033cone\033[\n", "one" },
	{ "[    0.5] reboot: Restarting system\n", "[    0.5] reboot: Restarting system" },
};

START_TEST(last_line_that_is_not_blank)
{
	add(last_lines[_i].output);
	ck_assert_str_eq(last_line_text(&line), last_lines[_i].last);
	ck_assert(!line.panicked && !line.rootless);
}
END_TEST

/* The trace that follows says less than the message does. */
START_TEST(panic_message_stays)
{
	add("[    0.123456][    T1] Kernel panic - not syncing: Attempted to kill init!\r\n"
	    "[    0.2] Call Trace:\r\n[    0.3]  </TASK>\r\nrest");
	ck_assert(line.panicked && !line.rootless);
	ck_assert_str_eq(last_line_text(&line),
			 "Kernel panic - not syncing: Attempted to kill init!");
}
END_TEST

START_TEST(quoted_panic_is_none)
{
	add("# grep 'Kernel panic - not syncing' log\n"
	    "log:[    1.0] Kernel panic - not syncing: quoted\n"
	    "[unclosed Kernel panic - not syncing\n");
	ck_assert(!line.panicked);
	add("Kernel panic - not syncing");
	ck_assert_msg(!line.panicked, "an incomplete line counts");
}
END_TEST

START_TEST(kernel_without_a_root)
{
	add("[    0.5] VFS: Unable to mount root fs on unknown-block(0,0)\n");
	ck_assert(line.rootless && !line.panicked);
	add("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n");
	ck_assert(line.rootless && line.panicked);
}
END_TEST

START_TEST(long_line_is_cut)
{
	for (unsigned int i = 0; i < 3 * LAST_LINE_MAX; i++)
		add(i % 10 ? "x" : "0");
	ck_assert_uint_eq(strlen(last_line_text(&line)), LAST_LINE_MAX - 1);
	add("\n");
	ck_assert_uint_eq(strlen(last_line_text(&line)), LAST_LINE_MAX - 1);
	ck_assert_int_eq(last_line_text(&line)[0], '0');
}
END_TEST

START_TEST(any_bytes_keep_it_terminated)
{
	unsigned int seed = 1;

	for (unsigned int i = 0; i < 100000; i++) {
		seed = seed * 1103515245u + 12345u;
		last_line_add(&line, (uint8_t)(seed >> 16));
		if (i % 97 == 0)
			ck_assert_uint_lt(strlen(last_line_text(&line)), LAST_LINE_MAX);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("last line");
	TCase *tc = tcase_create("last line");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_member_test(tc, last_line_that_is_not_blank, last_lines, last);
	tcase_add_test(tc, panic_message_stays);
	tcase_add_test(tc, quoted_panic_is_none);
	tcase_add_test(tc, kernel_without_a_root);
	tcase_add_test(tc, long_line_is_cut);
	tcase_add_test(tc, any_bytes_keep_it_terminated);
	suite_add_tcase(suite, tc);
	return suite;
}
