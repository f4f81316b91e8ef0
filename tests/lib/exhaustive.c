/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/exhaustive.h"

#include <check.h>
#include <stdlib.h>

#include "dataplane/base.h"

const struct iovec iov_canary = { (void *)0x5a5a5a5a5a5a5a5a, 0xa5a5a5a5a5a5a5a5 };
unsigned long exhaustive_accepted, exhaustive_refused;

bool iov_same(const struct iovec *a, const struct iovec *b, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (a[i].iov_base != b[i].iov_base || a[i].iov_len != b[i].iov_len)
			return false;
	return true;
}

void exhaustive_report(const char *what)
{
	if (getenv("EXHAUSTIVE_COUNTS"))
		log_info("%s: %lu accepted, %lu refused", what, exhaustive_accepted,
			 exhaustive_refused);
	ck_assert_uint_gt(exhaustive_accepted, 0);
	ck_assert_uint_gt(exhaustive_refused, 0);
}
