/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the error policies, for each operation that fails. */
#include <errno.h>
#include <string.h>

#include "dataplane/base.h"
#include "dataplane/blkpolicy.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static bool stops(enum blkpolicy_action action, int err)
{
	return action == BLKPOLICY_STOP ||
	       (action == BLKPOLICY_ENOSPC && (err == ENOSPC || err == EDQUOT));
}

static const struct {
	const char *name;
	enum io_op op;
	bool cached; /* the image is opened through the page cache */
} cases[] = {
	{ "read", IO_READ, false },
	{ "read, cached", IO_READ, true },
	{ "write", IO_WRITE, false },
	{ "write, cached", IO_WRITE, true },
	{ "flush", IO_FLUSH, false },
	{ "flush, cached", IO_FLUSH, true },
	{ "discard", IO_DISCARD, false },
	{ "discard, cached", IO_DISCARD, true },
	{ "write zeroes", IO_WRITE_ZEROES, false },
	{ "write zeroes, cached", IO_WRITE_ZEROES, true },
};

START_TEST(each_operation_and_error_by_each_policy)
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EFBIG, EBADF };
	const enum io_op op = cases[_i].op;
	const bool cached = cases[_i].cached;

	for (int action = 0; action < 16; action++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
			struct blkpolicy policy = { action % 4, action / 4, cached };
			enum blkpolicy_action its = op == IO_READ ? policy.read : policy.write;
			uint8_t data[64];
			struct iovec iov = { data, sizeof(data) };
			struct io_task task = {
				.op = op, .result = -errors[i], .iov = &iov, .iov_count = 1
			};
			struct io_queue parked = { NULL, &parked.head };
			bool keeps = stops(its, errors[i]) && !(op == IO_FLUSH && cached);
			bool zeros = op == IO_READ && its == BLKPOLICY_IGNORE;

			memset(data, 0xee, sizeof(data));
			must(blkpolicy_should_park(&policy, &task, &parked) == keeps);
			must((io_queue_take(&parked) == &task) == keeps);
			must(task.result == (its == BLKPOLICY_IGNORE ? 0 : -errors[i]));
			must(all_bytes(data, zeros ? 0 : 0xee, sizeof(data)));
		}
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkpolicy");
	TCase *t = tcase_create("blkpolicy");

	tcase_add_table_test(t, each_operation_and_error_by_each_policy, cases);
	suite_add_tcase(s, t);
	return s;
}
