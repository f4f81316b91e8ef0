/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring_internal: helpers shared by vring.c and the two ring formats.
 *
 * Only vring*.c may include this header. Each function of vring.h branches to the function of the
 * ring's format, which has the same contract. The branch is well predicted, as the format never
 * changes.
 */
#ifndef DATAPLANE_VRING_INTERNAL_H
#define DATAPLANE_VRING_INTERNAL_H

#include <errno.h>
#include <string.h>

#include "dataplane/base.h"
#include "dataplane/vring.h"

int vring_split_setup(struct vring_dev *vr, const struct vring_config *config);
int vring_split_continue(struct vring_dev *vr, const struct vring_base *base);
void vring_split_position(const struct vring_dev *vr, struct vring_base *base);
int vring_split_pop(struct vring_dev *vr, struct vring_chain *chain);
void vring_split_push(struct vring_dev *vr, uint16_t head, uint32_t written);
bool vring_split_publish(struct vring_dev *vr);
bool vring_split_should_notify(struct vring_dev *vr);
void vring_split_mark_event(const struct vring_dev *vr);
void vring_split_disable_notify(struct vring_dev *vr);
bool vring_split_has_avail(const struct vring_dev *vr);
bool vring_split_enable_notify(struct vring_dev *vr);

int vring_packed_setup(struct vring_dev *vr, const struct vring_config *config);
int vring_packed_continue(struct vring_dev *vr, const struct vring_base *base);
void vring_packed_position(const struct vring_dev *vr, struct vring_base *base);
int vring_packed_pop(struct vring_dev *vr, struct vring_chain *chain);
void vring_packed_push(struct vring_dev *vr, uint16_t id, uint32_t written);
bool vring_packed_publish(struct vring_dev *vr);
bool vring_packed_should_notify(struct vring_dev *vr);
void vring_packed_mark_event(const struct vring_dev *vr);
void vring_packed_disable_notify(struct vring_dev *vr);
bool vring_packed_has_avail(const struct vring_dev *vr);
bool vring_packed_enable_notify(struct vring_dev *vr);

/* Whether the ring has a mirror, which few rings have. */
#define HAS_MIRROR(vr) __builtin_expect((vr)->mirror != NULL, 0)

/* vring_mirror.c: vring_pop and vring_publish of a ring that has a mirror. */
int vring_mirror_pop(struct vring_dev *vr, struct vring_chain *chain);
bool vring_mirror_publish(struct vring_dev *vr);

/* vring_recover.c: set the position of the ring and the chains to be popped again from the mirror.
 * Return 0 or -EINVAL. */
int vring_split_recover(struct vring_dev *vr);
int vring_packed_recover(struct vring_dev *vr);

/* Pops a chain again, which the ring's position counts as popped already: the one of a head, or of
 * these descriptors. Results are those of vring_pop, but never 0. */
int vring_split_replay(struct vring_dev *vr, struct vring_chain *chain, uint16_t head);
int vring_packed_replay(struct vring_dev *vr, struct vring_chain *chain,
			const struct vring_packed_desc *desc, uint16_t count);
void vring_packed_hide_used(const struct vring_dev *vr);

/* Flags of a packed ring's descriptor. */
#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)
#define BOTH  (AVAIL | USED)

static inline bool bit_of(const uint64_t *bits, uint16_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static inline void set_bit_of(uint64_t *bits, uint16_t i)
{
	bits[i / 64] |= 1ull << (i % 64);
}

static inline void clear_bit_of(uint64_t *bits, uint16_t i)
{
	bits[i / 64] &= ~(1ull << (i % 64));
}

/*
 * Copies entry i of a descriptor table, the only read of that entry. memcpy is used because an
 * indirect table may be unaligned. The compiler barrier ensures that all later code uses the copy
 * and does not load from guest memory again.
 */
static inline void read_entry(void *entry, const void *table, unsigned int i)
{
	_Static_assert(sizeof(struct vring_desc) == sizeof(struct vring_packed_desc), "entry");
	memcpy(entry, (const char *)table + i * sizeof(struct vring_desc),
	       sizeof(struct vring_desc));
	__asm__ volatile("" : : : "memory");
}

/* Marks the queue as broken and returns -EBADMSG. The queue must not be broken yet: the formats
 * rely on vring_pop, which does not enter their code when the queue is broken. */
static inline int break_ring(struct vring_dev *vr, const char *why)
{
	vr->broken = why;
	return -EBADMSG;
}

/*
 * Returns the table of len / 16 entries that an INDIRECT descriptor refers to (2.7.5.3, 2.8.7). The
 * caller has checked the flags of the descriptor. NULL: the table is invalid, and the queue is
 * broken from now on.
 */
static inline const void *indirect_table(struct vring_dev *vr, uint64_t addr, uint32_t len)
{
	const void *table = NULL;

	if (!vr->indirect)
		break_ring(vr, "indirect descriptor without the feature");
	else if (!len || len % sizeof(struct vring_desc))
		break_ring(vr, "indirect table of a bad length");
	else if (!(table = hostmem_lookup(vr->mem, addr, len, false)))
		break_ring(vr, "indirect table outside RAM");
	return table;
}

static inline void chain_begin(struct vring_chain *chain)
{
	chain->out_count = chain->in_count = 0;
	chain->out_len = chain->in_len = 0;
}

/* Appends the buffer of a descriptor to the chain. Returns 0, or -EBADMSG when the buffer is
 * invalid, and the queue is broken from now on. */
static inline int chain_add(struct vring_dev *vr, struct vring_chain *chain, uint64_t addr,
			    uint32_t len, bool write)
{
	unsigned int used = chain->out_count + chain->in_count;

	if (!len)
		return 0;
	if (!write && chain->in_count)
		return break_ring(vr, "readable buffer after a writable one");
	if ((uint64_t)chain->in_len + chain->out_len + len > UINT32_MAX)
		return break_ring(vr, "chain of 4 GiB or more");

	int n = hostmem_map(vr->mem, addr, len, write, chain->iov + used, chain->capacity - used);
	if (n < 0)
		return break_ring(vr, n == -ENOSPC ? "chain with too many segments"
						   : "buffer outside RAM");
	if (write) {
		chain->in_count += (unsigned int)n;
		chain->in_len += len;
	} else {
		chain->out_count += (unsigned int)n;
		chain->out_len += len;
	}
	return 0;
}

/* Records a popped chain as in flight, and with IN_ORDER its place in the order of popping. */
static inline void chain_popped(struct vring_dev *vr, uint16_t head)
{
	set_bit_of(vr->in_flight, head);
	if (vr->in_order)
		vr->order.head[vr->order.next++ % VRING_MAX_SIZE] = head;
}

#endif
