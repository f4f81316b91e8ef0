/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests that each default in --help is the real one: with the option or the disk key set to it the
 * configuration is the same as without. tests/install/documents compares the other documents with
 * --help.
 */
#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/options/options.h"

#define TEXT_MAX     80
#define DEFAULTS_MIN 19

struct documented {
	char name[TEXT_MAX];
	char value[TEXT_MAX];
	bool key; /* a disk key, rather than an option */
};

/* Each entry of the help begins with a name behind two spaces. */
static bool begins_entry(const char *line)
{
	return !strncmp(line, "  ", 2) && (line[2] == '-' || (line[2] >= 'a' && line[2] <= 'z'));
}

/* Returns whether the text is a value, rather than a description. */
static bool is_value(const char *value)
{
	static const char *const described[] = { "any", "diskN", "stderr" };

	for (size_t i = 0; i < ARRAY_SIZE(described); i++)
		if (!strcmp(value, described[i]))
			return false;
	return *value && !strchr(value, ' ');
}

/* Finds the next entry whose default is a value. Returns where to continue, or NULL at the end. */
static const char *next_default(const char *line, struct documented *d)
{
	static const char mark[] = "(default: ";
	const char *end, *at;

	for (; (end = strchr(line, '\n')); line = end + 1) {
		if (!strncmp(line, "Exit codes:", 11))
			return NULL;
		if (!strncmp(line, "Disk keys:", 10))
			d->key = true;
		if (begins_entry(line)) {
			size_t len = strcspn(line + 2, " =[\n");

			ck_assert_uint_lt(len, sizeof(d->name));
			memcpy(d->name, line + 2, len);
			d->name[len] = '\0';
		}
		at = strstr(line, mark);
		if (!at || at > end)
			continue;
		at += strlen(mark);
		snprintf(d->value, sizeof(d->value), "%.*s", (int)strcspn(at, ")\n"), at);
		if (at[strcspn(at, ")\n")] == ')' && is_value(d->value))
			return end + 1;
	}
	return NULL;
}

static void parse(struct machine_config *config, const char *option, const char *value)
{
	static char name[] = "microvm", kernel[] = "--kernel=k";
	static char words[2][2 * TEXT_MAX + 8];
	char *argv[] = { name, kernel, words[0], words[1], NULL };
	char message[OPTIONS_MESSAGE_MAX] = "";

	snprintf(words[0], sizeof(words[0]), "%s", option);
	snprintf(words[1], sizeof(words[1]), "%s", value);
	memset(config, 0, sizeof(*config));
	ck_assert_msg(options_parse(*option ? 4 : 2, argv, config, message) == OPTIONS_RUN, "%s",
		      message);
}

static void check_default(const struct documented *d)
{
	static struct machine_config with, without;
	char field[2 * TEXT_MAX + 8];

	if (d->key) {
		snprintf(field, sizeof(field), "f,%s=%s", d->name, d->value);
		parse(&with, "--disk", field);
		parse(&without, "--disk", "f");
	} else {
		parse(&with, d->name, d->value);
		parse(&without, "", "");
	}
	/* The texts that the user typed lie elsewhere, and one size has several spellings. */
	with.memory_text = without.memory_text = NULL;
	with.console_text = without.console_text = NULL;
	ck_assert_msg(!memcmp(&with, &without, sizeof(with)), "%s is not the default of %s",
		      d->value, d->name);
}

START_TEST(help_documents_defaults_that_are_the_defaults)
{
	struct documented d = { .key = false };
	const char *at = options_help();
	unsigned int count = 0;

	while ((at = next_default(at, &d))) {
		check_default(&d);
		count++;
	}
	ck_assert_uint_ge(count, DEFAULTS_MIN);
}
END_TEST

/* Defaults that --help describes in words. */
START_TEST(help_documents_defaults_that_are_computed)
{
	static struct machine_config config;
	const struct blk_config *disk = &config.disk[0];

	ck_assert_ptr_nonnull(strstr(options_help(), "(default: one per CPU, up to 4)"));
	ck_assert_ptr_nonnull(strstr(options_help(), "tenth of iops)"));
	ck_assert_ptr_nonnull(strstr(options_help(), "(default: enospc with --control,"));
	parse(&config, "--disk", "f,iops=1000,bps=10M");
	ck_assert_uint_eq(disk->queues, 1);
	ck_assert_uint_eq(disk->limits.iops_burst, 100);
	ck_assert_uint_eq(disk->limits.bps_burst, 1 << 20);
	ck_assert_int_eq(disk->werror, BLKPOLICY_REPORT);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("options_help");
	TCase *tc = tcase_create("options_help");

	tcase_add_test(tc, help_documents_defaults_that_are_the_defaults);
	tcase_add_test(tc, help_documents_defaults_that_are_computed);
	suite_add_tcase(suite, tc);
	return suite;
}
