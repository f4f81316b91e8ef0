/* SPDX-License-Identifier: BSD-3-Clause */
/* Helper that runs a part of a test in a child process, for changes that cannot be undone. */
#ifndef TESTS_CHILD_RIG_H
#define TESTS_CHILD_RIG_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* For functions that run in the child: SKIP_IF skips the rest of it, NEED fails the test. */
#define SKIP_IF(condition)         \
	do {                       \
		if (condition)     \
			_exit(77); \
	} while (0)
#define NEED(condition)                                                                          \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "%s: %s (%s)\n", __func__, #condition, strerror(errno)); \
			_exit(1);                                                                \
		}                                                                                \
	} while (0)

static inline void in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		run();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) != 77)
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* Returns whether the system call failed with this error. */
static inline bool fails_with(long result, int error)
{
	return result < 0 && errno == error;
}

#endif
