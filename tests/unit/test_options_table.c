/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the option parser with a table of their own. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/options/table.h"

/* Fields of each width, with neighbours that no option may change. */
static struct config {
	uint8_t before, level, after;
	uint16_t port, end;
	uint64_t size;
	const char *text;
} config;

static const char *set_after(const struct option *option, void *to, char *value,
			     struct option_error *error)
{
	(void)option;
	(void)error;
	((struct config *)to)->after++;
	return strcmp(value, "good") ? "must be good" : NULL;
}

static const uint8_t levels[] = { 7, 250 };

#define AT(field) OPTION_AT(struct config, field)

/* clang-format off */
static const struct option options[] = {
	{ "--level", OPTION_NAME, AT(level), "low|high", "high", "how high the level is",
	  .values = levels },
	{ "--port", OPTION_NUMBER, AT(port), "PORT", NULL,
	  "a port, #, whose description takes more than the one line that there is", 1, 65535 },
	{ "--size-of-it", OPTION_SIZE, AT(size), "SIZE", "1K", "#", 1024, 3ull << 40 },
	{ "--text", OPTION_TEXT, AT(text), "TEXT", NULL, "a text" },
	{ "--after", OPTION_OTHER, OPTION_SET_ONLY, "TEXT", NULL, "counted", .repeatable = true,
	  .set = set_after },
};
/* clang-format on */

static const struct option_table table = { options, ARRAY_SIZE(options) };
static char message[OPTIONS_MESSAGE_MAX];

static enum options_result scan(char *first, char *second)
{
	static char name[] = "program";
	char *argv[] = { name, first, second, NULL };

	memset(&config, 0, sizeof(config));
	config.before = config.after = 1;
	config.end = 1;
	message[0] = '\0';
	return options_scan(&table, first ? second ? 3 : 2 : 1, argv, &config, message);
}

START_TEST(values_fill_their_field_and_no_other)
{
	char port[] = "--port=65535", size[] = "--size-of-it=3T", low[] = "--level=low";

	ck_assert_int_eq(scan(port, size), OPTIONS_RUN);
	ck_assert_uint_eq(config.level, 250);
	ck_assert_uint_eq(config.port, 65535);
	ck_assert_uint_eq(config.size, 3ull << 40);
	ck_assert(config.before == 1 && config.after == 1 && config.end == 1);
	ck_assert_int_eq(scan(low, NULL), OPTIONS_RUN);
	ck_assert_uint_eq(config.level, 7);
	ck_assert_uint_eq(config.port, 0);
	ck_assert_uint_eq(config.size, 1024);
	ck_assert(config.before == 1 && config.after == 1 && config.end == 1);
}
END_TEST

static const struct {
	const char *first, *second, *message;
} bad[] = {
	{ "--level=medium", NULL, "--level medium: must be low or high" },
	{ "--level=", NULL, "--level : must be low or high" },
	{ "--level=hig", NULL, "--level hig: must be low or high" },
	{ "--level=low|high", NULL, "--level low|high: must be low or high" },
	{ "--port=0", NULL, "--port 0: must be a number from 1 to 65535" },
	{ "--port=65536", NULL, "--port 65536: must be a number from 1 to 65535" },
	{ "--size-of-it=4T", NULL, "--size-of-it 4T: must be a size from 1K to 3T" },
	{ "--text=a", "--text=b", "--text b: given twice" },
	{ "--after=good", "--after=bad", "--after bad: must be good" },
	{ "--prot=1", NULL, "unknown option '--prot=1' (did you mean --port?)" },
	{ "--kernel=k", NULL, "unknown option '--kernel=k' (see --help)" },
};

START_TEST(messages_follow_the_rows)
{
	char first[40], second[40];

	strcpy(first, bad[_i].first);
	strcpy(second, bad[_i].second ? bad[_i].second : "");
	ck_assert_int_eq(scan(first, bad[_i].second ? second : NULL), OPTIONS_ERROR);
	ck_assert_str_eq(message, bad[_i].message);
}
END_TEST

static const char help_of_rows[] =
	"  --level low|high   how high the level is (default: high)\n"
	"  --port PORT        a port, 1 to 65535, whose description takes more than the\n"
	"                     one line that there is\n"
	"  --size-of-it SIZE  1K to 3T (default: 1K)\n"
	"  --text TEXT        a text\n"
	"  --after TEXT       counted\n";

START_TEST(help_follows_the_rows)
{
	char text[1000];
	struct help help = { text, sizeof(text), 0 };

	help_options(&help, &table, ' ', 21);
	ck_assert_str_eq(text, help_of_rows);
}
END_TEST

/* The text ends with the buffer, of any size. Sanitizers detect a byte beyond it. */
START_TEST(help_that_does_not_fit_is_cut)
{
	for (size_t size = 1; size <= sizeof(help_of_rows); size++) {
		char *text = malloc(size);
		struct help help = { text, size, 0 };

		ck_assert_ptr_nonnull(text);
		help_options(&help, &table, ' ', 21);
		ck_assert_uint_eq(strlen(text), size - 1);
		ck_assert(!strncmp(text, help_of_rows, size - 1));
		free(text);
	}
}
END_TEST

/* A name that leaves no room for the description has a line of its own. */
START_TEST(help_of_a_long_name)
{
	static const struct option_table one = { options, 1 };
	char text[200];
	struct help help = { text, sizeof(text), 0 };

	help_options(&help, &one, '=', 18);
	ck_assert_str_eq(text, "  --level=low|high\n"
			       "                  how high the level is (default: high)\n");
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("options_table");
	TCase *tc = tcase_create("options_table");

	tcase_add_test(tc, values_fill_their_field_and_no_other);
	tcase_add_member_test(tc, messages_follow_the_rows, bad, message);
	tcase_add_test(tc, help_follows_the_rows);
	tcase_add_test(tc, help_that_does_not_fit_is_cut);
	tcase_add_test(tc, help_of_a_long_name);
	suite_add_tcase(suite, tc);
	return suite;
}
