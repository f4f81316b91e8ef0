/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/blkstats.h"

_Static_assert(1u << (BLKSTATS_BATCHES - 1) == VRING_MAX_SIZE, "a batch is a ring at most");

const char *blkstats_name(enum blkreq_kind kind)
{
	static const char *const names[BLKREQ_KINDS] = {
		[BLKREQ_READ] = "read",
		[BLKREQ_WRITE] = "write",
		[BLKREQ_FLUSH] = "flush",
		[BLKREQ_DISCARD] = "discard",
		[BLKREQ_WRITE_ZEROES] = "write-zeroes",
		[BLKREQ_GET_ID] = "get-id",
		[BLKREQ_UNKNOWN] = "unknown",
	};

	return names[kind];
}
