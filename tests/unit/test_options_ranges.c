/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the first and last value of each option with a range, and their neighbours. */
#include <stdio.h>

#include "tests/lib/cases.h"
#include "tests/unit/options_rig.h"
#include "vmm/text.h"

static const struct {
	const char *option; /* up to the value */
	const char *least, *most;
	const char *refused[3];
} ranges[] = {
	{ "--memory=", "16M", "1T", { "15M", "2T", "1025G" } },
	{ "--memory=", "16384K", "1024G", { "16380K", "16388t", "0T" } },
	{ "--memory=", "16", "1048576", { "15", "1048577", "" } },
	{ "--cpus=", "1", "1024", { "0", "1025", "1K" } },
	{ "--stop-timeout=", "0", "86400", { "86401", "-1", "1T" } },
	{ "--disk=d,queue-size=", "4", "1024", { "3", "1025", "1K" } },
	{ "--disk=d,blk-size=", "512", "4096", { "511", "4097", "4K" } },
	{ "--disk=d,queues=", "1", "16", { "0", "17", "" } },
	{ "--disk=d,queues=16,iothreads=", "1", "16", { "0", "17", "" } },
	{ "--disk=d,poll-us=", "0", "1000", { "1001", "-1", "1K" } },
	{ "--disk=d,iops=", "1", "1000000000", { "0", "1000000001", "1G" } },
	{ "--disk=d,iops=1,iops-burst=", "1", "1000000000", { "0", "1000000001", "1G" } },
	{ "--disk=d,bps=", "1K", "1T", { "0", "1025G", "2T" } },
	{ "--disk=d,bps=1,bps-burst=", "1k", "1t", { "0", "1025g", "2t" } },
};

static enum options_result parse(const char *option, const char *value)
{
	char text[200];

	snprintf(text, sizeof(text), "%s%s", option, value);
	return PARSE("--kernel=k", text);
}

static const char *range_name(int i)
{
	static char name[100];

	snprintf(name, sizeof(name), "%s%s to %s", ranges[i].option, ranges[i].least,
		 ranges[i].most);
	return name;
}

START_TEST(both_ends_of_a_range_are_accepted)
{
	const char *option = ranges[_i].option;

	ck_assert_msg(parse(option, ranges[_i].least) == OPTIONS_RUN, "%s", message);
	ck_assert_msg(parse(option, ranges[_i].most) == OPTIONS_RUN, "%s", message);
}
END_TEST

START_TEST(values_outside_a_range_are_refused)
{
	const char *option = ranges[_i].option;

	for (unsigned int i = 0; i < ARRAY_SIZE(ranges[_i].refused); i++)
		ck_assert_msg(parse(option, ranges[_i].refused[i]) == OPTIONS_ERROR, "%s%s", option,
			      ranges[_i].refused[i]);
}
END_TEST

START_TEST(sizes_with_every_suffix)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = { { "1K", 1ull << 10 },	   { "1k", 1ull << 10 }, { "2", 2ull << 20 },
		      { "2M", 2ull << 20 },	   { "2m", 2ull << 20 }, { "3G", 3ull << 30 },
		      { "3g", 3ull << 30 },	   { "4T", 4ull << 40 }, { "4t", 4ull << 40 },
		      { "16777215T", ~0ull << 40 } };
	static const char *const none[] = { "",	   "T",	   "1P",  "1TB",       "1 T", "1.5T",
					    "-1T", "0x1T", "1TT", "16777216T", "1KT" };
	uint64_t bytes;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert(text_size(sizes[i].text, &bytes));
		ck_assert_uint_eq(bytes, sizes[i].bytes);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++)
		ck_assert_msg(!text_size(none[i], &bytes), "%s", none[i]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("options_ranges");
	TCase *t = tcase_create("options_ranges");

	tcase_add_checked_fixture(t, NULL, free_copies);
	tcase_add_named_test(t, both_ends_of_a_range_are_accepted, (int)ARRAY_SIZE(ranges),
			     range_name);
	tcase_add_named_test(t, values_outside_a_range_are_refused, (int)ARRAY_SIZE(ranges),
			     range_name);
	tcase_add_test(t, sizes_with_every_suffix);
	suite_add_tcase(s, t);
	return s;
}
