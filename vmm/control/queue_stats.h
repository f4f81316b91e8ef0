/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue_stats: the statistics of a queue as tables, from which each format follows.
 *
 * A table is a macro that applies X to its rows: X(member, key, text, metric, what). `member` is
 * the member of the struct in dataplane/blkstats.h, and `key` that of the JSON object. In a line of
 * text, `text` follows the number. `metric` is Prometheus's name and `what` its description; NULL:
 * microvm-ctl derives the metric from another row or a histogram. The lines of --stats and of
 * microvm-ctl, the JSON of the control socket and Prometheus's format expand the tables, each with
 * the columns that it shows.
 */
#ifndef VMM_CONTROL_QUEUE_STATS_H
#define VMM_CONTROL_QUEUE_STATS_H

#include <inttypes.h>

/* clang-format off */
/* Counters of a queue, struct blkplane_stats. */
#define QUEUE_COUNTERS(X) \
	X(requests, "requests", " requests in ", NULL, NULL) \
	X(batches, "batches", " batches, ", NULL, NULL) \
	X(kicks, "kicks", " kicks, ", \
	  "microvm_queue_kicks_total", "Times the doorbell woke the thread.") \
	X(interrupts, "interrupts", " interrupts, ", \
	  "microvm_queue_interrupts_total", "Interrupts raised for used elements.") \
	X(suppressed, "suppressed", " suppressed, ", \
	  "microvm_queue_interrupts_suppressed_total", "Interrupts that the driver suppressed.") \
	X(sleeps, "sleeps", " sleeps, ", \
	  "microvm_queue_sleeps_total", "Times the thread enabled the doorbell.") \
	X(poll_hits, "poll-hits", " poll hits, ", \
	  "microvm_queue_poll_hits_total", "Times busy-polling found work.") \
	X(throttled, "throttled", " throttled", \
	  "microvm_queue_throttled_total", "Times the disk's limits delayed requests.")

/* Counters of one type of request, struct blkstats_op. */
#define OPERATION_COUNTERS(X) \
	X(requests, "requests", " requests, ", \
	  "microvm_requests_total", "Requests finished, successfully or not.") \
	X(failed, "failed", " failed, ", \
	  "microvm_requests_failed_total", "Requests failed or unsupported.") \
	X(bytes, "bytes", " bytes", \
	  "microvm_bytes_total", "Bytes of successful requests.")

/* Histograms of a queue, struct blkplane_latency. */
#define QUEUE_TIMES(X) \
	X(ring, "ring", "in the ring, before the engine", \
	  "microvm_ring_seconds", "Time in the ring before the engine.") \
	X(answer, "answer", "after the engine, until the driver is notified", \
	  "microvm_answer_seconds", "Time from the engine to the notification of the driver.")
/* clang-format on */

/* The rows' part of a printf format. */
#define COUNTER_FORMAT(member, key, text, metric, what) "%" PRIu64 text

#endif
