/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that measures a disk (tools/blkbench runs it) by requests of one size at a fixed queue
 * depth. Options on its command line:
 *
 *	op=read|write|randrw	default read; randrw is half of each. Random in the span, or
 *	seq=1			sequential
 *	bs=BYTES depth=N	default 4096, 1; powers of two, depth up to 256
 *	span=BYTES		range from the start of the disk; default all of it
 *	seconds=N | requests=N	length; default 1 s. A tenth of that precedes as warm-up
 *	mode=poll|irq		how the driver waits; default poll
 *	indirect=0|1		indirect tables; default only if the ring is short
 *	event_idx=0		not negotiated; ring=N: its size, default 256
 *	verify=1		check a pattern on reads, write it on writes. This takes time
 *	wait=1			wait for a byte on the serial port after `begin` and `end`
 *	tsc_khz=N		frequency of the clock, where the guest cannot find it out
 *
 * The measured requests run between the lines `begin` and `end`; none is in flight when a line is
 * printed. Then follows one line, `result key=value...`, with latencies in nanoseconds.
 */
#include "guest/bare/blkbench.h"

#define NEVER UINT64_MAX

static struct bench b;
static uint64_t tsc_khz;

static bool is(const char *key, const char *value)
{
	const char *s = option(key, 0);

	return s && begins(s, value) && (s[strlen(value)] == ' ' || !s[strlen(value)]);
}

static uint64_t number(const char *key, uint64_t otherwise)
{
	const char *s = option(key, 0);

	return s ? parse_number(s, &s) : otherwise;
}

static uint64_t nanoseconds(uint64_t ticks)
{
	return ticks * 1000 / tsc_khz * 1000 + ticks * 1000 % tsc_khz * 1000 / tsc_khz;
}

/*
 * Returns the middle of the first bucket up to which at least of_million millionths of the requests
 * lie.
 */
static uint64_t percentile(uint64_t of_million)
{
	uint64_t want = (b.done * of_million + 999999) / 1000000, seen = 0, ticks = 0;

	for (unsigned int i = 0; i < BUCKETS && seen < want; i++) {
		unsigned int shift = i < 2 * SUBS ? 0 : i / SUBS - 1;

		seen += b.bucket[i];
		ticks = (((uint64_t)i - shift * SUBS) << shift) + (1ull << shift) / 2;
	}
	return nanoseconds(ticks < b.longest ? ticks : b.longest);
}

/* Prints a milestone, and with wait=1 waits until the tool on the host has read its clocks. */
static void milestone(const char *name)
{
	say("%s\n", name);
	if (is("wait=", "1"))
		while (arch_getc() < 0)
			arch_relax();
}

static void say_each(const char *name, uint64_t count)
{
	say(" %s=%lu.%04lu", name, count / b.done, count % b.done * 10000 / b.done);
}

static void report(uint64_t irqs)
{
	uint64_t ns = nanoseconds(b.ticks);

	say("result iops=%lu requests=%lu seconds=%lu.%06lu", b.counted * 1000000 / (ns / 1000 + 1),
	    b.done, ns / 1000000000, ns / 1000 % 1000000);
	say(" p50=%lu p99=%lu p999=%lu max=%lu", percentile(500000), percentile(990000),
	    percentile(999000), nanoseconds(b.longest));
	say_each("kicks", b.kicks);
	say_each("irqs", irqs);
	say(" errors=%lu\n", b.errors);
}

/* Finds the first disk; some machines have transports without a device. */
static void find(void)
{
	uint64_t base;
	uint32_t gsi;

	for (unsigned int i = 0; arch_device(i, &base, &gsi); i++)
		if (device_probe(&b.d, i))
			return;
	bare_skip("no disk");
}

static void choose(void)
{
	uint64_t span;

	b.mixed = is("op=", "randrw");
	b.type = is("op=", "write") ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	b.interrupts = is("mode=", "irq");
	b.sequential = is("seq=", "1");
	b.verify = is("verify=", "1");
	b.bytes = (uint32_t)number("bs=", PAGE);
	b.depth = (unsigned int)number("depth=", 1);
	check(b.mixed || !option("op=", 0) || is("op=", "read") || is("op=", "write"));
	check(b.interrupts || !option("mode=", 0) || is("mode=", "poll"));
	check(b.depth >= 1 && b.depth <= DEPTH_MAX);
	check(b.bytes >= SECTOR && b.bytes <= 1u << 20 && !(b.bytes & (b.bytes - 1)));
	b.block_shift = (unsigned int)__builtin_ctz(b.bytes / SECTOR);
	find();
	/* The configuration space is read after FEATURES_OK. */
	device_negotiate(&b.d, 0);
	span = number("span=", b.d.space.capacity * SECTOR);
	check(span <= b.d.space.capacity * SECTOR);
	b.blocks = span / b.bytes;
	check(b.blocks > 0 && b.blocks < 1ull << 32);
}

TEST(blkbench)
{
	uint64_t requests, ticks, ring_size, irqs;
	bool indirect;

	tsc_khz = number("tsc_khz=", arch_khz);
	check(tsc_khz > 0);
	choose();
	ring_size = number("ring=", QUEUE_MAX);
	check(ring_size <= reg_read(&b.d, VIRTIO_MMIO_QUEUE_NUM_MAX));
	indirect = 3 * b.depth > ring_size || is("indirect=", "1");
	check(b.depth <= ring_size && !(indirect && is("indirect=", "0")));
	bench_prepare(&b, (uint16_t)ring_size, indirect, !is("event_idx=", "0"));

	requests = number("requests=", NEVER);
	ticks = option("requests=", 0) ? NEVER / 2 : number("seconds=", 1) * tsc_khz * 1000;
	bench_phase(&b, requests == NEVER ? NEVER : requests / 10 + 1, ticks / 10);
	milestone("begin");
	irqs = irq_count[0];
	bench_phase(&b, requests, ticks);
	irqs = irq_count[0] - irqs;
	milestone("end");
	report(irqs);
	check(b.errors == 0);
	device_reset(&b.d);
}
