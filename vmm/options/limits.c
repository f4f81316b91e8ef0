/* SPDX-License-Identifier: BSD-3-Clause */
/* Parser of a disk's limits, for --disk and for the command limit of microvm-ctl. */
#include <string.h>

#include "dataplane/base.h"
#include "dataplane/blklimit.h"
#include "vmm/options/internal.h"

static bool set_number(uint64_t *to, const char *value)
{
	return text_number(value, to) && *to >= 1 && *to <= BLKLIMIT_IOPS_MAX;
}

static bool set_bytes(uint64_t *to, const char *value)
{
	return text_size(value, to) && *to >= 1 && *to <= BLKLIMIT_BPS_MAX;
}

bool options_limit(struct blklimit_rates *limits, const char *key, const char *value)
{
	if (!strcmp(key, "iops"))
		return set_number(&limits->iops, value);
	if (!strcmp(key, "iops-burst"))
		return set_number(&limits->iops_burst, value);
	if (!strcmp(key, "bps"))
		return set_bytes(&limits->bps, value);
	return !strcmp(key, "bps-burst") && set_bytes(&limits->bps_burst, value);
}
