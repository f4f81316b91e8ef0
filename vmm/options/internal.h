/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of the command line parser that its files share. They are for vmm/options/ alone, except
 * for options_limit(), which microvm-ctl uses to check the limits of a disk.
 */
#ifndef VMM_OPTIONS_INTERNAL_H
#define VMM_OPTIONS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/text.h"

struct blk_config;
struct blklimit_rates;

/*
 * FILE[,key=value...], cut up in place, into *disk. Returns NULL, or why not (a static string, or
 * `why`), and then in `shown` the part that will not do.
 */
const char *options_disk(struct blk_config *disk, char *text, char shown[SHOWN_MAX],
			 char why[WHY_MAX]);

/* The values of queues, iothreads and cpus into *disk. False: not one. */
bool options_set_queues(struct blk_config *disk, const char *value);
bool options_set_iothreads(struct blk_config *disk, const char *value);
bool options_set_cpus(struct blk_config *disk, const char *value);

/* One of a disk's limits, iops, iops-burst, bps or bps-burst, into *limits. False: not one. */
bool options_limit(struct blklimit_rates *limits, const char *key, const char *value);

/* What stops the VM needs somebody who has it go on: is there a control socket? Returns NULL, or what
 * does not fit. */
const char *options_settle_errors(struct blk_config *disk, bool control);

/* When all is known: what was not given is filled in. Returns NULL, or `why`: what does not fit. */
const char *options_settle_queues(struct blk_config *disk, unsigned int vcpus, char why[WHY_MAX]);

#endif
