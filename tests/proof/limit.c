/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: blklimit_next_ns, blklimit_take
 * Bounds: any rates, bursts and times below 146 years; any earlier state; any request of up to 2
 *   ranges; without other threads; the division in blklimit_span is replaced by its result: any
 *   span from 1 ns to SPAN_MAX
 * Properties: no sum wraps, unsigned ones included; a wait ends in the future, and at its end a
 *   request may be popped: no wait is in vain; a charge moves a bucket's time forward by the span
 *   of the tokens; each request is charged once per bucket, by its operations and bytes
 * Section: none
 */
#include "tests/proof/proof.h"

#include <sys/uio.h>

/* Spans of one token, and of a charge, at the rate of the bucket at hand. */
static uint64_t one_token, charged;
static uint64_t tokens_charged[2];
static unsigned int charges;

static uint64_t blklimit_span(uint64_t tokens, uint64_t rate);

#include "dataplane/blklimit.c"

static uint64_t blklimit_span(uint64_t tokens, uint64_t rate)
{
	prove(tokens && rate, "a span of tokens at a rate");
	if (charges < 2 && tokens_charged[0] != UINT64_MAX)
		tokens_charged[charges++] = tokens;
	return charges ? charged : one_token;
}

/* Any bucket that has a rate, with what holds after blklimit_set and any charges. */
static void any_bucket(struct blklimit_bucket *b)
{
	*b = ANY(struct blklimit_bucket);
	one_token = ANY(uint64_t);
	assume(b->rate && one_token && one_token <= b->burst_ns && b->burst_ns <= SPAN_MAX);
	assume(b->full_at <= 2 * SPAN_MAX);
}

static void due(void)
{
	struct blklimit_bucket b;
	uint64_t now = ANY(uint64_t), at;

	any_bucket(&b);
	assume(now < SPAN_MAX);
	tokens_charged[0] = UINT64_MAX;
	at = blklimit_bucket_due(&b, now);
	prove(!at || at > now, "a wait ends in the future");
	prove(at <= 2 * SPAN_MAX, "a wait ends");
	prove(!at || at >= SPAN_MAX || !blklimit_bucket_due(&b, at), "no wait is in vain");
	tokens_charged[0] = 0;
}

static void charge(void)
{
	struct blklimit limit;
	struct io_task task;
	struct blklimit_bucket ops, bytes;
	uint64_t now = ANY(uint64_t), expected;
	bool none = ANY(bool);

	any_bucket(&limit.ops);
	any_bucket(&limit.bytes);
	if (ANY(bool))
		limit.bytes.rate = 0;
	ops = limit.ops;
	bytes = limit.bytes;
	charged = ANY(uint64_t);
	assume(now < SPAN_MAX && charged && charged <= SPAN_MAX);
	assume((unsigned int)task.op < IO_OPS && task.range_count >= 1 && task.range_count <= 2 &&
	       task.len);

	blklimit_take(&limit, none ? NULL : &task, now);

	prove(limit.ops.full_at >= ops.full_at && limit.bytes.full_at >= bytes.full_at,
	      "time does not go back");
	prove(limit.ops.full_at <= 2 * SPAN_MAX && limit.bytes.full_at <= 2 * SPAN_MAX,
	      "nor beyond what a sum can hold");
	prove(limit.ops.full_at == 2 * SPAN_MAX ||
		      limit.ops.full_at == (ops.full_at > now ? ops.full_at : now) + charged,
	      "one charge");
	prove(tokens_charged[0] == (none || task.op <= IO_FLUSH ? 1 : task.range_count),
	      "one operation, or one for each range");
	if (none || task.op == IO_FLUSH || task.op == IO_DISCARD)
		expected = 0;
	else if (task.op == IO_WRITE_ZEROES)
		expected = (uint64_t)task.range[0].len +
			   (task.range_count == 2 ? task.range[1].len : 0);
	else
		expected = task.len;
	if (limit.bytes.rate && expected)
		prove(charges == 2 && tokens_charged[1] == expected, "the bytes, once");
	else
		prove(charges == 1 && limit.bytes.full_at == bytes.full_at, "no bytes");
}

int main(void)
{
	due();
	charge();
}
