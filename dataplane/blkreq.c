/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/blkreq.h"

#include <string.h>
#include <linux/virtio_blk.h>

#include "dataplane/base.h"

/* The rest of the readable or of the writable buffers of a chain. */
struct pieces {
	struct iovec *iov;
	unsigned int count;
	uint32_t len;
};

/* Removes the first `len` bytes and copies them to dst. The caller ensures that there are as many.
 * The function is inline, because it copies each request's header, with a length known at compile
 * time. */
static inline __attribute__((always_inline)) void blkreq_take_front(struct pieces *p, void *dst,
								    uint32_t len)
{
	p->len -= len;
	while (len) {
		size_t n = p->iov->iov_len < len ? p->iov->iov_len : len;

		memcpy(dst, p->iov->iov_base, n);
		dst = (char *)dst + n;
		len -= (uint32_t)n;
		p->iov->iov_base = (char *)p->iov->iov_base + n;
		p->iov->iov_len -= n;
		if (!p->iov->iov_len) {
			p->iov++;
			p->count--;
		}
	}
}

/* Removes the last byte and returns its address. The caller ensures that there is one. */
static uint8_t *blkreq_take_last_byte(struct pieces *p)
{
	struct iovec *last = &p->iov[p->count - 1];
	uint8_t *byte = (uint8_t *)last->iov_base + last->iov_len - 1;

	p->len--;
	if (!--last->iov_len)
		p->count--;
	return byte;
}

/* Copies src to the front of the buffers. Returns the number of bytes that fitted. */
static uint32_t blkreq_fill(const struct pieces *p, const char *src, uint32_t len)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < p->count && done < len; i++) {
		size_t n = p->iov[i].iov_len < len - done ? p->iov[i].iov_len : len - done;

		memcpy(p->iov[i].iov_base, src + done, n);
		done += (uint32_t)n;
	}
	return done;
}

/* Answers a request without I/O. */
static enum blkreq_verdict blkreq_end(struct blkreq *req, uint8_t status)
{
	req->status_code = status;
	return BLKREQ_DONE;
}

/* Validates a read or write of the buffers in `data` (5.2.6.2). */
static enum blkreq_verdict blkreq_parse_transfer(struct blkreq *req, const struct blkreq_disk *disk,
						 struct io_task *task, enum io_op op,
						 uint64_t sector, const struct pieces *data)
{
	uint32_t per_block = disk->blk_size / BLKREQ_SECTOR;

	req->kind = op;
	if (op == IO_WRITE && disk->readonly)
		return blkreq_end(req, VIRTIO_BLK_S_IOERR);
	if (data->len % disk->blk_size || sector % per_block ||
	    !range_inside(sector, data->len / BLKREQ_SECTOR, disk->capacity / BLKREQ_SECTOR))
		return blkreq_end(req, VIRTIO_BLK_S_IOERR);
	if (!data->len)
		return blkreq_end(req, VIRTIO_BLK_S_OK);

	task->op = op;
	task->stable = op == IO_WRITE && disk->writethrough;
	task->offset = sector * BLKREQ_SECTOR;
	task->len = data->len;
	task->iov = data->iov;
	task->iov_count = data->count;
	req->written = op == IO_READ ? req->in_len : 0;
	return BLKREQ_SUBMIT;
}

/* Validates a segment of a discard or write zeroes request (5.2.6.2). False: the segment is
 * invalid, and *status is the status code of the request. */
static bool blkreq_check_segment(const struct virtio_blk_discard_write_zeroes *seg, enum io_op op,
				 const struct blkreq_disk *disk, uint8_t *status)
{
	uint32_t flags = op == IO_DISCARD ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint32_t max = op == IO_DISCARD ? disk->discard_max : disk->zeroes_max;
	uint32_t per_block = disk->blk_size / BLKREQ_SECTOR;

	*status = VIRTIO_BLK_S_UNSUPP;
	if (seg->flags & ~flags)
		return false;
	*status = VIRTIO_BLK_S_IOERR;
	return seg->num_sectors <= max && seg->num_sectors % per_block == 0 &&
	       seg->sector % per_block == 0 &&
	       range_inside(seg->sector, seg->num_sectors, disk->capacity / BLKREQ_SECTOR);
}

/* Validates a discard or write zeroes request. All segments are validated before any is carried
 * out. */
