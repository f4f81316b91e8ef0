/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/blklimit.h"

#include "dataplane/base.h"

#define SECOND_NS 1000000000u

/* Maximum of blklimit_span(), ns: the sum of two spans, or of a span and a time, does not
 * overflow. */
#define SPAN_MAX (1ull << 62)

/* Returns the time in which a bucket gains `tokens` at `rate` per second: ns, rounded up, at most
 * SPAN_MAX. */
static uint64_t blklimit_span(uint64_t tokens, uint64_t rate)
{
	unsigned __int128 ns = ((unsigned __int128)tokens * SECOND_NS + rate - 1) / rate;

	return ns < SPAN_MAX ? (uint64_t)ns : SPAN_MAX;
}

static bool blklimit_fill_burst(uint64_t rate, uint64_t *burst, uint64_t most)
{
	if (!rate)
		return !*burst;
	if (!*burst)
		*burst = (rate + 9) / 10;
	return rate <= most && *burst <= most;
}

COLD bool blklimit_fill_defaults(struct blklimit_rates *rates)
{
	return blklimit_fill_burst(rates->iops, &rates->iops_burst, BLKLIMIT_IOPS_MAX) &&
	       blklimit_fill_burst(rates->bps, &rates->bps_burst, BLKLIMIT_BPS_MAX);
}

static void blklimit_set_bucket(struct blklimit_bucket *b, uint64_t rate, uint64_t burst,
				uint64_t now)
{
	WRITE_ONCE(b->burst_ns, rate ? blklimit_span(burst, rate) : 0);
	WRITE_ONCE(b->rate, rate);
	/*
	 * Pairs with the acquire in blklimit_take_from: a taker whose compare-and-swap replaces
	 * this full_at has seen the new rate. A taker that used an older rate has an older full_at,
	 * so that its compare-and-swap fails and it starts again.
	 */
	STORE_RELEASE(b->full_at, now);
}

COLD void blklimit_set(struct blklimit *limit, const struct blklimit_rates *rates, uint64_t now)
{
	WRITE_ONCE(limit->rates.iops, rates->iops);
	WRITE_ONCE(limit->rates.iops_burst, rates->iops_burst);
	WRITE_ONCE(limit->rates.bps, rates->bps);
	WRITE_ONCE(limit->rates.bps_burst, rates->bps_burst);
	blklimit_set_bucket(&limit->ops, rates->iops, rates->iops_burst, now);
	blklimit_set_bucket(&limit->bytes, rates->bps, rates->bps_burst, now);
}

void blklimit_get(const struct blklimit *limit, struct blklimit_rates *rates)
{
	*rates = (struct blklimit_rates){
		.iops = READ_ONCE(limit->rates.iops),
		.iops_burst = READ_ONCE(limit->rates.iops_burst),
		.bps = READ_ONCE(limit->rates.bps),
		.bps_burst = READ_ONCE(limit->rates.bps_burst),
	};
}

bool blklimit_any(const struct blklimit *limit)
{
	return READ_ONCE(limit->ops.rate) || READ_ONCE(limit->bytes.rate);
}

/* blklimit_next_ns for one bucket. */
static uint64_t blklimit_bucket_due(const struct blklimit_bucket *b, uint64_t now)
{
	uint64_t rate = READ_ONCE(b->rate);
	uint64_t burst = READ_ONCE(b->burst_ns);
	uint64_t full_at = READ_ONCE(b->full_at);
	uint64_t one, rest;

	if (!rate)
		return 0;
	one = blklimit_span(1, rate);
	if (full_at + one <= now + burst)
		return 0;
	rest = one > BLKLIMIT_REFILL_NS ? one : BLKLIMIT_REFILL_NS;
	return full_at + (rest < burst ? rest : burst) - burst;
}

uint64_t blklimit_next_ns(const struct blklimit *limit, uint64_t now)
{
	uint64_t ops = blklimit_bucket_due(&limit->ops, now);
	uint64_t bytes = blklimit_bucket_due(&limit->bytes, now);

	return ops > bytes ? ops : bytes;
}

static void blklimit_take_from(struct blklimit_bucket *b, uint64_t tokens, uint64_t now)
{
	/* Pairs with the release in blklimit_set_bucket. */
	uint64_t full_at = LOAD_ACQUIRE(b->full_at);
	uint64_t rate, next;

	do {
		rate = READ_ONCE(b->rate);
		if (!rate || !tokens)
			return;
		next = (full_at > now ? full_at : now) + blklimit_span(tokens, rate);
		if (next > 2 * SPAN_MAX)
			next = 2 * SPAN_MAX;
	} while (!__atomic_compare_exchange_n(&b->full_at, &full_at, next, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
}

void blklimit_take(struct blklimit *limit, const struct io_task *task, uint64_t now)
{
	uint64_t ops = 1, bytes = 0;

	if (task && (task->op == IO_READ || task->op == IO_WRITE))
		bytes = task->len;
	if (task && task->op > IO_FLUSH)
		ops = task->range_count;
	if (task && task->op == IO_WRITE_ZEROES)
		for (unsigned int i = 0; i < task->range_count; i++)
			bytes += task->range[i].len;
	blklimit_take_from(&limit->ops, ops, now);
	blklimit_take_from(&limit->bytes, bytes, now);
}
