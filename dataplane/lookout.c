/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/lookout.h"

uint64_t lookout_window(struct lookout *l, enum lookout_for what)
{
	if (l->window_ns >= LOOKOUT_BRIEF)
		return l->window_ns;
	if (!l->brief[what].skip)
		return LOOKOUT_BRIEF;
	l->brief[what].skip--;
	return l->window_ns;
}

void lookout_looked(struct lookout *l, enum lookout_for what, bool found)
{
	unsigned int vain = found ? 0 : 2 * l->brief[what].vain + 1;

	l->brief[what].vain = vain < LOOKOUT_SKIPS ? vain : LOOKOUT_SKIPS;
	l->brief[what].skip = l->brief[what].vain;
}

/* A sleep shorter than the longest window allowed would better have been spent looking; a longer
 * one was not worth looking for. */
void lookout_slept(struct lookout *l, uint64_t slept)
{
	if (slept >= l->poll_ns)
		l->window_ns = 0;
	else if (!l->window_ns)
		l->window_ns = LOOKOUT_FIRST;
	else
		l->window_ns *= 2;
	if (l->window_ns > l->poll_ns)
		l->window_ns = l->poll_ns;
}
