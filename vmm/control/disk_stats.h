/* SPDX-License-Identifier: BSD-3-Clause */
/* disk_stats: the statistics of a disk's queues, for the log and for the control socket; its limits. */
#ifndef VMM_CONTROL_DISK_STATS_H
#define VMM_CONTROL_DISK_STATS_H

struct blk;
struct blk_config;
struct json_object;

/* Logs the statistics of each queue (--stats). Any thread. */
void disk_stats_print(const struct blk_config *config, struct blk *blk);

/* Adds the statistics of each queue to the array `queues`, for the stats command; `disk` is the
 * disk's number. Any thread. */
void disk_stats_put(struct json_object *queues, struct blk *blk, unsigned int disk);

/* Returns the disk's rate limits as an object, without members for limits that are not set. Any
 * thread. */
struct json_object *disk_stats_limits(const struct blk *blk);

#endif
