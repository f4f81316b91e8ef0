/* SPDX-License-Identifier: BSD-3-Clause */
/* A correct driver with packed rings and IN_ORDER. */
#include "guest/bare/virtio.h"

#define DEEP 64u

static struct device d;

static void begin(uint16_t size, uint64_t features)
{
	device_find(&d, 0);
	device_negotiate(&d, 0);
	if (features & ~d.offered)
		bare_skip("this disk offers no packed rings, or no order");
	device_start(&d, size, features);
}

/* Writes and reads back, in many rounds, also with ring sizes that are no power of two. */
TEST(packed_rings_of_every_kind_of_size)
{
	static const uint16_t sizes[] = { 3, 4, 5, 7, 100, 255, 256 };
	uint8_t *data = page_alloc(PAGE), *read = page_alloc(PAGE);

	for (unsigned int s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		begin(sizes[s], PACKED | (s & 1 ? EVENT_IDX : 0));
		for (unsigned int i = 0; i < rounds(300); i++) {
			memset(data, (int)i, SECTOR);
			check(blk_do(&d, VIRTIO_BLK_T_OUT, i, data, SECTOR) == VIRTIO_BLK_S_OK);
			check(blk_do(&d, VIRTIO_BLK_T_IN, i, read, SECTOR) == VIRTIO_BLK_S_OK);
			check(memcmp(data, read, SECTOR) == 0);
		}
		device_reset(&d);
	}
}

/*
 * Keeps the maximum number of requests in flight, as chains or tables; each completes once, and in
 * order.
 */
static void deep(uint16_t size, bool indirect, uint64_t features)
{
	struct request r[DEEP];
	struct vring_used_elem elem;
	unsigned int depth = indirect ? DEEP : size / 3u, next[QUEUE_MAX];

	begin(size, PACKED | features | (indirect ? INDIRECTION : 0));
	for (unsigned int i = 0; i < depth; i++)
		request_init(&r[i], VIRTIO_BLK_T_IN, i, SECTOR);
	for (unsigned int round = 0; round < rounds(200); round++) {
		unsigned int seen = 0;

		d.ring.next_desc = 0;
		for (unsigned int i = 0; i < depth; i++) {
			struct piece piece[] = { { (uintptr_t)r[i].header, 16, false },
						 { (uintptr_t)r[i].data, SECTOR, true },
						 { (uintptr_t)r[i].status, 1, true } };

			*r[i].status = NO_STATUS;
			r[i].head = indirect ? chain_indirect(&d, r[i].header + 32, piece, 3)
					     : chain(&d, piece, 3);
			next[r[i].head] = i;
			ring_stage(&d, r[i].head);
		}
		ring_show(&d);
		kick(&d);
		for (; seen < depth; seen++) {
			ring_wait_used(&d, &elem);
			check(elem.len == SECTOR + 1 && elem.id < size && next[elem.id] < depth);
			if (features & IN_ORDER)
				check(next[elem.id] == seen);
			check(*r[next[elem.id]].status == VIRTIO_BLK_S_OK);
			next[elem.id] = depth;
		}
		check(!ring_used(&d, &elem));
	}
	device_reset(&d);
}

TEST(packed_many_requests_at_once)
{
	deep(191, false, EVENT_IDX);
	deep(192, false, 0);
	deep(DEEP, true, EVENT_IDX);
	deep(100, true, 0);
}

TEST(packed_many_requests_at_once_in_order)
{
	deep(191, false, EVENT_IDX | IN_ORDER);
	deep(DEEP, true, IN_ORDER);
}

/* ---- rows 11, 14 and 18 (tests/rows) in packed rings ---- */

/*
 * Reads with an indirect table at this address, and with these flags on the descriptor that refers
 * to it.
 */
static void read_by_table(struct request *r, void *table, uint16_t flags, bool noise)
{
	struct piece piece[] = { { (uintptr_t)r->header, 16, false },
				 { (uintptr_t)r->data, SECTOR, true },
				 { (uintptr_t)r->status, 1, true } };
	struct vring_packed_desc *entry = table;
	struct vring_used_elem elem;
	uint16_t head;

	*r->status = NO_STATUS;
	memset(r->data, 0xee, SECTOR);
	d.ring.next_desc = 0;
	head = chain_indirect(&d, table, piece, 3);
	d.ring.desc[head].flags |= flags;
	/* In a table's entries, flags other than WRITE and the buffer id are ignored (2.8.7). */
	for (unsigned int i = 0; noise && i < 3; i++) {
		entry[i].flags |= NEXT | PACKED_AVAIL | (i & 1 ? PACKED_USED : 0);
		entry[i].id = (uint16_t)(0xffff - i);
	}
	offer(&d, head);
	ring_wait_used(&d, &elem);
	check(elem.id == head && elem.len == SECTOR + 1);
	check(*r->status == VIRTIO_BLK_S_OK && !all_bytes(r->data, 0xee, SECTOR));
}

