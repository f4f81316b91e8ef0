/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/base.h"
#include "vmm/machine_parts.h"

void machine_print_stats(const struct blk_config *config, struct blk *blk)
{
	for (unsigned int i = 0; i < blk_virtio(blk)->queue_count; i++) {
		struct blkplane_stats s;

		blk_stats(blk, i, &s);
		log_info("--disk %s, queue %u: %llu requests in %llu batches, %llu interrupts, "
			 "%llu sleeps, %llu times held by limits",
			 config->path, i, (unsigned long long)s.requests,
			 (unsigned long long)s.batches, (unsigned long long)s.interrupts,
			 (unsigned long long)s.sleeps, (unsigned long long)s.held);
	}
}
