/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/vring_mirror.h"

#include "dataplane/vring_internal.h"

COLD uint64_t vring_mirror_bytes(unsigned int entries, bool packed)
{
	uint64_t header =
		packed ? sizeof(struct vring_mirror_packed) : sizeof(struct vring_mirror_split);
	uint64_t each = packed ? sizeof(struct vring_mirror_packed_state)
			       : sizeof(struct vring_mirror_split_state);

	return (header + each * entries + VRING_MIRROR_ALIGN - 1) & ~(VRING_MIRROR_ALIGN - 1ull);
}

/* ---- writes while the ring runs ---- */

/*
 * Records the chain of buffer `id` that was popped at position `at`. Its descriptors are copied,
 * because used elements overwrite them. The store of the free list's heads makes the chain one in
 * flight: before it, the entries are free ones.
 */
static void mirror_packed_popped(struct vring_dev *vr, uint16_t id, uint16_t at)
{
	struct vring_mirror *m = vr->mirror;
	struct vring_mirror_packed *memory = m->memory;
	struct vring_mirror_packed_state *state = memory->state;
	const struct vring_packed_desc *d = &vr->ring.desc[at], *end = &vr->ring.desc[vr->size];
	uint16_t count = vr->ring.length[id], left = count;
	uint16_t first = m->free_head, entry = first, last;

	do {
		/* Length, id and flags. The mirror has the two halves in the other order. */
		uint64_t rest = READ_ONCE(*(const uint64_t *)&d->len);

		WRITE_ONCE(state[entry].addr, READ_ONCE(d->addr));
		WRITE_ONCE(*(uint64_t *)&state[entry].id, rest << 32 | rest >> 32);
		if (++d == end)
			d = vr->ring.desc;
		last = entry;
		entry = m->next[entry];
	} while (--left);
	/* in_flight, next, last and num, at once. */
	WRITE_ONCE(*(uint64_t *)&state[first], 1 | (uint64_t)m->next[first] << 16 |
						       (uint64_t)last << 32 |
						       (uint64_t)count << 48);
	WRITE_ONCE(state[first].counter, m->counter++);
	mirror_barrier();
	mirror_set_free(memory, entry, entry);
	m->chain[id] = first | (uint32_t)last << 16;
	m->free_head = entry;
}

static void mirror_split_publish(struct vring_dev *vr)
{
	struct vring_mirror *m = vr->mirror;
	struct vring_mirror_split *memory = m->memory;

	/* From used.idx and the list that begins here, the next process finds the chains that the
	 * driver can see as used and whose in_flight was not cleared. */
	WRITE_ONCE(memory->last_batch_head, m->last_head);
	mirror_barrier();
	vring_split_publish(vr);
	mirror_barrier();
	for (unsigned int i = 0; i < m->batched; i++)
		WRITE_ONCE(memory->state[m->batch[i]].in_flight, 0);
	mirror_barrier();
	WRITE_ONCE(memory->used_idx, vr->published);
}

static void mirror_packed_publish(struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->ring;
	struct vring_mirror *m = vr->mirror;
	struct vring_mirror_packed *memory = m->memory;
	uint16_t old_idx = p->batch_at, free_head = m->free_head;
	bool old_wrap = p->batch_flags & USED, wrap = p->used_flags & USED;

	for (unsigned int i = 0; i < m->batched; i++) {
		uint16_t last = (uint16_t)(m->batch[i] >> 16);

		m->next[last] = free_head;
		WRITE_ONCE(memory->state[last].next, free_head);
		free_head = (uint16_t)m->batch[i];
	}
	mirror_set_free(memory, free_head, m->free_head);
	mirror_set_used(memory, p->used_next, wrap, old_idx, old_wrap);
	mirror_barrier();
	/* From here on, the next process finds a used element at the old position. */
	vring_packed_publish(vr);
	mirror_barrier();
	for (unsigned int i = 0; i < m->batched; i++)
		WRITE_ONCE(memory->state[(uint16_t)m->batch[i]].in_flight, 0);
	mirror_barrier();
	mirror_set_free(memory, free_head, free_head);
	mirror_barrier();
	mirror_set_used(memory, p->used_next, wrap, p->used_next, wrap);
	m->free_head = free_head;
}

/* ---- calls of vring.c ---- */