TEST(row11_packed_unaligned_table)
{
	uint8_t *memory = page_alloc(PAGE);
	struct request r;

	/* The table is as long as the ring. */
	begin(3, PACKED | INDIRECTION);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	for (unsigned int shift = 0; shift < 16; shift++)
		read_by_table(&r, memory + shift, 0, false);
}

TEST(row11_packed_flags_that_mean_nothing)
{
	uint8_t *memory = page_alloc(PAGE);
	struct request r;

	begin(5, PACKED | INDIRECTION);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	for (unsigned int i = 0; i < 16; i++)
		read_by_table(&r, memory, i & 1 ? WRITE : 0, i & 2);
}

/*
 * The header is in 1 to 16 pieces, data and status are one; in a ring just long enough, or in a
 * table.
 */
TEST(row14_packed_header_in_pieces_and_status_glued)
{
	for (unsigned int indirect = 0; indirect < 2; indirect++) {
		begin(17, PACKED | INDIRECTION);
		for (unsigned int pieces = 1; pieces <= 16; pieces++) {
			struct vring_used_elem elem;
			struct piece piece[17];
			struct request r;
			uint32_t at = 0;
			uint16_t head;

			request_init(&r, VIRTIO_BLK_T_IN, 3, 2 * SECTOR);
			r.data[SECTOR] = NO_STATUS;
			for (unsigned int i = 0; i < pieces; i++) {
				uint32_t len = i + 1 < pieces ? 16 / pieces : 16 - at;

				piece[i] = (struct piece){ (uintptr_t)r.header + at, len, false };
				at += len;
			}
			piece[pieces] = (struct piece){ (uintptr_t)r.data, SECTOR + 1, true };
			d.ring.next_desc = 0;
			head = indirect ? chain_indirect(&d, NULL, piece, pieces + 1)
					: chain(&d, piece, pieces + 1);
			offer(&d, head);
			ring_wait_used(&d, &elem);
			check(elem.id == head && elem.len == SECTOR + 1);
			check(!all_bytes(r.data, 0xee, SECTOR));
			check(r.data[SECTOR] == VIRTIO_BLK_S_OK && r.data[SECTOR + 1] == 0xee);
		}
	}
}

/*
 * More requests than 16 bits count, in a ring of a size that lets them begin at any position. Each
 * request completes once, and each batch has the interrupt for its last request, across each wrap.
 */
TEST(row18_packed_rounds_without_end)
{
	enum { BATCH = 64 };
	unsigned int batches = rounds(70016 / BATCH);
	struct request r[BATCH];
	struct vring_used_elem elem;
	uint32_t seen[BATCH];

	begin(3 * BATCH + 1, PACKED | EVENT_IDX);
	irq_attach(0, d.gsi);
	irqs_on();
	memset(seen, 0, sizeof(seen));
	for (unsigned int i = 0; i < BATCH; i++) {
		request_init(&r[i], VIRTIO_BLK_T_GET_ID, 0, 20);
		request_chain(&d, &r[i]);
	}
	for (unsigned int done = 0; done < batches; done++) {
		uint64_t interrupts = irq_count[0];
		struct place last;

		for (unsigned int i = 0; i < BATCH; i++) {
			last = d.ring.put;
			ring_stage(&d, r[i].head);
		}
		d.ring.driver_event->off_wrap =
			(uint16_t)(last.at | last.wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
		d.ring.driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
		ring_show(&d);
		kick(&d);
		for (unsigned int i = 0; i < BATCH; i++) {
			ring_wait_used(&d, &elem);
			check(elem.id % 3 == 0 && elem.id < 3 * BATCH && elem.len == 21);
			seen[elem.id / 3]++;
		}
		check(!ring_used(&d, &elem));
		wait_until(irq_count[0] == interrupts + 1);
	}
	irqs_off();
	for (unsigned int i = 0; i < BATCH; i++)
		check(seen[i] == batches && *r[i].status == VIRTIO_BLK_S_OK);
	device_reset(&d);
}
