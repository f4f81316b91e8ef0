/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start of a ring whose previous device was killed: finds the chains in flight in the mirror.
 *
 * All functions are called by vring_mirror_start. They read each value of the mirror once, and
 * write to it only values that leave the result of another recovery the same.
 */
#include <stdlib.h>

#include "dataplane/vring_internal.h"
#include "dataplane/vring_mirror.h"

/* A chain in flight. */
struct in_flight {
	uint64_t counter;
	uint16_t which; /* head; packed ring: first entry */
};

static COLD int by_counter(const void *a, const void *b)
{
	const struct in_flight *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

/* Sorts the chains in the order of their first pops, which is that of their next ones. */
static COLD void sort_replays(struct vring_mirror *m, struct in_flight *found, uint16_t count)
{
	qsort(found, count, sizeof(*found), by_counter);
	for (unsigned int i = 0; i < count; i++)
		m->replay[i] = found[i].which;
	m->replays = count;
	m->counter = count ? found[count - 1].counter + 1 : 0;
}

/* ---- split ring ---- */

/*
 * Stores in done[] which chains of the last batch the driver can see as used: used.idx was stored,
 * but not all of their states were cleared. Returns 0, or -EINVAL if the list of the batch is
 * invalid.
 */
static COLD int find_last_batch(const struct vring_dev *vr, uint64_t *done)
{
	const struct vring_mirror_split *memory = vr->mirror->memory;
	uint16_t count = (uint16_t)(vr->published - READ_ONCE(memory->used_idx));
	uint16_t head = READ_ONCE(memory->last_batch_head);

	if (count > vr->size)
		return -EINVAL;
	for (; count; count--) {
		if (head >= vr->size || bit_of(done, head))
			return -EINVAL;
		set_bit_of(done, head);
		head = READ_ONCE(memory->state[head].next);
	}
	return 0;
}

COLD int vring_split_recover(struct vring_dev *vr)
{
	struct vring_mirror *m = vr->mirror;
	struct vring_mirror_split *memory = m->memory;
	uint16_t desc_num = READ_ONCE(memory->desc_num), count = 0;
	uint64_t done[VRING_MAX_SIZE / 64] = { 0 };
	struct in_flight found[VRING_MAX_SIZE];

	vring_split_continue(vr, &(struct vring_base){ 0 });
	if (desc_num < vr->size || desc_num > m->entries || find_last_batch(vr, done))
		return -EINVAL;
	for (uint16_t i = 0; i < vr->size; i++) {
		struct vring_mirror_split_state *state = &memory->state[i];

		if (bit_of(done, i))
			WRITE_ONCE(state->in_flight, 0);
		else if (READ_ONCE(state->in_flight) == 1)
			found[count++] = (struct in_flight){ READ_ONCE(state->counter), i };
	}
	WRITE_ONCE(memory->used_idx, vr->published);
	sort_replays(m, found, count);
	/* All chains that were popped are either published or in flight. */
	vr->last_avail = vr->avail_idx = (uint16_t)(vr->published + count);
	return 0;
}

/* ---- packed ring ---- */

/* The entries of the mirror, as they were read. */
struct entries {
	uint16_t count;
	uint16_t free_head;
	uint64_t seen[VRING_MAX_SIZE / 64]; /* in the free list, or in a chain */
	struct vring_mirror_packed_state state[VRING_MAX_SIZE];
};

/*
 * Finds the position of the next used element and the free list. A batch that was being published
 * counts if the driver can see its first element, which was stored last.
 */
static COLD int settle_batch(struct vring_dev *vr, struct entries *e, struct vring_base *base)
{
	struct vring_mirror_packed *memory = vr->mirror->memory;
	uint32_t heads = READ_ONCE(*(uint32_t *)&memory->free_head);
	uint64_t word = READ_ONCE(*(uint64_t *)&memory->used_idx);
	uint16_t used = (uint16_t)word, old_used = (uint16_t)(word >> 16);
	uint8_t wrap = (uint8_t)(word >> 32), old_wrap = (uint8_t)(word >> 40);
	uint16_t flags;

	if (used >= vr->size || old_used >= vr->size || wrap > 1 || old_wrap > 1)
		return -EINVAL;
	flags = READ_ONCE(vr->ring.desc[old_used].flags) & BOTH;
	if ((used != old_used || wrap != old_wrap) && flags != (old_wrap ? AVAIL : USED)) {
		base->used = used;
		base->used_wrap = wrap;
		e->free_head = (uint16_t)heads;
	} else {
		base->used = old_used;
		base->used_wrap = old_wrap;
		e->free_head = (uint16_t)(heads >> 16);
	}
	return 0;
}

static COLD int see_entry(struct entries *e, uint16_t entry)
{
	if (entry >= e->count || bit_of(e->seen, entry))
		return -EINVAL;
	set_bit_of(e->seen, entry);
	return 0;
}

/* Clears in_flight of all entries in the free list, whose end is an index behind the last entry. */
static COLD int walk_free(struct entries *e)
{
	for (uint16_t i = e->free_head; i != e->count; i = e->state[i].next) {
		if (see_entry(e, i))
			return -EINVAL;
		e->state[i].in_flight = 0;
	}
	return 0;
}

/* Returns the number of descriptors of the chain that begins at `first`, or -EINVAL. */
static COLD int walk_chain(struct entries *e, uint16_t first)
{
	uint16_t last = e->state[first].last, entry = first;
	int length = 0;

	for (;; entry = e->state[entry].next) {
		if (see_entry(e, entry))
			return -EINVAL;
		length++;
		if (entry == last)
			return length == e->state[first].num ? length : -EINVAL;
	}
}

/* Finds the chains in flight. Each entry must be free, or a part of one chain. Returns the number
 * of descriptors in flight, or -EINVAL. */
static COLD int find_chains(struct vring_mirror *m, struct entries *e)
{
	struct in_flight found[VRING_MAX_SIZE];
	int lengths = 0;
	uint16_t count = 0;

	for (uint16_t i = 0; i < e->count; i++) {
		int length;

		if (e->state[i].in_flight != 1)
			continue;
		length = walk_chain(e, i);
		if (length < 0)
			return length;
		found[count++] = (struct in_flight){ e->state[i].counter, i };
		lengths += length;
	}
	for (uint16_t i = 0; i < e->count; i++)
		if (!bit_of(e->seen, i))
			return -EINVAL;
	sort_replays(m, found, count);
	return lengths;
}

/* Copies what vring_pop needs of the chains, and what vring_publish needs of the entries. */
static COLD void keep_chains(struct vring_mirror *m, const struct entries *e)
{
	uint16_t at = 0;

	m->free_head = e->free_head;
	for (uint16_t i = 0; i < e->count; i++)
		m->next[i] = e->state[i].next;
	for (uint16_t i = 0; i < m->replays; i++) {
		uint16_t entry = (uint16_t)m->replay[i], length = e->state[entry].num;

		m->replay_length[i] = length;
		m->replay[i] |= (uint32_t)e->state[entry].last << 16;
		for (; length; length--, entry = e->state[entry].next) {
			const struct vring_mirror_packed_state *s = &e->state[entry];

			m->saved[at++] =
				(struct vring_packed_desc){ s->addr, s->len, s->id, s->flags };
		}
	}
}

COLD int vring_packed_recover(struct vring_dev *vr)
{
	struct vring_mirror *m = vr->mirror;
	struct vring_mirror_packed *memory = m->memory;
	struct entries e = { .count = READ_ONCE(memory->desc_num) };
	struct vring_base base = { 0 };
	int lengths;

	if (e.count < vr->size || e.count > m->entries || settle_batch(vr, &e, &base))
		return -EINVAL;
	memcpy(e.state, memory->state, e.count * sizeof(e.state[0]));
	mirror_barrier();
	if (walk_free(&e))
		return -EINVAL;
	lengths = find_chains(m, &e);
	if (lengths < 0)
		return -EINVAL;
	base.avail = (uint16_t)(base.used + lengths);
	base.avail_wrap = base.used_wrap;
	if (base.avail >= vr->size) {
		base.avail = (uint16_t)(base.avail - vr->size);
		base.avail_wrap = !base.avail_wrap;
	}
	if (vring_packed_continue(vr, &base))
		return -EINVAL;
	vring_packed_hide_used(vr);
	keep_chains(m, &e);
	for (uint16_t i = 0; i < e.count; i++)
		WRITE_ONCE(memory->state[i].in_flight, e.state[i].in_flight);
	mirror_set_free(memory, e.free_head, e.free_head);
	mirror_set_used(memory, base.used, base.used_wrap, base.used, base.used_wrap);
	return 0;
}
