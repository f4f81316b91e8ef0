/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the disk keys rerror and werror. */
#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/options/options.h"

static struct machine_config config;
static char message[OPTIONS_MESSAGE_MAX];

static enum options_result parse(const char *keys, bool control)
{
	static char kernel[] = "--kernel=k", disk_option[200], socket[] = "--control=s";
	char *argv[] = { kernel, kernel, disk_option, socket, NULL };

	snprintf(disk_option, sizeof(disk_option), "--disk=d%s", keys);
	return options_parse(control ? 4 : 3, argv, &config, message);
}

static const struct {
	const char *keys;
	enum blkpolicy_action with[2]; /* --control: read and write */
	int without;		       /* that write, or -1: it needs it */
} good[] = {
	{ "", { BLKPOLICY_REPORT, BLKPOLICY_ENOSPC }, BLKPOLICY_REPORT },
	{ ",rerror=report", { BLKPOLICY_REPORT, BLKPOLICY_ENOSPC }, BLKPOLICY_REPORT },
	{ ",rerror=stop", { BLKPOLICY_STOP, BLKPOLICY_ENOSPC }, -1 },
	{ ",rerror=ignore", { BLKPOLICY_IGNORE, BLKPOLICY_ENOSPC }, BLKPOLICY_REPORT },
	{ ",werror=report", { BLKPOLICY_REPORT, BLKPOLICY_REPORT }, BLKPOLICY_REPORT },
	{ ",werror=stop", { BLKPOLICY_REPORT, BLKPOLICY_STOP }, -1 },
	{ ",werror=enospc", { BLKPOLICY_REPORT, BLKPOLICY_ENOSPC }, -1 },
	{ ",werror=ignore", { BLKPOLICY_REPORT, BLKPOLICY_IGNORE }, BLKPOLICY_IGNORE },
	{ ",werror=report,rerror=stop", { BLKPOLICY_STOP, BLKPOLICY_REPORT }, -1 },
};

START_TEST(errors_with_and_without_control)
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

static const char *const bad[][2] = {
	{ "rerror=enospc", "must be report, stop or ignore" },
	{ "rerror=Stop", "must be report, stop or ignore" },
	{ "werror=stops", "must be report, enospc, stop or ignore" },
	{ "werror=", "the value is empty" },
	{ "rerror", "needs a value" },
	{ "werror=stop,werror=stop", "given twice" },
};

START_TEST(errors_that_cannot_be)
{
	char keys[100];

	snprintf(keys, sizeof(keys), ",%s", bad[_i][0]);
	ck_assert_int_eq(parse(keys, true), OPTIONS_ERROR);
	ck_assert_msg(strstr(message, bad[_i][1]), "%s", message);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("options_errors");
	TCase *t = tcase_create("options_errors");

	tcase_add_loop_test(t, errors_with_and_without_control, 0, (int)ARRAY_SIZE(good));
	tcase_add_loop_test(t, errors_that_cannot_be, 0, (int)ARRAY_SIZE(bad));
	suite_add_tcase(s, t);
	return s;
}
