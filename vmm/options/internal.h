/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Internal interface of the command line parser.
 * Only vmm/options/ uses it, except for options_limit(): microvm-ctl checks a disk's limits
 * with it.
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
 * Parses `text`, FILE[,key=value...], into *disk; the strings in *disk point into `text`, which
 * is modified. Returns NULL, or the reason of an error (a static string, or `why`), and then
 * copies the invalid part to `shown`.
 */
const char *options_disk(struct blk_config *disk, char *text, char shown[SHOWN_MAX],
			 char why[WHY_MAX]);

/* These parse the values of the keys queues, iothreads and cpus into *disk. They return false
 * if the value is invalid. */
bool options_set_queues(struct blk_config *disk, const char *value);
bool options_set_iothreads(struct blk_config *disk, const char *value);
bool options_set_cpus(struct blk_config *disk, const char *value);

/* Parses the value of iops, iops-burst, bps or bps-burst into *limits. Returns false if the key
 * is none of these or the value is invalid. */
bool options_limit(struct blklimit_rates *limits, const char *key, const char *value);

/* Sets the default of werror. A policy that stops the VM needs a control socket to resume it
 * (`control`). Returns NULL, or a static error message. */
const char *options_settle_errors(struct blk_config *disk, bool control);

/* Sets the queues and threads that the user did not give; to be called when `vcpus` is known.
 * Returns NULL, or `why` with an error message if the keys contradict each other. */
const char *options_settle_queues(struct blk_config *disk, unsigned int vcpus, char why[WHY_MAX]);

#endif
