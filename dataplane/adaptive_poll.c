/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/adaptive_poll.h"

uint64_t adaptive_poll_budget(struct adaptive_poll *l, enum poll_target what)
{
	if (l->poll_ns_now >= POLL_MIN_NS)
		return l->poll_ns_now;
	if (!l->brief[what].skip)
		return POLL_MIN_NS;
	l->brief[what].skip--;
	return l->poll_ns_now;
}

void adaptive_poll_polled(struct adaptive_poll *l, enum poll_target what, bool found)
{
	unsigned int fruitless = found ? 0 : 2 * l->brief[what].fruitless + 1;

	l->brief[what].fruitless = fruitless < POLL_BACKOFF_MAX ? fruitless : POLL_BACKOFF_MAX;
	l->brief[what].skip = l->brief[what].fruitless;
}

/* A sleep shorter than poll_ns could have been avoided by polling, so the long window grows; a
 * longer sleep could not, so the long window closes. */
void adaptive_poll_slept(struct adaptive_poll *l, uint64_t slept)
{
	if (slept >= l->poll_ns)
		l->poll_ns_now = 0;
	else if (!l->poll_ns_now)
		l->poll_ns_now = POLL_START_NS;
	else
		l->poll_ns_now *= 2;
	if (l->poll_ns_now > l->poll_ns)
		l->poll_ns_now = l->poll_ns;
}
