/* SPDX-License-Identifier: BSD-3-Clause */
/* The statistics of queues in Prometheus's text exposition format, version 0.0.4. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/control/queue_stats.h"
#include "vmm/ctl/members.h"
#include "vmm/ctl/show.h"

/* The bounds of time histograms are the powers of two from 2^FIRST_LOG to 2^LAST_LOG, in ns. */
#define FIRST_LOG 10
#define LAST_LOG  34

static void head(const char *name, const char *type, const char *what)
{
	printf("# HELP %s %s\n# TYPE %s %s\n", name, what, name, type);
}

/* Prints a sample's name and labels, without the closing brace. */
static void labels(const char *name, const char *suffix, struct json_object *queue, const char *op)
{
	printf("%s%s{disk=\"%" PRIu64 "\",queue=\"%" PRIu64 "\"", name, suffix,
	       number(queue, "disk"), number(queue, "queue"));
	if (op)
		printf(",op=\"%s\"", op);
}

static void sample(const char *name, struct json_object *queue, const char *op, uint64_t value)
{
	labels(name, "", queue, op);
	printf("} %" PRIu64 "\n", value);
}

/* Prints `ns` in seconds. */
static void put_seconds(uint64_t ns)
{
	printf("%" PRIu64 ".%09" PRIu64, ns / 1000000000, ns % 1000000000);
}

static void bucket_end(const char *bound, uint64_t count)
{
	printf("%s\"} %" PRIu64 "\n", bound, count);
}

static void times(const char *name, struct json_object *queue, const char *op,
		  struct json_object *histogram)
{
	struct json_object *buckets = member(histogram, "buckets"), *one;
	uint64_t count = 0;
	size_t next = 0;

	for (unsigned int log = FIRST_LOG; log <= LAST_LOG; log++) {
		for (; next < length(buckets); next++) {
			one = element(buckets, next);
			if (!element(one, 0) ||
			    json_object_get_uint64(element(one, 0)) > UINT64_C(1) << log)
				break;
			count += json_object_get_uint64(element(one, 1));
		}
		labels(name, "_bucket", queue, op);
		printf(",le=\"");
		put_seconds(UINT64_C(1) << log);
		bucket_end("", count);
	}
	labels(name, "_bucket", queue, op);
	printf(",le=\"");
	bucket_end("+Inf", number(histogram, "count"));
	labels(name, "_sum", queue, op);
	printf("} ");
	put_seconds(number(histogram, "sum"));
	printf("\n");
	labels(name, "_count", queue, op);
	printf("} %" PRIu64 "\n", number(histogram, "count"));
}

/* A member of the JSON result, and the metric that shows it; name NULL: no metric shows it. */
struct metric {
	const char *key, *name, *what;
};

#define METRIC(field, key, text, name, what) { key, name, what },

static const struct metric of_queues[] = { QUEUE_COUNTERS(METRIC) };
static const struct metric of_operations[] = { OPERATION_COUNTERS(METRIC) };
static const struct metric of_times[] = { QUEUE_TIMES(METRIC) };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void show_queues(struct json_object *queues, const struct metric *metric)
{
	if (!metric->name)
		return;
	head(metric->name, "counter", metric->what);
	for (size_t i = 0; i < length(queues); i++) {
		struct json_object *q = element(queues, i);

		sample(metric->name, q, NULL, number(q, metric->key));
	}
}

static void show_operations(struct json_object *queues, const struct metric *metric)
{
	head(metric->name, "counter", metric->what);
	for (size_t i = 0; i < length(queues); i++) {
		struct json_object *q = element(queues, i);

		json_object_object_foreach(members(member(q, "operations")), op, counters)
			sample(metric->name, q, op, number(counters, metric->key));
	}
}

static void show_batches(struct json_object *queues)
{
	static const char name[] = "microvm_batch_requests";

	head(name, "histogram", "Requests popped in one batch.");
	for (size_t i = 0; i < length(queues); i++) {
		struct json_object *q = element(queues, i);
		struct json_object *sizes = member(q, "batch-sizes");
		uint64_t count = 0;

		for (size_t k = 0; k < length(sizes); k++) {
			count += json_object_get_uint64(element(sizes, k));
			labels(name, "_bucket", q, NULL);
			printf(",le=\"%u", (2u << k) - 1);
			bucket_end("", count);
		}
		/* The sum of the buckets is printed in place of "batches", which may be newer:
		 * le="+Inf" and _count have to agree. */
		labels(name, "_bucket", q, NULL);
		printf(",le=\"");
		bucket_end("+Inf", count);
		labels(name, "_sum", q, NULL);
		printf("} %" PRIu64 "\n", number(q, "requests"));
		labels(name, "_count", q, NULL);
		printf("} %" PRIu64 "\n", count);
	}
}

static void show_latency(struct json_object *queues)
{
	static const char engine[] = "microvm_engine_seconds";

	for (size_t m = 0; m < COUNT(of_times); m++) {
		head(of_times[m].name, "histogram", of_times[m].what);
		for (size_t i = 0; i < length(queues); i++) {
			struct json_object *q = element(queues, i);

			times(of_times[m].name, q, NULL,
			      member(member(q, "latency"), of_times[m].key));
		}
	}
	head(engine, "histogram", "Time in the engine.");
	for (size_t i = 0; i < length(queues); i++) {
		struct json_object *q = element(queues, i);

		json_object_object_foreach(members(member(member(q, "latency"), "engine")), op,
					   histogram) times(engine, q, op, histogram);
	}
}

void show_prometheus(struct json_object *result)
{
	struct json_object *queues = member(result, "queues");

	for (size_t i = 0; i < COUNT(of_operations); i++)
		show_operations(queues, &of_operations[i]);
	for (size_t i = 0; i < COUNT(of_queues); i++)
		show_queues(queues, &of_queues[i]);
	show_batches(queues);
	if (length(queues) && member(element(queues, 0), "latency"))
		show_latency(queues);
}
