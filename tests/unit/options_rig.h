/* SPDX-License-Identifier: BSD-3-Clause */
/* Fixture of the option parser: parses one command line at a time. */
#ifndef TESTS_OPTIONS_RIG_H
#define TESTS_OPTIONS_RIG_H

#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/options/options.h"

#define RIG_ARGS_MAX 40

static struct machine_config config;
static char message[OPTIONS_MESSAGE_MAX];

/*
 * The parser modifies its arguments, so it gets copies, to which the strings of `config` refer.
 * Each copy is an allocation of its own, so that a sanitizer detects an access beyond its end.
 */
static char *copies[RIG_ARGS_MAX + 1];

static inline void free_copies(void)
{
	for (char **copy = copies; *copy; copy++)
		free(*copy);
	copies[0] = NULL;
}

/* Parses these arguments, up to a NULL, after those of a previous call were freed. */
static inline enum options_result parse_args(const char *const *args)
{
	int argc = 0;

	free_copies();
	copies[argc++] = strdup("microvm");
	for (; *args; args++)
		copies[argc++] = strdup(*args);
	copies[argc] = NULL;
	memset(message, 'x', sizeof(message));
	message[0] = '\0';
	return options_parse(argc, copies, &config, message);
}

#define PARSE(...) parse_args((const char *const[]){ __VA_ARGS__, NULL })

/* A command line that is refused with exactly this message. */
struct bad_line {
	const char *args[4];
	const char *message;
};

/* Expects the message for the arguments, which follow "--kernel k" if `kernel` is set. */
static inline void expect_refused(const struct bad_line *bad, bool kernel)
{
	const char *args[2 + ARRAY_SIZE(bad->args) + 1] = { "--kernel", "k" };

	memcpy(args + (kernel ? 2 : 0), bad->args, sizeof(bad->args));
	ck_assert_int_eq(parse_args(args), OPTIONS_ERROR);
	ck_assert_str_eq(message, bad->message);
}

#endif
