/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * overlay: map of the written blocks of an ephemeral disk.
 *
 * An ephemeral disk reads its image, the base, and writes to another file, at the same offsets. The
 * map knows for each block of OVERLAY_BLOCK bytes in which of the two files its data is. A block
 * starts as unwritten, in the base, and becomes written once and for ever: when a write to all of
 * it has completed, when a write to a part of it has completed together with a copy of the rest
 * (copy-up), or when it has been zeroed or discarded, which leaves a hole in the other file. Blocks
 * beyond the end of the base are always written.
 *
 * A thread that changes an unwritten block claims it first and holds the claim until the block is
 * written, or the change has failed. Therefore two changes of one block never overlap before the
 * block is written. Afterwards they are ordered like those of any file. Reads claim nothing: while
 * a block is claimed, they read the base.
 *
 * Shared by all dataplane threads and helper threads of the disk; no function takes a lock. The map
 * has two bits for each block: 64 MiB of address space for a base of 1 TiB, of which a page of 4 KiB
 * becomes resident when the first of 64 MiB of the disk is changed.
 */
#ifndef DATAPLANE_OVERLAY_H
#define DATAPLANE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/evloop.h"

/* Size of a block in bytes: the smallest in which common file systems allocate, and the page size
 * of common guests, so that they rarely write a part of one. */
#define OVERLAY_BLOCK 4096u

/* Most engines of a disk that can wait for a claim. */
#define OVERLAY_WAITERS 32u

struct overlay {
	uint64_t blocks; /* of the base; the last one may be incomplete */
	/* Atomic. Each word describes 32 blocks: bit n is set if block n is written, bit 32 + n if
	 * it is claimed. */
	uint64_t *map;
	uint32_t waiting; /* atomic; the waiters to be woken when a claim ends */
	bool lost;	  /* atomic; claims of an engine that lost its transfers never end */
	struct evloop *loop[OVERLAY_WAITERS]; /* of each waiter */
};

/* Creates the map of a base of `bytes` bytes, all of it unwritten. Returns 0 or -ENOMEM. */
int overlay_create(struct overlay **overlay, uint64_t bytes);

/* Frees the map; NULL is allowed. No claim may be held. */
void overlay_destroy(struct overlay *overlay);

/* Sets the event loop that is woken for waiter number `waiter`. Called before any thread uses the
 * map. */
void overlay_attach(struct overlay *overlay, unsigned int waiter, struct evloop *loop);

/* Returns how many of the `most` blocks (at least 1) from `first` on, without a gap, are written, or
 * unwritten, like the first one, for which *written tells. */
unsigned int overlay_run(const struct overlay *overlay, uint64_t first, unsigned int most,
			 bool *written);

/* Claims up to `most` unwritten blocks from `first` on, without a gap. Returns their number; 0: the
 * first one is claimed already, or has been written meanwhile. */
unsigned int overlay_claim(struct overlay *overlay, uint64_t first, unsigned int most);

/* Ends the claim of blocks, which are now `written`, or else still unwritten, and wakes all
 * waiters. */
void overlay_end_claim(struct overlay *overlay, uint64_t first, unsigned int count, bool written);

/*
 * Makes the waiter wait for the end of another one's claim of the block: its event loop is woken when
 * any claim ends, or at once if the block is not claimed. From then on overlay_waits returns false.
 * Returns what overlay_waits returned before the call.
 */
bool overlay_wait(struct overlay *overlay, unsigned int waiter, uint64_t block);

/* Returns whether no claim has ended since the waiter's last overlay_wait. */
static inline bool overlay_waits(const struct overlay *overlay, unsigned int waiter)
{
	return __atomic_load_n(&overlay->waiting, __ATOMIC_SEQ_CST) >> waiter & 1;
}

/* Declares that some claims will never end, and wakes all waiters. */
void overlay_lose_claims(struct overlay *overlay);

/* Returns whether overlay_lose_claims has been called. Waiters then fail instead of waiting. */
static inline bool overlay_lost(const struct overlay *overlay)
{
	return __atomic_load_n(&overlay->lost, __ATOMIC_SEQ_CST);
}

#endif
