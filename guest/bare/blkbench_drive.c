/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of the measuring guest. Its own cost is part of the measured time, so each request is
 * only a store of its sector, its status byte and its ring entry; everything else is prepared.
 */
#include "guest/bare/blkbench.h"

/*
 * A used_event so far ahead of used.idx causes no interrupt; it is renewed after half the distance.
 */
#define FAR_AHEAD 0x8000u
#define RENEW	  0x4000u
/* Number of polls of the ring between two reads of the clock. */
#define LOOKS 4096u

static uint16_t far_from;

/* ---- sectors and data ---- */

static inline uint64_t next_random(struct bench *b)
{
	uint64_t x = b->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return b->random = x;
}

static inline uint64_t next_sector(struct bench *b, uint64_t random)
{
	uint64_t block;

	if (b->sequential) {
		block = b->next_block++;
		if (b->next_block == b->blocks)
			b->next_block = 0;
	} else {
		/* The upper half, scaled to the number of blocks without a division. */
		block = (random >> 32) * b->blocks >> 32;
	}
	return block << b->block_shift;
}

/* The contents of each word of the disk, which identify its position. */
static uint64_t pattern(uint64_t sector, uint32_t offset)
{
	return (sector * SECTOR + offset + 1) * 0x9e3779b97f4a7c15ull;
}

static __attribute__((noinline)) void fill(struct bench *b, unsigned int id)
{
	uint64_t *word = (uint64_t *)(b->data + id * b->bytes);

	for (uint32_t i = 0; i < b->bytes; i += 8)
		word[i / 8] = pattern(b->slot[id].header.sector, i);
}

static __attribute__((noinline)) bool is_right(const struct bench *b, unsigned int id)
{
	uint64_t *word = (uint64_t *)(b->data + id * b->bytes);
	bool right = true;

	for (uint32_t i = 0; i < b->bytes; i += 8) {
		right = right && word[i / 8] == pattern(b->slot[id].header.sector, i);
		word[i / 8] = 0;
	}
	return right;
}

/* ---- one request ---- */

static inline void submit(struct bench *b, unsigned int id, uint64_t now)
{
	struct slot *s = &b->slot[id];
	uint64_t random = next_random(b);

	s->header.sector = next_sector(b, random);
	s->status = NO_STATUS;
	if (b->mixed) {
		bool writes = random & 1;

		s->header.type = writes ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		b->data_desc[id]->flags = writes ? NEXT : NEXT | WRITE;
	}
	if (b->verify && s->header.type == VIRTIO_BLK_T_OUT)
		fill(b, id);
	b->began[id] = now;
	b->d.ring.avail->ring[b->d.ring.avail_idx++ & b->mask] = (uint16_t)id;
	b->submitted++;
	b->left--;
}

static inline void count(struct bench *b, uint64_t ticks)
{
	unsigned int exponent;

	if (ticks > b->longest)
		b->longest = ticks;
	if (ticks < SUBS) {
		b->bucket[ticks]++;
		return;
	}
	exponent = 63 - (unsigned int)__builtin_clzll(ticks);
	b->bucket[((exponent - SUB_BITS) << SUB_BITS) + (ticks >> (exponent - SUB_BITS))]++;
}

static inline void finish(struct bench *b, uint32_t id, uint32_t written, uint64_t now)
{
	const struct slot *s;
	bool reads;

	/* A device that completes other requests makes the measurement meaningless. */
	check(id < b->depth && b->began[id]);
	s = &b->slot[id];
	reads = s->header.type == VIRTIO_BLK_T_IN;
	count(b, now - b->began[id]);
	b->began[id] = 0;
	b->done++;
	if (s->status != VIRTIO_BLK_S_OK || written != (reads ? b->bytes + 1 : 1) ||
	    (b->verify && reads && !is_right(b, id)))
		b->errors++;
}

/* ---- the ring ---- */

/*
 * Makes the requests that were staged since `old` available, and kicks if the device asks for it.
 */