static enum blkreq_verdict blkreq_parse_ranges(struct blkreq *req, const struct blkreq_disk *disk,
					       struct io_task *task, enum io_op op,
					       struct pieces *segments)
{
	struct virtio_blk_discard_write_zeroes seg;
	uint8_t status;

	req->kind = op;
	if (disk->readonly)
		return blkreq_end(req, VIRTIO_BLK_S_IOERR);
	if (!(op == IO_DISCARD ? disk->discard_max : disk->zeroes_max))
		return blkreq_end(req, VIRTIO_BLK_S_UNSUPP);
	if (!segments->len || segments->len % sizeof(seg) ||
	    segments->len / sizeof(seg) > IO_RANGES_MAX)
		return blkreq_end(req, VIRTIO_BLK_S_IOERR);

	task->op = op;
	task->range_count = 0;
	while (segments->len) {
		blkreq_take_front(segments, &seg, sizeof(seg));
		/* The driver may change the segment at any time. After this compiler barrier, only
		 * the copy is used. */
		__asm__ volatile("" : : : "memory");
		if (!blkreq_check_segment(&seg, op, disk, &status))
			return blkreq_end(req, status);
		if (seg.num_sectors)
			task->range[task->range_count++] = (struct io_range){
				.offset = seg.sector * BLKREQ_SECTOR,
				.len = seg.num_sectors * BLKREQ_SECTOR,
				.unmap = disk->unmap && seg.flags,
			};
	}
	return task->range_count ? BLKREQ_SUBMIT : blkreq_end(req, VIRTIO_BLK_S_OK);
}

/* Validates all requests that are not reads or writes. Not inlined, which makes blkreq_parse faster
 * for reads and writes. */
static __attribute__((noinline)) enum blkreq_verdict blkreq_parse_rare(
	struct blkreq *req, const struct blkreq_disk *disk, struct io_task *task, uint32_t type,
	struct pieces *out, const struct pieces *in)
{
	switch (type) {
	case VIRTIO_BLK_T_FLUSH:
		req->kind = BLKREQ_FLUSH;
		task->op = IO_FLUSH;
		task->stable = false;
		return BLKREQ_SUBMIT;
	case VIRTIO_BLK_T_DISCARD:
		return blkreq_parse_ranges(req, disk, task, IO_DISCARD, out);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blkreq_parse_ranges(req, disk, task, IO_WRITE_ZEROES, out);
	case VIRTIO_BLK_T_GET_ID:
		req->kind = BLKREQ_GET_ID;
		req->written = blkreq_fill(in, disk->id, BLKREQ_ID_BYTES);
		return blkreq_end(req, VIRTIO_BLK_S_OK);
	default:
		req->kind = BLKREQ_UNKNOWN;
		return blkreq_end(req, VIRTIO_BLK_S_UNSUPP);
	}
}

enum blkreq_verdict blkreq_parse(struct blkreq *req, const struct blkreq_disk *disk,
				 struct io_task *task)
{
	struct vring_chain *c = &req->chain;
	struct pieces out = { .iov = c->iov, .count = c->out_count, .len = c->out_len };
	struct pieces in = { .iov = c->iov + c->out_count, .count = c->in_count, .len = c->in_len };
	struct virtio_blk_outhdr header;

	if (out.len < sizeof(header) || !in.len)
		return BLKREQ_BROKEN;
	blkreq_take_front(&out, &header, sizeof(header));
	/* The driver may change the header at any time. After this compiler barrier, only the copy
	 * is used. */
	__asm__ volatile("" : : : "memory");

	req->status = blkreq_take_last_byte(&in);
	req->in_len = in.len;
	req->written = 0;
	req->status_code = VIRTIO_BLK_S_OK;

	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		return blkreq_parse_transfer(req, disk, task, IO_READ, header.sector, &in);
	case VIRTIO_BLK_T_OUT:
		return blkreq_parse_transfer(req, disk, task, IO_WRITE, header.sector, &out);
	default:
		return blkreq_parse_rare(req, disk, task, header.type, &out, &in);
	}
}

uint32_t blkreq_finish(struct blkreq *req, int result)
{
	uint8_t code = result ? VIRTIO_BLK_S_IOERR : req->status_code;
	uint32_t written = result ? 0 : req->written;

	WRITE_ONCE(*req->status, code);
	/* used.len includes the status byte only when all bytes before it were written. */
	return written == req->in_len ? written + 1 : written;
}
