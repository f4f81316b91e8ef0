/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: blkreq_parse_ranges, blkreq_check_segment (DISCARD and WRITE_ZEROES)
 * Bounds: up to 2 segments in up to 2 buffers, split anywhere; any limits that a device offers; any
 *   disk
 * Properties: each byte of a segment is read once and in order; every range that is submitted lies
 *   inside of the disk, in whole blocks, and is not empty; a segment above the limit or with
 *   unknown flags leaves no range to be carried out; blocks are deallocated only if the driver and
 *   the disk allow it; a read-only disk has none; no product wraps
 * Section: 5.2.6.2
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_COPY_IN(copy, at, len) copied_in(at, len)

static void copied_in(const void *at, uint64_t len);

#include "tests/proof/proof.h"

#include "dataplane/blkreq.c"

#include "tests/proof/request.h"

static uint64_t copied;

static void copied_in(const void *at, uint64_t len)
{
	prove(at == (const void *)byte_of(given, 0, out_count, copied), "next byte, once");
	copied += len;
	prove(copied <= out_len, "no more than there is");
}

int main(void)
{
	bool discard = ANY(bool);
	enum blkreq_verdict verdict;
	struct pieces segments;
	const struct io_range *r;
	unsigned int k = ANY(unsigned int);
	uint32_t most;

	request_any();
	disk.discard_max = ANY(uint32_t);
	disk.zeroes_max = ANY(uint32_t);
	/* BLK_SEGMENT_SECTORS is the largest limit that a device offers. */
	assume(disk.discard_max <= 1u << 22 && disk.zeroes_max <= 1u << 22);
	most = discard ? disk.discard_max : disk.zeroes_max;
	/* As blkreq_parse does. */
	req.status_code = VIRTIO_BLK_S_OK;
	segments = (struct pieces){ .iov = iov, .count = out_count, .len = out_len };

	verdict = blkreq_parse_ranges(&req, &disk, &task, discard ? IO_DISCARD : IO_WRITE_ZEROES,
				      &segments);

	prove(verdict != BLKREQ_BROKEN, "an answer");
	prove(!req.status_code || verdict == BLKREQ_DONE, "an error is not carried out");
	if (verdict == BLKREQ_DONE)
		return 0;
	prove(!disk.readonly && most, "not on a read-only disk, nor without the feature");
	prove(copied == out_len && copied % 16 == 0, "all segments were judged");
	prove(task.range_count && task.range_count <= copied / 16 &&
		      task.range_count <= IO_RANGES_MAX,
	      "a range for each segment at most");
	assume(k < task.range_count);
	r = &task.range[k];
	prove(r->len && r->len % disk.blk_size == 0 && r->offset % disk.blk_size == 0,
	      "whole blocks");
	prove(r->offset <= disk.capacity && r->len <= disk.capacity - r->offset,
	      "inside of the disk");
	prove(r->len / BLKREQ_SECTOR <= most, "within the limit");
	prove(!r->unmap || (disk.unmap && !discard), "deallocated only where it may be");
}
