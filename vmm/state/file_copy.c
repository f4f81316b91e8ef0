/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/state/file_copy.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "dataplane/base.h"

#define STEP  (16u << 20) /* copied between two looks at *cancel */
#define ALIGN 4096u	  /* of reads with O_DIRECT */

/* Copies the beginning of a range by a read and a write, for file systems without copy_file_range.
 * Returns the number of bytes, at most `len`, or -1. */
static ssize_t copy_by_hand(int from, int to, off_t at, size_t len)
{
	/* Aligned by hand: address sanitizers may move a variable to where it is not. */
	char room[5 * ALIGN], *buf = room + (-(uintptr_t)room & (ALIGN - 1));
	size_t whole = (len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	ssize_t n = pread(from, buf, whole < 4 * ALIGN ? whole : 4 * ALIGN, at);

	return n > 0 ? pwrite(to, buf, (size_t)n < len ? (size_t)n : len, at) : n;
}

static int copy_data(int from, int to, off_t at, off_t end, const uint32_t *cancel)
{
	bool by_hand = false;

	while (at < end && !READ_ONCE(*cancel)) {
		size_t len = end - at < STEP ? (size_t)(end - at) : STEP;
		off_t in = at, out = at;
		ssize_t n = by_hand ? copy_by_hand(from, to, at, len)
				    : copy_file_range(from, &in, to, &out, len, 0);

		if (n <= 0 && by_hand)
			return n < 0 ? -errno : -EIO;
		by_hand = by_hand || n <= 0;
		at += n > 0 ? n : 0;
	}
	return READ_ONCE(*cancel) ? -ECANCELED : 0;
}

int file_copy(int from, int to, uint64_t at, uint64_t end, const uint32_t *cancel)
{
	int err = 0;

	while (at < end && !err) {
		off_t data = lseek(from, (off_t)at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		if ((uint64_t)data >= end)
			return 0;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		at = (uint64_t)hole < end ? (uint64_t)hole : end;
		err = copy_data(from, to, data, (off_t)at, cancel);
	}
	return err;
}
