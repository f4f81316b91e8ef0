/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostmem: translates guest physical addresses (GPA) to host virtual addresses (HVA).
 *
 * No other module turns an address from the guest into a pointer. Look-ups need no lock and may run
 * on any thread, because the table changes only while no thread uses it: before the first vCPU
 * runs, or, in a vhost-user session, while every ring is stopped or paused. The memory of a region
 * belongs to the caller that added it, and must outlive its entry.
 */
#ifndef DATAPLANE_HOSTMEM_H
#define DATAPLANE_HOSTMEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define HOSTMEM_MAX_REGIONS 32

struct hostmem_region {
	uint64_t gpa;
	uint64_t size; /* bytes, not 0 */
	void *hva;
	bool readonly; /* look-ups for writing fail */
};

/* Size of a page in the dirty log, in bytes, on every host. */
#define HOSTMEM_DIRTY_PAGE 4096u

/*
 * The dirty log: a bit for each page of guest physical memory that the device has written, in bit
 * gpa / 4096 % 8 of byte gpa / 4096 / 8. Another process reads and clears the bits at any time.
 */
struct hostmem_dirty {
	uint8_t *bits;	/* atomic */
	uint64_t bytes; /* size of the log; later pages are not recorded */
};

struct hostmem {
	unsigned int count;
	const struct hostmem_dirty *dirty;		   /* NULL: writes are not recorded */
	struct hostmem_region region[HOSTMEM_MAX_REGIONS]; /* sorted by gpa, without overlaps */
};

/*
 * Adds a region that maps [gpa, gpa + size) to hva. Returns 0; -EINVAL: size is 0, hva
 * is NULL, or the end does not fit in 64 bits; -EEXIST: the range overlaps a region; -ENOSPC: the
 * table is full.
 */
int hostmem_add(struct hostmem *mem, uint64_t gpa, uint64_t size, void *hva, bool readonly);

/* Removes the region that begins at gpa; there must be one. */
void hostmem_remove(struct hostmem *mem, uint64_t gpa);

/*
 * Records in the dirty log that the device has written [hva, hva + len), which must lie within one
 * region. Call it after the write and before the driver is notified: a reader of the log that has
 * seen the write then finds the bit set. mem->dirty must not be NULL. Any thread.
 */
void hostmem_mark_dirty(const struct hostmem *mem, const void *hva, uint64_t len);

/* Returns the guest physical address of a byte of guest RAM. */
uint64_t hostmem_gpa(const struct hostmem *mem, const void *hva);

/*
 * Returns the HVA of [gpa, gpa + len). NULL: len is 0, the range does not lie within one region, or
 * `write` is set and the region is read-only.
 */
void *hostmem_lookup(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write);

/*
 * Stores the host addresses of [gpa, gpa + len) in iov[0 .. max), one entry for each region that
 * the range touches: a range may cross into the next region where the two adjoin in guest physical
 * space. len must not be 0. Returns the number of entries (>= 1); -EFAULT: a byte is outside guest
 * RAM, or in a read-only region while `write` is set; -ENOSPC: more than `max` entries are needed.
 */
int hostmem_map(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write,
		struct iovec *iov, unsigned int max);

#endif
