/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs the test files of a unit test program, one after the other, each with a summary of its own.
 * Arguments are the names of the files to run (blk_cache or test_blk_cache); default: all. With
 * UNIT_TAP, each file's results are written to $UNIT_TAP/NAME.tap.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/marks.h"
#include "tests/lib/suite.h"
#include "tests/unit/program.h"

static const char *plain(const char *name)
{
	return strncmp(name, "test_", 5) ? name : name + 5;
}

static bool is_named(const struct unit_file *file, char *const *names)
{
	for (; *names; names++)
		if (!strcmp(plain(*names), file->name))
			return true;
	return false;
}

/* A misspelled name must not look like a test that passed. */
static void check_names(char *const *names)
{
	for (; *names; names++) {
		const struct unit_file *file = unit_files;

		while (file->name && strcmp(plain(*names), file->name))
			file++;
		if (!file->name) {
			fprintf(stderr, "%s: no such test file in this program\n", *names);
			exit(2);
		}
	}
}

/* Directs the replaced functions to the file's replacements, and all others to the real ones. */
static void replace(const struct unit_file *file)
{
	for (const struct unit_wrap *w = unit_wraps; w->file; w++)
		*w->slot = w->real;
	for (const struct unit_wrap *w = unit_wraps; w->file; w++)
		if (!strcmp(w->file, file->name))
			*w->slot = w->replacement;
}

static int run(const struct unit_file *file)
{
	const char *dir = getenv("UNIT_TAP");
	SRunner *runner = srunner_create(file->suite());
	char path[4096];
	int failed;

	if (dir) {
		snprintf(path, sizeof(path), "%s/%s.tap", dir, file->name);
		srunner_set_tap(runner, path);
	}
	replace(file);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	check_names(argv + 1);
	marks_begin();
	for (const struct unit_file *file = unit_files; file->name; file++)
		if (argc == 1 || is_named(file, argv + 1))
			failed += run(file);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
