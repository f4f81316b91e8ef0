/* SPDX-License-Identifier: BSD-3-Clause */
/* Parser of a command line, driven by the table of options. */
#include <stdio.h>
#include <string.h>

#include "vmm/options/table.h"

static const char help_name[] = "--help", version_name[] = "--version";

/* Handles an argument that is not in the table: help, version or an error. */
static enum options_result other_argument(const struct option_table *table, const char *arg,
					  char message[OPTIONS_MESSAGE_MAX])
{
	static const struct option_table none;
	char shown[SHOWN_MAX], hint[HINT_MAX];
	/* Leading dashes are not compared, so that both "-kernel" and "--kernal" match. */
	size_t dashes = strspn(arg, "-");

	if (!strcmp(arg, help_name) || !strcmp(arg, "-h"))
		return OPTIONS_HELP;
	if (!strcmp(arg, version_name))
		return OPTIONS_VERSION;
	text_show(shown, sizeof(shown), arg);
	snprintf(message, OPTIONS_MESSAGE_MAX, "%s '%s' (%s)",
		 dashes ? "unknown option" : "unexpected argument", shown,
		 option_hint(dashes ? table : &none, 2, arg + dashes, strcspn(arg + dashes, "="),
			     hint));
	return OPTIONS_ERROR;
}

/*
 * Returns `next`, the argument after `option`, as its value. Returns NULL with an error in
 * `message` if the value is missing, that is, at the end of argv or if `next` is an option. A
 * value that looks like an option must be given as "option=value".
 */
static char *next_value(const struct option_table *table, char *next, const char *option,
			char message[OPTIONS_MESSAGE_MAX])
{
	size_t len = next ? strcspn(next, "=") : 0;

	if (!next)
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s: needs a value", option);
	else if (option_find(table, next, len) || !strcmp(next, help_name) ||
		 !strcmp(next, version_name))
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s: needs a value before %.*s", option,
			 (int)len, next);
	else
		return next;
	return NULL;
}

enum options_result options_scan(const struct option_table *table, int argc, char **argv,
				 void *config, char message[OPTIONS_MESSAGE_MAX])
{
	uint64_t given = 0;

	option_preset(table, config);
	for (int i = 1; i < argc; i++) {
		size_t len = strcspn(argv[i], "=");
		const struct option *option = option_find(table, argv[i], len);
		struct option_error error;
		const char *why;
		uint64_t bit;
		char *value;

		if (!option)
			return other_argument(table, argv[i], message);
		if (argv[i][len])
			value = argv[i] + len + 1;
		else
			value = next_value(table, ++i < argc ? argv[i] : NULL, option->name,
					   message);
		if (!value)
			return OPTIONS_ERROR;
		/* The value is copied before the option is set, which may modify it. */
		text_show(error.shown, sizeof(error.shown), value);
		bit = UINT64_C(1) << (option - table->option);
		why = given & bit && !option->repeatable
			      ? "given twice"
			      : option_set(option, config, value, &error);
		given |= bit;
		if (why) {
			snprintf(message, OPTIONS_MESSAGE_MAX, "%s %s: %s", option->name,
				 error.shown, why);
			return OPTIONS_ERROR;
		}
	}
	return OPTIONS_RUN;
}
