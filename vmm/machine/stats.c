/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics of the disks' queues: as lines of the log, and as the JSON of the control socket. */
#include <json-c/json.h>
#include <stdio.h>

#include "dataplane/base.h"
#include "dataplane/blkstats.h"
#include "vmm/machine/internal.h"

typedef unsigned long long ull;

/* ---- for the log ---- */

/* Writes the quantiles p50, p99 and p99.9 in microseconds, like "12.3, 45.6, 78.9". */
static const char *quantiles(const struct latency *l, char text[80])
{
	snprintf(text, 80, "%.1f, %.1f, %.1f", (double)latency_quantile(l, 500) / 1e3,
		 (double)latency_quantile(l, 990) / 1e3, (double)latency_quantile(l, 999) / 1e3);
	return text;
}

static void print_op(const char *path, unsigned int queue, enum blkreq_kind kind,
		     const struct blkstats_op *op, const struct latency *engine)
{
	char text[80];

	if (!op->requests)
		return;
	log_info("--disk %.200s, queue %u: %s: %llu requests, %llu failed, %llu bytes%s%s", path,
		 queue, blkstats_name(kind), (ull)op->requests, (ull)op->failed, (ull)op->bytes,
		 engine ? "; p50, p99, p99.9 at the host in us: " : "",
		 engine ? quantiles(engine, text) : "");
}

static void print_queue(const char *path, unsigned int queue, const struct blkplane_stats *s,
			const struct blkplane_latency *l)
{
	char ring[80], answer[80];

	log_info("--disk %.200s, queue %u: %llu requests in %llu batches, %llu kicks, %llu "
		 "interrupts, %llu suppressed, %llu sleeps, %llu poll hits, %llu throttled",
		 path, queue, (ull)s->requests, (ull)s->batches, (ull)s->kicks, (ull)s->interrupts,
		 (ull)s->suppressed, (ull)s->sleeps, (ull)s->poll_hits, (ull)s->throttled);
	for (unsigned int i = 0; i < BLKREQ_KINDS; i++)
		print_op(path, queue, i, &s->op[i], l && i < IO_OPS ? &l->engine[i] : NULL);
	if (l && s->requests)
		log_info("--disk %.200s, queue %u: p50, p99, p99.9 in us: in the ring %s; to "
			 "notify the driver %s",
			 path, queue, quantiles(&l->ring, ring), quantiles(&l->answer, answer));
}

void machine_print_stats(const struct blk_config *config, struct blk *blk)
{
	struct blkplane_latency latency;
	struct blkplane_stats s;

	for (unsigned int i = 0; i < blk_virtio(blk)->queue_count; i++) {
		blk_stats(blk, i, &s);
		print_queue(config->path, i, &s, blk_latency(blk, i, &latency) ? &latency : NULL);
	}
}

/* ---- for the control socket ---- */

/* Returns an array of [upper bound in ns (null: none), count] for each bucket that is not
 * empty. Four buckets of struct latency make one here, except the first and the last, which
 * stand alone. */
static struct json_object *buckets(const struct latency *l)
{
	struct json_object *all = json_object_new_array(), *one;

	for (unsigned int i = 0; i < LATENCY_BUCKETS;) {
		unsigned int last = i && i < LATENCY_BUCKETS - 1 ? i + 3 : i;
		uint64_t count = 0;

		while (i <= last)
			count += l->bucket[i++];
		if (!count)
			continue;
		one = json_object_new_array();
		if (last < LATENCY_BUCKETS - 1)
			control_put_number(one, NULL, latency_bound(last));
		else
			json_object_array_add(one, NULL);
		control_put_number(one, NULL, count);
		control_put(all, NULL, one);
	}
	return all;
}

static struct json_object *histogram(const struct latency *l)
{
	struct json_object *object = json_object_new_object();

	control_put_number(object, "count", latency_count(l));
	control_put_number(object, "sum", l->sum);
	control_put_number(object, "p50", latency_quantile(l, 500));
	control_put_number(object, "p99", latency_quantile(l, 990));
	control_put_number(object, "p99.9", latency_quantile(l, 999));
	control_put(object, "buckets", buckets(l));
	return object;
}

static struct json_object *latency_object(const struct blkplane_latency *l)
{
	struct json_object *object = json_object_new_object();
	struct json_object *engine = json_object_new_object();

	for (unsigned int i = 0; i < IO_OPS; i++)
		control_put(engine, blkstats_name(i), histogram(&l->engine[i]));
	control_put(object, "ring", histogram(&l->ring));
	control_put(object, "engine", engine);
	control_put(object, "answer", histogram(&l->answer));
	return object;
}

static struct json_object *operations(const struct blkplane_stats *s)
{
	struct json_object *object = json_object_new_object();

	for (unsigned int i = 0; i < BLKREQ_KINDS; i++) {
		struct json_object *op = json_object_new_object();

		control_put_number(op, "requests", s->op[i].requests);
		control_put_number(op, "failed", s->op[i].failed);
		control_put_number(op, "bytes", s->op[i].bytes);
		control_put(object, blkstats_name(i), op);
	}
	return object;
}

static struct json_object *queue_object(const struct blk *blk, unsigned int disk,
					unsigned int queue)
{
	struct json_object *object = json_object_new_object();
	struct json_object *sizes = json_object_new_array();
	struct blkplane_latency latency;
	struct blkplane_stats s;

	blk_stats(blk, queue, &s);
	control_put_number(object, "disk", disk);
	control_put_number(object, "queue", queue);
	control_put_number(object, "requests", s.requests);
	control_put_number(object, "batches", s.batches);
	control_put_number(object, "interrupts", s.interrupts);
	control_put_number(object, "sleeps", s.sleeps);
	control_put_number(object, "throttled", s.throttled);
	control_put_number(object, "kicks", s.kicks);
	control_put_number(object, "suppressed", s.suppressed);
	control_put_number(object, "poll-hits", s.poll_hits);
	for (unsigned int i = 0; i < BLKSTATS_BATCHES; i++)
		control_put_number(sizes, NULL, s.batch[i]);
	control_put(object, "batch-sizes", sizes);
	control_put(object, "operations", operations(&s));
	if (blk_latency(blk, queue, &latency))
		control_put(object, "latency", latency_object(&latency));
	return object;
}

struct json_object *machine_stats_object(const struct machine *m)
{
	struct json_object *object = json_object_new_object();
	struct json_object *queues = json_object_new_array();

	for (unsigned int i = 0; i < m->disk_count; i++)
		for (unsigned int q = 0; q < blk_virtio(m->disk[i].blk)->queue_count; q++)
			control_put(queues, NULL, queue_object(m->disk[i].blk, i, q));
	control_put(object, "queues", queues);
	return object;
}
