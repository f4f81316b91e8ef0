/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limits: the keys of a disk's limits, for --disk and for the command limit of microvm-ctl.
 */
#ifndef VMM_OPTIONS_LIMITS_H
#define VMM_OPTIONS_LIMITS_H

#include "dataplane/blklimit.h"
#include "vmm/options/table.h"

/* clang-format off */
/* Rows of a table for a configuration of type `type`. `field` is the path to its struct
 * blklimit_rates, with a dot at its end; empty if `type` is that struct. */
#define OPTION_LIMITS(type, field) \
	{ "iops", OPTION_NUMBER, OPTION_AT(type, field iops), "N", NULL, \
	  "limit of operations per second, # (default: no limit)", 1, BLKLIMIT_IOPS_MAX }, \
	{ "iops-burst", OPTION_NUMBER, OPTION_AT(type, field iops_burst), "N", NULL, \
	  "operations at once after idling, # (default: a tenth of iops)", 1, BLKLIMIT_IOPS_MAX }, \
	{ "bps", OPTION_SIZE, OPTION_AT(type, field bps), "SIZE", NULL, \
	  "limit of bytes per second, #; suffixes as in --memory (default: no limit)", \
	  1024, BLKLIMIT_BPS_MAX }, \
	{ "bps-burst", OPTION_SIZE, OPTION_AT(type, field bps_burst), "SIZE", NULL, \
	  "bytes at once after idling, # (default: a tenth of bps)", 1024, BLKLIMIT_BPS_MAX }
/* clang-format on */

#endif
