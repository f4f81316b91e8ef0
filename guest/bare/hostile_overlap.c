/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile rings that overlap, so that the device's writes change what it reads: row 1 (tests/rows).
 */
#include "guest/bare/hostile.h"

/*
 * used.flags, which the device sets while it works and clears before it sleeps, overlaps avail.idx:
 * after a single request, the dataplane thread would find another one, then none, and so on
 * forever.
 */
TEST(row01_device_area_on_avail_idx)
{
	struct ring *ring = &d.ring;
	uint8_t *page = page_alloc(PAGE);
	struct request r;

	split_only();
	device_find(&d, 0);
	device_negotiate(&d, 0);
	memset(ring, 0, sizeof(*ring));
	memset(page, 0, PAGE);
	ring->size = 8;
	ring->desc = page_alloc(8 * sizeof(struct vring_desc));
	ring->avail = (struct vring_avail *)(page + 2);
	ring->used = (struct vring_used *)(page + 4);
	check(device_set_queue(&d, 8, (uintptr_t)ring->desc, (uintptr_t)ring->avail,
			       (uintptr_t)ring->used));
	/*
	 * The request is in the ring before the device first reads it; the device's own write then
	 * moves the index.
	 */
	request_init(&r, VIRTIO_BLK_T_GET_ID, 0, 20);
	request_chain(&d, &r);
	ring_stage(&d, r.head);
	ring_show(&d);
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_RUNNING);
	kick(&d);
	check_broken();
	check(*r.status == VIRTIO_BLK_S_OK);
}
