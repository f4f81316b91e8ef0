/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a disk in a snapshot. */
#include "devices/virtio/blk_internal.h"

void blk_save(const struct blk *b, struct blk_state *state)
{
	*state = (struct blk_state){
		.capacity = b->disk.capacity,
		.blk_size = b->space.blk_size,
		.discard_max = b->space.max_discard_sectors,
		.zeroes_max = b->space.max_write_zeroes_sectors,
		.wce = b->space.wce,
	};
}

const char *blk_check(const struct blk *b, const struct blk_state *state, uint64_t accepted)
{
	if (state->capacity != b->disk.capacity)
		return "has another size than in the snapshot";
	if (state->blk_size != b->space.blk_size)
		return "blk-size is not that of the snapshot";
	if (accepted & ~b->virtio.offered ||
	    ((accepted >> VIRTIO_BLK_F_DISCARD & 1) &&
	     state->discard_max > b->space.max_discard_sectors) ||
	    state->zeroes_max > b->space.max_write_zeroes_sectors)
		return "lacks a feature that the guest of the snapshot uses";
	return NULL;
}

void blk_restore(struct blk *b, const struct blk_state *state)
{
	blk_set_wce(b, state->wce & 1);
}

size_t blk_save_requests(struct blk *b, unsigned int queue, void *data)
{
	return blk_queues_save(&b->queues, queue, data);
}

void blk_restore_requests(struct blk *b, unsigned int queue, const void *data, size_t size)
{
	b->virtio.queue[queue].saved = data;
	b->virtio.queue[queue].saved_bytes = size;
}
