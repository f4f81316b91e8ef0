/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the disk keys rerror and werror. */
#include <stdio.h>

#include "tests/lib/cases.h"
#include "tests/unit/options_rig.h"

static enum options_result parse(const char *keys, bool control)
{
	char disk_option[200];

	snprintf(disk_option, sizeof(disk_option), "--disk=d%s", keys);
	return control ? PARSE("--kernel=k", disk_option, "--control=s")
		       : PARSE("--kernel=k", disk_option);
}

static const struct {
	const char *name, *keys;
	enum blkpolicy_action with[2]; /* with --control: rerror and werror */
	int without;		       /* werror without --control; -1: refused */
} good[] = {
	{ "defaults", "", { BLKPOLICY_REPORT, BLKPOLICY_ENOSPC }, BLKPOLICY_REPORT },
	{ "rerror=report",
	  ",rerror=report",
	  { BLKPOLICY_REPORT, BLKPOLICY_ENOSPC },
	  BLKPOLICY_REPORT },
	{ "rerror=stop", ",rerror=stop", { BLKPOLICY_STOP, BLKPOLICY_ENOSPC }, -1 },
	{ "rerror=ignore",
	  ",rerror=ignore",
	  { BLKPOLICY_IGNORE, BLKPOLICY_ENOSPC },
	  BLKPOLICY_REPORT },
	{ "werror=report",
	  ",werror=report",
	  { BLKPOLICY_REPORT, BLKPOLICY_REPORT },
	  BLKPOLICY_REPORT },
	{ "werror=stop", ",werror=stop", { BLKPOLICY_REPORT, BLKPOLICY_STOP }, -1 },
	{ "werror=enospc", ",werror=enospc", { BLKPOLICY_REPORT, BLKPOLICY_ENOSPC }, -1 },
	{ "werror=ignore",
	  ",werror=ignore",
	  { BLKPOLICY_REPORT, BLKPOLICY_IGNORE },
	  BLKPOLICY_IGNORE },
	{ "werror=report,rerror=stop",
	  ",werror=report,rerror=stop",
	  { BLKPOLICY_STOP, BLKPOLICY_REPORT },
	  -1 },
};

START_TEST(policies_with_and_without_control)
{
	const struct blk_config *disk = config.disk;

	ck_assert_int_eq(parse(good[_i].keys, true), OPTIONS_RUN);
	ck_assert_int_eq(disk->rerror, good[_i].with[0]);
	ck_assert_int_eq(disk->werror, good[_i].with[1]);
	if (good[_i].without >= 0) {
		ck_assert_int_eq(parse(good[_i].keys, false), OPTIONS_RUN);
		ck_assert_int_eq(disk->rerror, good[_i].with[0]);
		ck_assert_int_eq(disk->werror, good[_i].without);
		return;
	}
	ck_assert_int_eq(parse(good[_i].keys, false), OPTIONS_ERROR);
	ck_assert_str_eq(message,
			 "--disk d: rerror and werror can stop the VM only with --control, "
			 "which can resume it");
}
END_TEST

static const struct {
	const char *key;
	const char *why;
} bad[] = {
	{ "rerror=enospc", "must be report, stop or ignore" },
	{ "rerror=Stop", "must be report, stop or ignore" },
	{ "werror=stops", "must be report, enospc, stop or ignore" },
	{ "werror=", "the value is empty" },
	{ "rerror", "needs a value" },
	{ "werror=stop,werror=stop", "given twice" },
};

START_TEST(invalid_policy_is_refused)
{
	char keys[100];

	snprintf(keys, sizeof(keys), ",%s", bad[_i].key);
	ck_assert_int_eq(parse(keys, true), OPTIONS_ERROR);
	ck_assert_msg(strstr(message, bad[_i].why), "%s", message);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("options_errors");
	TCase *t = tcase_create("options_errors");

	tcase_add_checked_fixture(t, NULL, free_copies);
	tcase_add_table_test(t, policies_with_and_without_control, good);
	tcase_add_member_test(t, invalid_policy_is_refused, bad, key);
	suite_add_tcase(s, t);
	return s;
}
