/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest that uses the serial port as boot loaders do: it polls, and never enables an interrupt. */
#include "guest/bare/bare.h"

/* typed=TEXT: what the host's standard input has had since before the guest began. */
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
