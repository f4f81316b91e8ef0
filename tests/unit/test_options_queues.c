/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the disk keys for the number of queues and of their threads. */
#include <stdio.h>

#include "tests/lib/cases.h"
#include "tests/unit/options_rig.h"

static const struct blk_config *const disk = config.disk;

static enum options_result parse(const char *keys, const char *cpus)
{
	char disk_option[200], cpus_option[32];

	snprintf(disk_option, sizeof(disk_option), "--disk=d%s%s", *keys ? "," : "", keys);
	snprintf(cpus_option, sizeof(cpus_option), "--cpus=%s", cpus);
	return PARSE("--kernel=k", disk_option, cpus_option);
}

START_TEST(queues_follow_the_cpus)
{
	static const struct {
		const char *cpus;
		unsigned int queues;
	} cases[] = { { "1", 1 }, { "2", 2 }, { "4", 4 }, { "5", 4 }, { "1024", 4 } };

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(parse("", cases[i].cpus), OPTIONS_RUN);
		ck_assert_uint_eq(disk->queues, cases[i].queues);
		ck_assert_uint_eq(disk->iothreads, 0);
		ck_assert_uint_eq(disk->map_count, 0);
		ck_assert_uint_eq(disk->cpu_count, 0);
		ck_assert_int_eq(parse("queues=3", cases[i].cpus), OPTIONS_RUN);
		ck_assert_uint_eq(disk->queues, 3);
	}
}
END_TEST

static const struct {
	const char *keys;
	unsigned int queues, iothreads, map_count, cpu_count;
	uint8_t map[4];
	uint16_t cpu[2];
} good[] = {
	{ "queues=16,iothreads=16", 16, 16, 0, 0, { 0 }, { 0 } },
	{ "queues=1,iothreads=1", 1, 1, 0, 0, { 0 }, { 0 } },
	{ "iothreads=1:0:1", 3, 2, 3, 0, { 1, 0, 1 }, { 0 } },
	{ "iothreads=0:0", 2, 1, 2, 0, { 0, 0 }, { 0 } },
	{ "queues=3,cpus=7:0", 3, 2, 0, 2, { 0 }, { 7, 0 } },
	{ "cpus=1023:5,iothreads=0:1:1:0,queues=4", 4, 2, 4, 2, { 0, 1, 1, 0 }, { 1023, 5 } },
	{ "iothreads=15:14:13:12:11:10:9:8:7:6:5:4:3:2:1:0",
	  16,
	  16,
	  16,
	  0,
	  { 15, 14, 13, 12 },
	  { 0 } },
};

START_TEST(queues_and_their_threads)
{
	ck_assert_int_eq(parse(good[_i].keys, "1"), OPTIONS_RUN);
	ck_assert_uint_eq(disk->queues, good[_i].queues);
	ck_assert_uint_eq(disk->iothreads, good[_i].iothreads);
	ck_assert_uint_eq(disk->map_count, good[_i].map_count);
	ck_assert_uint_eq(disk->cpu_count, good[_i].cpu_count);
	ck_assert_mem_eq(disk->thread_of, good[_i].map, sizeof(good[_i].map));
	ck_assert_mem_eq(disk->cpu, good[_i].cpu, sizeof(good[_i].cpu));
}
END_TEST

#define QUEUES	  ": must be a number from 1 to 16"
#define IOTHREADS ": must be a number from 1 to 16, or a thread for each queue (0:1:...)"
#define CPUS	  ": must be numbers from 0 to 1023, one for each iothread (2:3:...)"

static const struct {
	const char *keys;
	const char *named; /* part of the command line in the message */
	const char *why;
} bad[] = {
	{ "queues=0", ",queues=0", QUEUES },
	{ "queues=17", ",queues=17", QUEUES },
	{ "queues=two", ",queues=two", QUEUES },
	{ "iothreads=0", ",iothreads=0", IOTHREADS },
	{ "iothreads=17", ",iothreads=17", IOTHREADS },
	{ "iothreads=1:", ",iothreads=1:", IOTHREADS },
	{ "iothreads=:1", ",iothreads=:1", IOTHREADS },
	{ "iothreads=0:2", ",iothreads=0:2", IOTHREADS },
	{ "iothreads=1:1", ",iothreads=1:1", IOTHREADS },
	{ "iothreads=0:16", ",iothreads=0:16", IOTHREADS },
	{ "iothreads=0:00000001", ",iothreads=0:00000001", IOTHREADS },
	{ "iothreads=0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0",
	  ",iothreads=0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0", IOTHREADS },
	{ "cpus=x", ",cpus=x", CPUS },
	{ "cpus=1024", ",cpus=1024", CPUS },
	{ "queues=3,iothreads=0:1", "", ": iothreads lists 2 threads for queues=3" },
	{ "queues=2,iothreads=3", "", ": iothreads=3 is more than queues=2" },
	{ "iothreads=3", "", ": iothreads=3 is more than queues=1" },
	{ "queues=2,cpus=0:1:2", "", ": cpus lists 3 for queues=2" },
	{ "queues=2,iothreads=2,cpus=0", "", ": cpus lists 1 for iothreads=2" },
};

START_TEST(invalid_queues_are_refused)
{
	char expected[OPTIONS_MESSAGE_MAX];

	snprintf(expected, sizeof(expected), "--disk d%s%s", bad[_i].named, bad[_i].why);
	ck_assert_int_eq(parse(bad[_i].keys, "1"), OPTIONS_ERROR);
	ck_assert_str_eq(message, expected);
}
END_TEST

/* The name of a disk may contain any bytes. */
START_TEST(disk_is_named_in_one_line)
{
	ck_assert_int_eq(PARSE("--disk=d\n\x80,queues=1,iothreads=2", "--kernel=k"), OPTIONS_ERROR);
	ck_assert_str_eq(message, "--disk d??: iothreads=2 is more than queues=1");
}
END_TEST

START_TEST(stats_on_and_off)
{
	ck_assert_int_eq(PARSE("--kernel=k"), OPTIONS_RUN);
	ck_assert(!config.stats);
	ck_assert_int_eq(PARSE("--kernel=k", "--stats=on"), OPTIONS_RUN);
	ck_assert(config.stats);
	ck_assert_int_eq(PARSE("--kernel=k", "--stats=off"), OPTIONS_RUN);
	ck_assert(!config.stats);
	ck_assert_int_eq(PARSE("--kernel=k", "--stats=maybe"), OPTIONS_ERROR);
	ck_assert_str_eq(message, "--stats maybe: must be on or off");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("options_queues");
	TCase *t = tcase_create("options_queues");

	tcase_add_test(t, queues_follow_the_cpus);
	tcase_add_checked_fixture(t, NULL, free_copies);
	tcase_add_member_test(t, queues_and_their_threads, good, keys);
	tcase_add_member_test(t, invalid_queues_are_refused, bad, keys);
	tcase_add_test(t, disk_is_named_in_one_line);
	tcase_add_test(t, stats_on_and_off);
	suite_add_tcase(s, t);
	return s;
}
