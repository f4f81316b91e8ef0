/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Table of the test files in one unit test program. Each file defines test_suite(), which the
 * build renames to suite_of_FILE, and may replace functions by the linker's --wrap: its __wrap_NAME
 * becomes FILE__wrap_NAME. A replacement is in force for the tests of its own file only, so that
 * files that replace the same function, or replace it unconditionally, can share a program.
 */
#ifndef TESTS_UNIT_PROGRAM_H
#define TESTS_UNIT_PROGRAM_H

struct Suite;
typedef void unit_fn(void);

struct unit_file {
	const char *name; /* without "test_" and ".c" */
	struct Suite *(*suite)(void);
};

/* One replaced function of one file. */
struct unit_wrap {
	const char *file;
	unit_fn **slot; /* the function that calls go to at the moment */
	unit_fn *replacement, *real;
};

/* Each table ends with an empty entry. */
extern const struct unit_file unit_files[];
extern const struct unit_wrap unit_wraps[];

#endif
