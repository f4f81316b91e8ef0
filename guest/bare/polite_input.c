/* SPDX-License-Identifier: BSD-3-Clause */
/* Serial input as a boot loader reads it: polled, without ever enabling an interrupt. */
#include "guest/bare/bare.h"

/* typed=TEXT: the bytes on the host's standard input since before the guest started. */
TEST(input_arrives_at_a_guest_that_polls)
{
	const char *typed = option("typed=", 0);

	if (!typed)
		bare_skip("nothing is typed");
	for (; *typed && *typed != ' '; typed++) {
		int c;

		wait_until((c = arch_poll_char()) >= 0);
		check(c == *typed);
	}
}
