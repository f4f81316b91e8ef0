/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/blkreq.h"

#include <string.h>
#include <linux/virtio_blk.h>

#include "dataplane/base.h"

/* A run of pieces. */
struct pieces {
	struct iovec *iov;
	unsigned int count;
	uint32_t len;
};

/* Copy the first `len` bytes to dst and cut them off. There are that many. */
static void take_front(struct pieces *p, void *dst, uint32_t len)
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

/* Cut off the last byte and say where it is. There is one. */
static uint8_t *take_last_byte(struct pieces *p)
{
	struct iovec *last = &p->iov[p->count - 1];
	uint8_t *byte = (uint8_t *)last->iov_base + last->iov_len - 1;

	p->len--;
	if (!--last->iov_len)
		p->count--;
	return byte;
}

/* Copy src to the front of the pieces; returns how much fitted. */
static uint32_t fill(const struct pieces *p, const char *src, uint32_t len)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < p->count && done < len; i++) {
		size_t n = p->iov[i].iov_len < len - done ? p->iov[i].iov_len : len - done;

		memcpy(p->iov[i].iov_base, src + done, n);
		done += (uint32_t)n;
	}
	return done;
}

static enum blkreq_verdict done(struct blkreq *req, uint8_t status)
{
	req->status_code = status;
	return BLKREQ_DONE;
}

static enum blkreq_verdict parse_transfer(struct blkreq *req, const struct blkreq_disk *disk,
					  struct io_task *task, enum io_op op, uint64_t sector,
					  const struct pieces *data)
{
	uint32_t per_block = disk->blk_size / BLKREQ_SECTOR;

	if (op == IO_WRITE && disk->readonly)
		return done(req, VIRTIO_BLK_S_IOERR);
	if (data->len % disk->blk_size || sector % per_block ||
	    !range_inside(sector, data->len / BLKREQ_SECTOR, disk->capacity / BLKREQ_SECTOR))
		return done(req, VIRTIO_BLK_S_IOERR);
	if (!data->len)
		return done(req, VIRTIO_BLK_S_OK);

	task->op = op;
	task->stable = op == IO_WRITE && disk->writethrough;
	task->offset = sector * BLKREQ_SECTOR;
	task->len = data->len;
	task->iov = data->iov;
	task->iov_count = data->count;
	req->written = op == IO_READ ? req->in_len : 0;
	return BLKREQ_SUBMIT;
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
	take_front(&out, &header, sizeof(header));
	/* The driver may rewrite the header meanwhile: from here on there is only the copy. */
	__asm__ volatile("" : : : "memory");

	req->status = take_last_byte(&in);
	req->in_len = in.len;
	req->written = 0;
	req->status_code = VIRTIO_BLK_S_OK;

	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		return parse_transfer(req, disk, task, IO_READ, header.sector, &in);
	case VIRTIO_BLK_T_OUT:
		return parse_transfer(req, disk, task, IO_WRITE, header.sector, &out);
	case VIRTIO_BLK_T_FLUSH:
		task->op = IO_FLUSH;
		task->stable = false;
		return BLKREQ_SUBMIT;
	case VIRTIO_BLK_T_GET_ID:
		req->written = fill(&in, disk->id, BLKREQ_ID_BYTES);
		return done(req, VIRTIO_BLK_S_OK);
	default:
		return done(req, VIRTIO_BLK_S_UNSUPP);
	}
}

uint32_t blkreq_finish(struct blkreq *req, int result)
{
	uint8_t code = result ? VIRTIO_BLK_S_IOERR : req->status_code;
	uint32_t written = result ? 0 : req->written;

	WRITE_ONCE(*req->status, code);
	/* The status byte counts only when there is no gap in front of it. */
	return written == req->in_len ? written + 1 : written;
}
