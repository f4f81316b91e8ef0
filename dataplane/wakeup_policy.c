/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/wakeup_policy.h"

/* True when the span's wake-ups popped two requests or more on average. */
static bool gathered(const struct wakeup_policy *p)
{
	return p->taken >= 2 * p->wakes;
}

static void turn(struct wakeup_policy *p, bool trial)
{
	p->batch_class = !p->batch_class;
	p->trial = trial;
	p->spans = 0;
}

static void judge_trial(struct wakeup_policy *p, uint64_t each)
{
	/* An advantage of less than an eighth may be chance. SCHED_BATCH must also form batches. */
	if (each < p->usual - p->usual / 8 && (!p->batch_class || gathered(p)))
		p->trial = false;
	else
		turn(p, false);
}

static void judge_span(struct wakeup_policy *p, uint64_t each)
{
	unsigned int most = p->batch_class ? WAKEUP_POLICY_BATCH_SPANS : WAKEUP_POLICY_EAGER_SPANS;

	p->usual = each;
	if (p->batch_class && !gathered(p))
		turn(p, false);
	else if (++p->spans == most)
		turn(p, true);
}

bool wakeup_policy_update(struct wakeup_policy *p, unsigned int taken, uint64_t now)
{
	uint64_t each;

	/* The wake-up was for something else: a completion or a call. */
	if (!taken)
		return p->batch_class;
	if (!p->since) {
		p->since = now;
		return p->batch_class;
	}
	p->taken += taken;
	if (++p->wakes < WAKEUP_POLICY_SPAN)
		return p->batch_class;

	each = (now - p->since) / p->taken;
	if (p->trial)
		judge_trial(p, each);
	else
		judge_span(p, each);
	p->taken = p->wakes = 0;
	p->since = now;
	return p->batch_class;
}
