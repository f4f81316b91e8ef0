/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the characters of a log line. test_hostmem.c tests its length and rate limit. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"

static char text[2000];
static size_t len;
static int ends[2], saved;

static void begin(void)
{
	ck_assert_int_eq(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
}

static void end(void)
{
	ssize_t n;

	ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	for (len = 0; (n = read(ends[0], text + len, sizeof(text) - len)) > 0;)
		len += (size_t)n;
	close(ends[0]);
}

/* Control characters in a file name must neither start a new line nor control the terminal. */
START_TEST(host_file_names_with_control_characters)
{
	begin();
	log_info("--disk %s", "a\nmicrovm: b\r\x1b[2J\x7f\x01 \xc3\xa4~");
	end();
	ck_assert_str_eq(text, "microvm: --disk a?microvm: b??[2J?? \xc3\xa4~\n");
}
END_TEST

/* When vsnprintf fails nothing is printed, rather than old contents of the buffer. */
START_TEST(line_that_cannot_be_formatted)
{
	static const wchar_t no_character[] = { 0x7fffffff, 0 };

	begin();
	log_info("%ls", no_character);
	log_info("%s", "next");
	end();
	ck_assert_str_eq(text, "microvm: next\n");
}
END_TEST

START_TEST(standard_error_is_closed)
{
	begin();
	close(STDERR_FILENO);
	log_info("%s", "to nobody");
	log_error("%s", "to nobody");
	end();
	ck_assert_uint_eq(len, 0);
}
END_TEST

/* A log file may have lines of several VMs. Lines above the log level are left out. */
START_TEST(lines_of_a_file_have_time_process_and_level)
{
	char want[100], time[21] = "";
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	log_to_file(fd[1]);
	log_set_level(LOG_LEVEL_WARN);
	log_error("%s", "first");
	log_warn("%s", "second");
	log_info("%s", "not");
	log_debug("%s", "either");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("%s", "third");
	len = (size_t)read(fd[0], text, sizeof(text) - 1);
	text[len] = '\0';
	memcpy(time, text, 20);
	ck_assert_str_eq(time + 19, "Z");
	ck_assert_int_eq(text[10], 'T');
	snprintf(want, sizeof(want), " microvm[%d]: error: first\n", getpid());
	ck_assert_ptr_eq(strstr(text, want), text + 20);
	snprintf(want, sizeof(want), " microvm[%d]: warn: second\n", getpid());
	ck_assert_ptr_nonnull(strstr(text, want));
	snprintf(want, sizeof(want), " microvm[%d]: debug: third\n", getpid());
	ck_assert_ptr_nonnull(strstr(text, want));
	ck_assert_ptr_null(strstr(text, "not"));
	ck_assert_ptr_null(strstr(text, "either"));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* When the log file is full, the error that ended the set-up is still printed on standard error. */
START_TEST(error_that_cannot_be_written_to_the_file)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char want[100];

	if (full < 0)
		return;
	begin();
	log_to_file(full);
	log_warn("%s", "lost");
	log_error("%s", "told");
	end();
	close(full);
	snprintf(want, sizeof(want), " microvm[%d]: error: told\n", getpid());
	ck_assert_str_eq(strchr(text, ' '), want);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");

	tcase_add_test(t, host_file_names_with_control_characters);
	tcase_add_test(t, line_that_cannot_be_formatted);
	tcase_add_test(t, standard_error_is_closed);
	tcase_add_test(t, lines_of_a_file_have_time_process_and_level);
	tcase_add_test(t, error_that_cannot_be_written_to_the_file);
	suite_add_tcase(s, t);
	return s;
}