/* Pops the next chain that was in flight when the previous process ended. */
static COLD int mirror_replay(struct vring_dev *vr, struct vring_chain *chain)
{
	struct vring_mirror *m = vr->mirror;
	uint16_t length = m->replay_length[m->replayed];
	int got;

	if (!vr->packed) {
		got = vring_split_replay(vr, chain, (uint16_t)m->replay[m->replayed]);
	} else {
		got = vring_packed_replay(vr, chain, &m->saved[m->replay_desc], length);
		if (got > 0)
			m->chain[chain->head] = m->replay[m->replayed];
		m->replay_desc = (uint16_t)(m->replay_desc + length);
	}
	m->replayed++;
	return got;
}

/* Not inlined, so that the pop of a split ring need not save registers. */
static __attribute__((noinline)) int mirror_packed_pop(struct vring_dev *vr,
						       struct vring_chain *chain)
{
	uint16_t at = vr->ring.avail_next;
	int got = vring_packed_pop(vr, chain);

	if (got > 0)
		mirror_packed_popped(vr, chain->head, at);
	return got;
}

int vring_mirror_pop(struct vring_dev *vr, struct vring_chain *chain)
{
	const struct vring_mirror *m = vr->mirror;

	if (__builtin_expect(m->replayed != m->replays, 0))
		return mirror_replay(vr, chain);
	return vr->packed ? mirror_packed_pop(vr, chain) : vring_split_pop(vr, chain);
}

bool vring_mirror_publish(struct vring_dev *vr)
{
	struct vring_mirror *m = vr->mirror;

	if (!m->batched)
		return false;
	if (vr->packed)
		mirror_packed_publish(vr);
	else
		mirror_split_publish(vr);
	m->batched = 0;
	return true;
}

/* ---- start ---- */

COLD void vring_mirror_forget(const struct vring_mirror *m)
{
	struct vring_mirror_split *memory = m->memory;

	_Static_assert(offsetof(struct vring_mirror_split, version) ==
			       offsetof(struct vring_mirror_packed, version),
		       "both formats have the version at the same place");
	WRITE_ONCE(memory->version, 0);
	mirror_barrier();
}

static COLD void mirror_init_split(struct vring_dev *vr)
{
	struct vring_mirror_split *memory = vr->mirror->memory;

	for (unsigned int i = 0; i < vr->size; i++)
		memory->state[i] = (struct vring_mirror_split_state){ 0 };
	memory->features = 0;
	memory->desc_num = vr->size;
	memory->last_batch_head = 0;
	memory->used_idx = vr->published;
	mirror_barrier();
	WRITE_ONCE(memory->version, VRING_MIRROR_VERSION);
}

static COLD void mirror_init_packed(struct vring_dev *vr)
{
	struct vring_mirror *m = vr->mirror;
	struct vring_mirror_packed *memory = m->memory;
	bool wrap = vr->ring.used_flags & USED;

	for (uint16_t i = 0; i < vr->size; i++) {
		m->next[i] = (uint16_t)(i + 1);
		memory->state[i] = (struct vring_mirror_packed_state){ .next = m->next[i] };
	}
	memory->features = 0;
	memory->desc_num = vr->size;
	mirror_set_free(memory, 0, 0);
	mirror_set_used(memory, vr->ring.used_next, wrap, vr->ring.used_next, wrap);
	mirror_barrier();
	WRITE_ONCE(memory->version, VRING_MIRROR_VERSION);
}

COLD int vring_mirror_start(struct vring_dev *vr, struct vring_mirror *m,
			    const struct vring_base *base)
{
	struct vring_mirror_split *memory = m->memory;
	uint16_t version;
	int err;

	if (vr->size > m->entries)
		return -EINVAL;
	version = m->recover ? READ_ONCE(memory->version) : 0;
	if (version > VRING_MIRROR_VERSION)
		return -EINVAL;
	vr->mirror = m;
	m->counter = 0;
	m->batched = m->last_head = m->free_head = m->replayed = m->replays = m->replay_desc = 0;
	if (version)
		return vr->packed ? vring_packed_recover(vr) : vring_split_recover(vr);
	err = vring_continue(vr, base);
	if (err)
		return err;
	vring_mirror_forget(m);
	if (vr->packed)
		mirror_init_packed(vr);
	else
		mirror_init_split(vr);
	return 0;
}
