/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parked requests in a snapshot, for the plane that continues the ring in another process.
 *
 * The ring does not have them any more: a driver sees no used element for them, and the used elements
 * of other requests may have replaced a packed ring's descriptors. A request is saved as its header
 * and the guest physical addresses of its buffers, and is validated again when it is loaded.
 */
#include <errno.h>
#include <string.h>
#include <linux/virtio_blk.h>

#include "dataplane/base.h"
#include "dataplane/blkplane_internal.h"

/* A request, which `count` pieces follow: the buffers of its data, or the segments of a discard or
 * write-zeroes (struct virtio_blk_discard_write_zeroes). */
struct saved {
	struct virtio_blk_outhdr header;
	uint64_t status; /* address of the status byte */
	uint32_t count;
	uint16_t head;
	uint16_t length; /* descriptors in the ring */
};

struct saved_piece {
	uint64_t gpa, len;
};

_Static_assert(sizeof(struct saved) == 32 && sizeof(struct saved_piece) == 16 &&
		       sizeof(struct virtio_blk_discard_write_zeroes) == 16,
	       "format of a snapshot");

static const uint8_t types[IO_OPS] = {
	[IO_READ] = VIRTIO_BLK_T_IN,
	[IO_WRITE] = VIRTIO_BLK_T_OUT,
	[IO_FLUSH] = VIRTIO_BLK_T_FLUSH,
	[IO_DISCARD] = VIRTIO_BLK_T_DISCARD,
	[IO_WRITE_ZEROES] = VIRTIO_BLK_T_WRITE_ZEROES,
};

static bool has_segments(uint32_t type)
{
	return type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES;
}

/* Writes piece i of the request. */
static COLD void save_piece(const struct blkplane *p, const struct io_task *task, unsigned int i,
			    struct saved_piece *to)
{
	const struct io_range *range = &task->range[i];
	const struct virtio_blk_discard_write_zeroes segment = {
		.sector = range->offset / BLKREQ_SECTOR,
		.num_sectors = range->len / BLKREQ_SECTOR,
		.flags = range->unmap ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0,
	};

	if (task->op > IO_FLUSH)
		memcpy(to, &segment, sizeof(segment));
	else
		*to = (struct saved_piece){ hostmem_gpa(p->config.mem, task->iov[i].iov_base),
					    task->iov[i].iov_len };
}

COLD size_t blkplane_save(struct blkplane *p, void *data)
{
	struct io_task *task = p->ring.in_order ? NULL : p->parked.head;
	size_t size = 0;

	for (; task; task = task->next) {
		const struct slot *slot = container_of(task, struct slot, task);
		struct saved *saved = data ? (void *)((char *)data + size) : NULL;
		unsigned int count = 0;

		ioengine_rewind(task);
		if (task->op != IO_FLUSH)
			count = task->op > IO_FLUSH ? task->range_count : task->iov_count;
		size += sizeof(*saved) + count * sizeof(struct saved_piece);
		if (!saved)
			continue;
		*saved = (struct saved){
			.header = { .type = types[task->op] },
			.status = hostmem_gpa(p->config.mem, slot->req.status),
			.count = count,
			.head = slot->req.chain.head,
			.length = vring_chain_length(&p->ring, slot->req.chain.head),
		};
		if (task->op < IO_FLUSH)
			saved->header.sector = task->offset / BLKREQ_SECTOR;
		for (unsigned int i = 0; i < count; i++)
			save_piece(p, task, i, (struct saved_piece *)(saved + 1) + i);
	}
	return size;
}

/* Appends guest memory to the chain. Returns 0 or -EINVAL. */
static COLD int add_memory(const struct blkplane *p, struct vring_chain *chain,
			   const struct saved_piece *piece, bool write)
{
	unsigned int used = chain->out_count + chain->in_count;
	uint32_t *len = write ? &chain->in_len : &chain->out_len;
	int n;

	if (!piece->len || piece->len > UINT32_MAX - *len)
		return -EINVAL;
	n = hostmem_map(p->config.mem, piece->gpa, piece->len, write, chain->iov + used,
			chain->capacity - used);
	if (n < 0)
		return -EINVAL;
	*len += (uint32_t)piece->len;
	*(write ? &chain->in_count : &chain->out_count) += (unsigned int)n;
	return 0;
}

/* Appends memory of this process that the device reads. */
static COLD void add_copy(struct vring_chain *chain, const void *data, size_t size)
{
	chain->iov[chain->out_count++] = (struct iovec){ (void *)(uintptr_t)data, size };
	chain->out_len += (uint32_t)size;
}

static COLD int load_request(struct blkplane *p, const struct saved *saved)
{
	const struct saved_piece status = { saved->status, 1 };
	const struct saved_piece *piece = (const struct saved_piece *)(saved + 1);
	struct slot *slot = blkplane_slot_get(p);
	struct vring_chain *chain = &slot->req.chain;
	uint32_t type = saved->header.type;
	int err = vring_adopt(&p->ring, saved->head, saved->length);

	if (err)
		return err;
	*chain = (struct vring_chain){ .head = saved->head,
				       .iov = slot->iov,
				       .capacity = VRING_CHAIN_CAPACITY(p->ring.size) };
	add_copy(chain, &saved->header, sizeof(saved->header));
	if (has_segments(type) && saved->count)
		add_copy(chain, piece, saved->count * sizeof(*piece));
	for (unsigned int i = 0; i < saved->count && !has_segments(type) && !err; i++)
		err = add_memory(p, chain, &piece[i], type == VIRTIO_BLK_T_IN);
	if (!err)
		err = add_memory(p, chain, &status, true);
	/* Only requests that need I/O were parked. */
	if (err || blkreq_parse(&slot->req, &p->config.disk, &slot->task) != BLKREQ_SUBMIT)
		return -EINVAL;
	if (p->config.latency)
		slot->begun = monotonic_ns();
	io_queue_put(&p->parked, &slot->task);
	return 0;
}

COLD int blkplane_load(struct blkplane *p, const void *data, size_t size)
{
	unsigned int descriptors = 0;
	int err = 0;

	while (size && !err) {
		const struct saved *saved = data;
		size_t whole = sizeof(*saved);

		if (size < whole || saved->count > (size - whole) / sizeof(struct saved_piece))
			return -EINVAL;
		whole += saved->count * sizeof(struct saved_piece);
		err = load_request(p, saved);
		descriptors += saved->length;
		data = (const char *)data + whole;
		size -= whole;
	}
	if (!err && p->ring.packed && descriptors != p->ring.ring.desc_in_flight)
		err = -EINVAL;
	return err;
}
