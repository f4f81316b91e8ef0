/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/control/disk_stats.h"

#include <json-c/json.h>
#include <stdio.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "dataplane/blkstats.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/virtio.h"
#include "vmm/control/protocol.h"
#include "vmm/control/queue_stats.h"

/* The arguments of a format that is made with COUNTER_FORMAT, from the struct at `from`. */
#define COUNTER_VALUE(member, key, text, metric, what) , from->member

/* Adds a counter of the struct at `from` to the JSON object `object`. */
#define PUT_COUNTER(member, key, text, metric, what) control_put_number(object, key, from->member);
/* Adds a histogram of the struct at `from` to the JSON object `object`. */
#define PUT_TIMES(member, key, text, metric, what) \
	control_put(object, key, histogram(&from->member));

/* ---- for the log ---- */

/* Writes the quantiles p50, p99 and p99.9 in microseconds, like "12.3, 45.6, 78.9". */
static const char *quantiles(const struct latency *l, char text[80])
{
	snprintf(text, 80, "%.1f, %.1f, %.1f", (double)latency_quantile(l, 500) / 1e3,
		 (double)latency_quantile(l, 990) / 1e3, (double)latency_quantile(l, 999) / 1e3);
	return text;
}

static void print_op(const char *path, unsigned int queue, enum blkreq_kind kind,
		     const struct blkstats_op *from, const struct latency *engine)
{
	char text[80];

	if (!from->requests)
		return;
	log_info("--disk %.200s, queue %u: %s: " OPERATION_COUNTERS(COUNTER_FORMAT) "%s%s", path,
		 queue, blkstats_name(kind) OPERATION_COUNTERS(COUNTER_VALUE),
		 engine ? "; p50, p99, p99.9 at the host in us: " : "",
		 engine ? quantiles(engine, text) : "");
}

static void print_queue(const char *path, unsigned int queue, const struct blkplane_stats *from,
			const struct blkplane_latency *l)
{
	char ring[80], answer[80];

	log_info("--disk %.200s, queue %u: " QUEUE_COUNTERS(COUNTER_FORMAT), path,
		 queue QUEUE_COUNTERS(COUNTER_VALUE));
	for (unsigned int i = 0; i < BLKREQ_KINDS; i++)
		print_op(path, queue, i, &from->op[i], l && i < IO_OPS ? &l->engine[i] : NULL);
	if (l && from->requests)
		log_info("--disk %.200s, queue %u: p50, p99, p99.9 in us: in the ring %s; to "
			 "notify the driver %s",
			 path, queue, quantiles(&l->ring, ring), quantiles(&l->answer, answer));
}

void disk_stats_print(const struct blk_config *config, struct blk *blk)
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
 * empty. Four buckets of struct latency are merged into one, except the first and the last,
 * which are not merged. */
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

static struct json_object *latency_object(const struct blkplane_latency *from)
{
	struct json_object *object = json_object_new_object();
	struct json_object *engine = json_object_new_object();

	for (unsigned int i = 0; i < IO_OPS; i++)
		control_put(engine, blkstats_name(i), histogram(&from->engine[i]));
	control_put(object, "engine", engine);
	QUEUE_TIMES(PUT_TIMES)
	return object;
}

static struct json_object *operations(const struct blkplane_stats *s)
{
	struct json_object *all = json_object_new_object();

	for (unsigned int i = 0; i < BLKREQ_KINDS; i++) {
		struct json_object *object = json_object_new_object();
		const struct blkstats_op *from = &s->op[i];

		OPERATION_COUNTERS(PUT_COUNTER)
		control_put(all, blkstats_name(i), object);
	}
	return all;
}

static struct json_object *queue_object(const struct blk *blk, unsigned int disk,
					unsigned int queue)
{
	struct json_object *object = json_object_new_object();
	struct json_object *sizes = json_object_new_array();
	struct blkplane_latency latency;
	struct blkplane_stats s, *from = &s;

	blk_stats(blk, queue, &s);
	control_put_number(object, "disk", disk);
	control_put_number(object, "queue", queue);
	QUEUE_COUNTERS(PUT_COUNTER)
	for (unsigned int i = 0; i < BLKSTATS_BATCHES; i++)
		control_put_number(sizes, NULL, s.batch[i]);
	control_put(object, "batch-sizes", sizes);
	control_put(object, "operations", operations(&s));
	if (blk_latency(blk, queue, &latency))
		control_put(object, "latency", latency_object(&latency));
	return object;
}

void disk_stats_put(struct json_object *queues, struct blk *blk, unsigned int disk)
{
	for (unsigned int i = 0; i < blk_virtio(blk)->queue_count; i++)
		control_put(queues, NULL, queue_object(blk, disk, i));
}

struct json_object *disk_stats_limits(const struct blk *blk)
{
	struct json_object *object = json_object_new_object();
	struct blklimit_rates limits;

	blk_limits(blk, &limits);
	if (limits.iops) {
		control_put_number(object, "iops", limits.iops);
		control_put_number(object, "iops-burst", limits.iops_burst);
	}
	if (limits.bps) {
		control_put_number(object, "bps", limits.bps);
		control_put_number(object, "bps-burst", limits.bps_burst);
	}
	return object;
}
