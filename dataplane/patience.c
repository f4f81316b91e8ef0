/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/patience.h"

/* Two requests each time, at least? */
static bool gathered(const struct patience *p)
{
	return p->taken >= 2 * p->wakes;
}

static void turn(struct patience *p, bool trial)
{
	p->patient = !p->patient;
	p->trial = trial;
	p->spans = 0;
}

static void judge_trial(struct patience *p, uint64_t each)
{
	/* By more than chance. */
	if (each < p->usual - p->usual / 8 && (!p->patient || gathered(p)))
		p->trial = false;
	else
		turn(p, false);
}

static void judge_span(struct patience *p, uint64_t each)
{
	unsigned int most = p->patient ? PATIENCE_PATIENT_SPANS : PATIENCE_EAGER_SPANS;

	p->usual = each;
	if (p->patient && !gathered(p))
		turn(p, false);
	else if (++p->spans == most)
		turn(p, true);
}

bool patience_judge(struct patience *p, unsigned int taken, uint64_t now)
{
	uint64_t each;

	/* A wake-up for something else: a completion, a call. */
	if (!taken)
		return p->patient;
	if (!p->since) {
		p->since = now;
		return p->patient;
	}
	p->taken += taken;
	if (++p->wakes < PATIENCE_SPAN)
		return p->patient;

	each = (now - p->since) / p->taken;
	if (p->trial)
		judge_trial(p, each);
	else
		judge_span(p, each);
	p->taken = p->wakes = 0;
	p->since = now;
	return p->patient;
}
