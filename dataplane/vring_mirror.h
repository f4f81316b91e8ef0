/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring_mirror: mirror of a ring's requests in flight in memory that outlives this process.
 *
 * The layout of the memory, and the order of the writes to it, are those of "Inflight I/O tracking"
 * of the vhost-user protocol. A back end that is killed leaves the memory with its front end; the
 * next back end pops exactly those chains again whose used elements the driver cannot see. The
 * front end owns the memory and may be hostile. It is written while the ring runs, and read only by
 * vring_mirror_start, each value once. The caller owns the struct. It is used by the thread that
 * sets up the ring, and after that by the dataplane thread alone.
 */
#ifndef DATAPLANE_VRING_MIRROR_H
#define DATAPLANE_VRING_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "dataplane/vring.h"

/* Alignment, in bytes, of the memory of each ring. */
#define VRING_MIRROR_ALIGN   64u

#define VRING_MIRROR_VERSION 1u /* 0: the memory is unused */

struct vring_mirror_split_state {
	uint8_t in_flight; /* of the head of a chain */
	uint8_t padding[5];
	uint16_t next;	  /* the head that was pushed before this one */
	uint64_t counter; /* order of popping */
};

struct vring_mirror_split {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head; /* the head that was pushed last */
	uint16_t used_idx;	  /* used.idx, after in_flight of its chains was cleared */
	struct vring_mirror_split_state state[]; /* by head */
};

struct vring_mirror_packed_state {
	uint8_t in_flight; /* of the first descriptor of a chain */
	uint8_t padding;
	uint16_t next;	  /* next descriptor of the chain, or next free entry */
	uint16_t last;	  /* last descriptor of the chain */
	uint16_t num;	  /* descriptors in the chain */
	uint64_t counter; /* order of popping */
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/* The members that begin with old_ describe the ring before the batch that is being published. The
 * members that change together lie in one word, so that one store changes all of them. */
struct vring_mirror_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	_Alignas(4) uint16_t free_head; /* first entry of the list of free ones */
	uint16_t old_free_head;
	_Alignas(8) uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap;
	uint8_t old_used_wrap;
	uint8_t padding[7];
	struct vring_mirror_packed_state state[];
};

_Static_assert(offsetof(struct vring_mirror_split, state) == 16 &&
		       sizeof(struct vring_mirror_split_state) == 16,
	       "layout of the protocol");
_Static_assert(offsetof(struct vring_mirror_packed, state) == 32 &&
		       sizeof(struct vring_mirror_packed_state) == 32,
	       "layout of the protocol");

struct vring_mirror {
	void *memory;	  /* shared, aligned to VRING_MIRROR_ALIGN; set by the caller */
	uint16_t entries; /* descriptor states for which the memory has room; set by the caller */
	bool recover;	  /* pop the chains again that the memory has; set by the caller */

	/* The truth about the ring, which the memory mirrors. */
	uint64_t counter;		/* of the next chain */
	uint16_t batched;		/* chains pushed and not published yet */
	uint16_t last_head;		/* split ring: the head that was pushed last */
	uint32_t batch[VRING_MAX_SIZE]; /* their heads; packed ring: as chain[] */
	/* The members of a packed ring. */
	uint16_t free_head;
	uint16_t next[VRING_MAX_SIZE];	/* by entry: next of its chain or free list */
	uint32_t chain[VRING_MAX_SIZE]; /* by buffer id: first entry, and last entry << 16 */

	/* The chains to be popped again, in their order, and the descriptors of a packed ring's. */
	uint16_t replayed, replays;
	uint32_t replay[VRING_MAX_SIZE]; /* heads; packed ring: as chain[] */
	uint16_t replay_length[VRING_MAX_SIZE];
	uint16_t replay_desc; /* first descriptor in `saved` of the next one */
	struct vring_packed_desc saved[VRING_MAX_SIZE];
};

/* Returns the size of the memory for a ring with this many descriptors. */
uint64_t vring_mirror_bytes(unsigned int entries, bool packed);

/*
 * Begins to mirror a ring, after vring_setup and before anything else. With mirror->recover and
 * memory that is in use, the ring continues at the position that the memory and the ring have: the
 * next pops return the chains that were in flight, in the order of their first pops. Otherwise the
 * ring continues at *base (vring_continue), nothing is in flight, and the memory is initialized.
 * Returns 0; -EINVAL: the memory is too small or invalid, or the ring has no such position.
 */
int vring_mirror_start(struct vring_dev *vr, struct vring_mirror *mirror,
		       const struct vring_base *base);

/* Marks the memory as unused. No chain may be in flight. */
void vring_mirror_forget(const struct vring_mirror *mirror);

/* Returns whether chains wait for being popped again. */
static inline bool vring_mirror_replays(const struct vring_dev *vr)
{
	return vr->mirror && vr->mirror->replayed != vr->mirror->replays && !vr->broken;
}

/* ---- for the other vring*.c ---- */

/*
 * Keeps the compiler from moving stores across this point. Only a later process reads the mirror,
 * after this one was killed. A kill takes effect between two instructions, and all earlier stores
 * become visible, so that the CPU's order does not matter.
 */
static inline void mirror_barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

/* Stores both heads of the list of free entries at once. */
static inline void mirror_set_free(struct vring_mirror_packed *memory, uint16_t head, uint16_t old)
{
	WRITE_ONCE(*(uint32_t *)&memory->free_head, head | (uint32_t)old << 16);
}

/* Stores both positions of the next used element at once. */
static inline void mirror_set_used(struct vring_mirror_packed *memory, uint16_t idx, bool wrap,
				   uint16_t old_idx, bool old_wrap)
{
	WRITE_ONCE(*(uint64_t *)&memory->used_idx,
		   idx | (uint64_t)old_idx << 16 | (uint64_t)wrap << 32 | (uint64_t)old_wrap << 40);
}

static inline void mirror_split_popped(struct vring_mirror *m, uint16_t head)
{
	struct vring_mirror_split *memory = m->memory;

	WRITE_ONCE(memory->state[head].counter, m->counter++);
	mirror_barrier();
	WRITE_ONCE(memory->state[head].in_flight, 1);
}

/* Adds a chain to the batch. It has no room only if the driver has offered heads again before it
 * could see them as used. */
static inline void mirror_pushed(struct vring_mirror *m, uint32_t which)
{
	if (m->batched < VRING_MAX_SIZE)
		m->batch[m->batched++] = which;
}

static inline void mirror_split_pushed(struct vring_mirror *m, uint16_t head)
{
	struct vring_mirror_split *memory = m->memory;

	WRITE_ONCE(memory->state[head].next, m->last_head);
	m->last_head = head;
	mirror_pushed(m, head);
}

#endif
