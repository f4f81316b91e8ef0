/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostmem: guest physical address (GPA) -> host virtual address (HVA).
 *
 * The one place where a guest's number becomes a pointer. The table is sorted, built before the
 * first vCPU runs and never changed afterwards, so look-ups need no lock and may run on any
 * thread. The memory behind the regions belongs to whoever added them and must outlive the table.
 */
#ifndef DATAPLANE_HOSTMEM_H
#define DATAPLANE_HOSTMEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define HOSTMEM_MAX_REGIONS 8

struct hostmem_region {
	uint64_t gpa;
	uint64_t size; /* bytes, not 0 */
	void *hva;
	bool readonly; /* a write look-up misses it */
};

struct hostmem {
	unsigned int count;
	struct hostmem_region region[HOSTMEM_MAX_REGIONS]; /* ascending gpa, never overlapping */
};

/*
 * Add [gpa, gpa + size) -> hva. Set-up only.
 * -EINVAL: empty, or wraps 2^64; -EEXIST: overlaps a region; -ENOSPC: the table is full.
 */
int hostmem_add(struct hostmem *mem, uint64_t gpa, uint64_t size, void *hva, bool readonly);

/*
 * The HVA of [gpa, gpa + len), or NULL when any byte of it is outside guest RAM, the range is not
 * contiguous on the host, len is 0, or `write` asks to write to a read-only region.
 */
void *hostmem_lookup(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write);

/*
 * [gpa, gpa + len) as at most `max` host pieces, appended to iov: a range may cross from one
 * region into the next when both touch in guest physical space.
 * Returns the number of pieces (>= 1), -EFAULT when a byte is outside guest RAM (or read-only and
 * `write`), -ENOSPC when `max` does not suffice. len must not be 0.
 */
int hostmem_map(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write,
		struct iovec *iov, unsigned int max);

#endif
