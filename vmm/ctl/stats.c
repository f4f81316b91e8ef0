/* SPDX-License-Identifier: BSD-3-Clause */
/* The statistics of queues as a table for people. */
#include <inttypes.h>
#include <stdio.h>

#include "vmm/control/queue_stats.h"
#include "vmm/ctl/members.h"
#include "vmm/ctl/show.h"

/* Prints a quantile of `histogram` with up to three digits and a unit; "-" if it is empty. */
static void show_time(struct json_object *histogram, const char *key)
{
	static const char *const units[] = { "us", "ms", "s" };
	double t = (double)number(histogram, key) / 1e3;
	unsigned int unit = 0;

	while (t >= 999.5 && unit < 2) {
		t /= 1e3;
		unit++;
	}
	if (number(histogram, "count"))
		printf(" %7.*f %-2s", t < 9.95 ? 1 : 0, t, units[unit]);
	else
		printf(" %7s   ", "-");
}

static void show_times(struct json_object *histogram)
{
	show_time(histogram, "p50");
	show_time(histogram, "p99");
	show_time(histogram, "p99.9");
}

#define SHOW_TIMES(field, key, text, metric, what) \
	printf("  %-54s", text);                   \
	show_times(member(latency, key));          \
	printf("\n");

static void show_operations(struct json_object *queue, struct json_object *latency)
{
	struct json_object *engine = member(latency, "engine");

	printf("  %-13s %12s %10s %16s%s\n", "", "requests", "failed", "bytes",
	       latency ? "        p50        p99      p99.9" : "");
	json_object_object_foreach(members(member(queue, "operations")), name, op)
	{
		if (!number(op, "requests"))
			continue;
		printf("  %-13s %12" PRIu64 " %10" PRIu64 " %16" PRIu64, name,
		       number(op, "requests"), number(op, "failed"), number(op, "bytes"));
		if (member(engine, name))
			show_times(member(engine, name));
		printf("\n");
	}
	if (!latency)
		return;
	QUEUE_TIMES(SHOW_TIMES)
}

static void show_batches(struct json_object *sizes)
{
	const char *between = "  batches of";

	for (size_t i = 0; i < length(sizes); i++) {
		uint64_t count = json_object_get_uint64(element(sizes, i));

		if (!count)
			continue;
		if (i)
			printf("%s %u-%u: %" PRIu64, between, 1u << i, (2u << i) - 1, count);
		else
			printf("%s 1: %" PRIu64, between, count);
		between = ",";
	}
	printf("\n");
}

/* The arguments of a format that is made with COUNTER_FORMAT, from the object `q`. */
#define COUNTER_VALUE(field, key, text, metric, what) , number(q, key)

void show_stats(struct json_object *result)
{
	struct json_object *queues = member(result, "queues");

	for (size_t i = 0; i < length(queues); i++) {
		struct json_object *q = element(queues, i);

		printf("disk %" PRIu64 ", queue %" PRIu64 ": " QUEUE_COUNTERS(COUNTER_FORMAT) "\n",
		       number(q, "disk"), number(q, "queue") QUEUE_COUNTERS(COUNTER_VALUE));
		if (!number(q, "requests"))
			continue;
		show_batches(member(q, "batch-sizes"));
		show_operations(q, member(q, "latency"));
	}
}