static inline void publish(struct bench *b, uint16_t old)
{
	struct ring *ring = &b->d.ring;
	bool wanted;

	if (ring->avail_idx == old)
		return;
	ring_show(&b->d);
	/* The device checks the ring after it has asked for a kick (virtio 1.2, 2.7.13.4.1). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (b->event_idx)
		wanted = vring_need_event(*(volatile uint16_t *)&ring->used->ring[ring->size],
					  ring->avail_idx, old);
	else
		wanted = !(*(volatile uint16_t *)&ring->used->flags & VRING_USED_F_NO_NOTIFY);
	if (wanted) {
		kick(&b->d);
		b->kicks++;
	}
}

static inline bool has_used(const struct bench *b)
{
	return ring_used_index(&b->d) != b->d.ring.used_idx;
}

/* Asks for an interrupt for the next used element; false if there is an element already. */
static inline bool arm(struct bench *b)
{
	ring_set_used_event(&b->d, b->d.ring.used_idx);
	/* Partner: the device reads used_event after it has stored used.idx. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !has_used(b);
}

/*
 * Takes the completed requests and submits a new one in the slot of each. A request's latency
 * starts when its predecessor in the slot was taken, so the clock is read once for a batch.
 */
static inline void turn(struct bench *b, uint64_t now)
{
	struct ring *ring = &b->d.ring;
	uint16_t old = ring->avail_idx;

	do {
		uint16_t used = ring_used_index(&b->d);

		while (ring->used_idx != used) {
			const struct vring_used_elem *elem =
				&ring->used->ring[ring->used_idx++ & b->mask];

			finish(b, elem->id, elem->len, now);
			if (b->left)
				submit(b, elem->id, now);
		}
	} while (b->interrupts && b->event_idx && !arm(b));
	publish(b, old);
}

static inline void wait_polling(struct bench *b)
{
	uint64_t end = 0;

	if (b->event_idx && (uint16_t)(b->d.ring.used_idx - far_from) >= RENEW) {
		far_from = b->d.ring.used_idx;
		ring_set_used_event(&b->d, (uint16_t)(far_from + FAR_AHEAD));
	}
	for (unsigned int looks = 1; !has_used(b); looks++) {
		arch_relax();
		if (looks % LOOKS)
			continue;
		if (!end)
			end = arch_ticks() + arch_timeout;
		check(arch_ticks() < end);
	}
}

/*
 * Waits for an interrupt, and reads and acknowledges the status as Linux's virtio_mmio does: once
 * for each interrupt, also for one that arrived earlier.
 */
static inline void wait_interrupt(struct bench *b)
{
	wait_until(irq_count[0] != b->handled);
	b->handled = irq_count[0];
	reg_write(&b->d, VIRTIO_MMIO_INTERRUPT_ACK, reg_read(&b->d, VIRTIO_MMIO_INTERRUPT_STATUS));
}

void bench_phase(struct bench *b, uint64_t requests, uint64_t ticks)
{
	uint64_t now = arch_ticks(), start = now, stop = start + ticks;
	uint16_t old = b->d.ring.avail_idx;

	b->left = requests;
	b->submitted = b->done = b->errors = b->kicks = b->longest = b->counted = 0;
	b->next_block = 0;
	memset(b->bucket, 0, sizeof(b->bucket));
	if (b->interrupts && b->event_idx)
		check(arm(b));
	for (unsigned int id = 0; id < b->depth && b->left; id++)
		submit(b, id, now);
	publish(b, old);
	while (b->done < b->submitted) {
		if (b->interrupts)
			wait_interrupt(b);
		else
			wait_polling(b);
		now = arch_ticks();
		/* After that time, requests in flight are waited for, and do not count. */
		if (now >= stop && b->left) {
			b->left = 0;
			b->counted = b->done;
			b->ticks = now - start;
		}
		turn(b, now);
	}
	if (!b->counted) {
		b->counted = b->done;
		b->ticks = now - start;
	}
}

/* ---- before the first phase ---- */

/*
 * A slot's number is its head descriptor; without tables, its other two descriptors follow them
 * all.
 */
static void prepare_slot(struct bench *b, unsigned int id, bool indirect)
{
	struct vring_desc *desc = b->d.ring.desc, *rest;
	struct slot *s = &b->slot[id];
	uint16_t next = (uint16_t)(b->depth + 2 * id);

	s->header = (struct virtio_blk_outhdr){ .type = b->type };
	if (indirect) {
		desc_set(&desc[id], (uintptr_t)s->table, 3 * sizeof(*desc), INDIRECT, 0);
		desc_set(&s->table[0], (uintptr_t)&s->header, sizeof(s->header), NEXT, 1);
		rest = &s->table[1];
		next = 1;
	} else {
		desc_set(&desc[id], (uintptr_t)&s->header, sizeof(s->header), NEXT, next);
		rest = &desc[next];
	}
	desc_set(&rest[0], (uintptr_t)(b->data + id * b->bytes), b->bytes,
		 b->type == VIRTIO_BLK_T_IN ? NEXT | WRITE : NEXT, (uint16_t)(next + 1));
	desc_set(&rest[1], (uintptr_t)&s->status, 1, WRITE, 0);
	b->data_desc[id] = &rest[0];
}

void bench_prepare(struct bench *b, uint16_t ring_size, bool indirect, bool event_idx)
{
	irq_attach(0, b->d.gsi);
	device_start(&b->d, ring_size, (indirect ? INDIRECTION : 0) | (event_idx ? EVENT_IDX : 0));
	b->mask = (uint16_t)(ring_size - 1);
	b->event_idx = event_idx;
	b->slot = page_alloc(b->depth * sizeof(*b->slot));
	b->data = page_alloc((size_t)b->depth * b->bytes);
	/* The data is random, because some storage has a short cut for zeros. */
	for (size_t i = 0; i < (size_t)b->depth * b->bytes; i += 8)
		*(uint64_t *)(b->data + i) = random64();
	b->random = random64();
	for (unsigned int id = 0; id < b->depth; id++)
		prepare_slot(b, id, indirect);
	if (b->interrupts)
		b->d.ring.avail->flags = 0;
	/* Interrupts are on in poll mode, too, to count those that the device sends unasked. */
	b->handled = irq_count[0];
	irqs_on();
}
