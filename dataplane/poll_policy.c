/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/poll_policy.h"

/* ---- adaptive_poll ---- */

uint64_t adaptive_poll_budget(struct adaptive_poll *poll, enum poll_target what)
{
	if (poll->poll_ns_now >= POLL_MIN_NS)
		return poll->poll_ns_now;
	if (!poll->brief[what].skip)
		return POLL_MIN_NS;
	poll->brief[what].skip--;
	return poll->poll_ns_now;
}

void adaptive_poll_polled(struct adaptive_poll *poll, enum poll_target what, bool found)
{
	unsigned int fruitless = found ? 0 : 2 * poll->brief[what].fruitless + 1;

	poll->brief[what].fruitless = fruitless < POLL_BACKOFF_MAX ? fruitless : POLL_BACKOFF_MAX;
	poll->brief[what].skip = poll->brief[what].fruitless;
}

/* A sleep shorter than poll_ns could have been avoided by polling, so the long window grows; a
 * longer sleep could not, so the long window closes. */
void adaptive_poll_slept(struct adaptive_poll *poll, uint64_t slept)
{
	if (slept >= poll->poll_ns)
		poll->poll_ns_now = 0;
	else if (!poll->poll_ns_now)
		poll->poll_ns_now = POLL_START_NS;
	else
		poll->poll_ns_now *= 2;
	if (poll->poll_ns_now > poll->poll_ns)
		poll->poll_ns_now = poll->poll_ns;
}

/* ---- wakeup_policy ---- */

/* True when the span's wake-ups popped two requests or more on average. */
static bool wakeup_policy_gathered(const struct wakeup_policy *p)
{
	return p->taken >= 2 * p->wakes;
}

static void wakeup_policy_switch_class(struct wakeup_policy *p, bool trial)
{
	p->batch_class = !p->batch_class;
	p->trial = trial;
	p->spans = 0;
}

static void wakeup_policy_judge_trial(struct wakeup_policy *p, uint64_t each)
{
	/* An advantage of less than an eighth may be chance. SCHED_BATCH must also form batches. */
	if (each < p->usual - p->usual / 8 && (!p->batch_class || wakeup_policy_gathered(p)))
		p->trial = false;
	else
		wakeup_policy_switch_class(p, false);
}

static void wakeup_policy_judge_span(struct wakeup_policy *p, uint64_t each)
{
	unsigned int most = p->batch_class ? WAKEUP_POLICY_BATCH_SPANS : WAKEUP_POLICY_EAGER_SPANS;

	p->usual = each;
	if (p->batch_class && !wakeup_policy_gathered(p))
		wakeup_policy_switch_class(p, false);
	else if (++p->spans == most)
		wakeup_policy_switch_class(p, true);
}

/* True when a trial of SCHED_BATCH has failed before the end of its span: no batches form, or
 * requests take more than twice the usual time. */
static bool wakeup_policy_trial_fails(const struct wakeup_policy *p, uint64_t each)
{
	return p->trial && p->batch_class && (!wakeup_policy_gathered(p) || each > 2 * p->usual);
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
	p->wakes++;
	each = (now - p->since) / p->taken;
	if (p->wakes < WAKEUP_POLICY_SPAN && !wakeup_policy_trial_fails(p, each))
		return p->batch_class;

	if (p->trial)
		wakeup_policy_judge_trial(p, each);
	else
		wakeup_policy_judge_span(p, each);
	p->taken = p->wakes = 0;
	p->since = now;
	return p->batch_class;
}
