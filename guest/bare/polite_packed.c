/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest that uses packed rings, and IN_ORDER, as a correct driver may. */
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

/* Written and read back, round after round; sizes that are no power of two among them. */
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

/* As many requests at once as there may be, in chains or tables; each comes back once, and in order. */
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
