/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/model.h"

#include <linux/virtio_blk.h>

static bool add_buffer(const struct driver *d, struct model *m, uint64_t gpa, uint32_t len,
		       bool write)
{
	if (!len)
		return true;
	if ((!write && m->in_len) || !guest_pieces(gpa, len))
		return false;
	m->pieces += guest_pieces(gpa, len);
	m->buffer[m->count].gpa = gpa;
	m->buffer[m->count].write = write;
	m->buffer[m->count++].len = len;
	*(write ? &m->in_len : &m->out_len) += len;
	return m->in_len + m->out_len <= UINT32_MAX &&
	       m->pieces <= VRING_CHAIN_CAPACITY(d->ring.size);
}

bool model_walk(const struct driver *d, uint16_t head, struct model *m)
{
	uint64_t table = d->ring.desc;
	uint32_t entries = d->ring.size, steps = 0, i = head;
	bool indirect = false;

	*m = (struct model){ .count = 0 };
	for (;;) {
		struct vring_desc e;

		memcpy(&e, guest_ptr(d->g, table + 16ull * i), sizeof(e));
		if (e.flags & VRING_DESC_F_INDIRECT) {
			if (!d->ring.indirect || indirect || e.flags & VRING_DESC_F_NEXT ||
			    !e.len || e.len % 16 || guest_pieces(e.addr, e.len) != 1)
				return false;
			indirect = true;
			table = e.addr;
			entries = e.len / 16;
			i = 0;
			continue;
		}
		if (++steps > d->ring.size)
			return false;
		if (!add_buffer(d, m, e.addr, e.len, e.flags & VRING_DESC_F_WRITE))
			return false;
		if (!(e.flags & VRING_DESC_F_NEXT))
			return true;
		if (e.next >= entries)
			return false;
		i = e.next;
	}
}

static bool walk_packed_table(const struct driver *d, const struct vring_packed_desc *ref,
			      struct model *m)
{
	if (!d->ring.indirect || !ref->len || ref->len % 16 || ref->len / 16 > d->ring.size ||
	    guest_pieces(ref->addr, ref->len) != 1)
		return false;
	for (unsigned int i = 0; i < ref->len / 16; i++) {
		struct vring_packed_desc e;

		memcpy(&e, guest_ptr(d->g, ref->addr + 16ull * i), sizeof(e));
		if (e.flags & VRING_DESC_F_INDIRECT ||
		    !add_buffer(d, m, e.addr, e.len, e.flags & VRING_DESC_F_WRITE))
			return false;
	}
	return true;
}

int model_walk_packed(const struct driver *d, struct place *p, unsigned int held, uint16_t *id,
		      struct model *m)
{
	int length = 0;

	*m = (struct model){ .count = 0 };
	for (bool more = true; more; length++) {
		struct vring_packed_desc e = d->packed[p->at];

		if (!place_available(*p, e.flags))
			return length ? -1 : 0;
		if (held++ == d->ring.size)
			return -1;
		more = e.flags & VRING_DESC_F_NEXT;
		if (!(e.flags & VRING_DESC_F_INDIRECT)) {
			if (!add_buffer(d, m, e.addr, e.len, e.flags & VRING_DESC_F_WRITE))
				return -1;
		} else if (length || more || !walk_packed_table(d, &e, m)) {
			return -1;
		}
		*id = e.id;
		place_advance(p, d->ring.size, 1);
	}
	return length;
}

uint64_t model_byte(const struct model *m, bool write, uint64_t at, uint64_t *left)
{
	for (unsigned int i = 0; i < m->count; i++) {
		if (m->buffer[i].write != write)
			continue;
		if (at < m->buffer[i].len) {
			*left = m->buffer[i].len - at;
			return m->buffer[i].gpa + at;
		}
		at -= m->buffer[i].len;
	}
	fuzz_must(!"a byte of the chain");
	return 0;
}

static void read_header(const struct guest *g, const struct model *m,
			struct virtio_blk_outhdr *header)
{
	uint64_t left;

	/* Copied byte by byte, because a buffer may continue in the next region. */
	for (unsigned int i = 0; i < sizeof(*header); i++)
		((uint8_t *)header)[i] =
			*(const uint8_t *)guest_ptr(g, model_byte(m, false, i, &left));
}

static void judge_transfer(struct model_answer *a, const struct blkreq_disk *disk, uint64_t sector,
			   uint64_t len)
{
	unsigned __int128 from = (unsigned __int128)sector * 512;

	a->verdict = BLKREQ_DONE;
	a->status = VIRTIO_BLK_S_IOERR;
	if ((a->op == IO_WRITE && disk->readonly) || len % disk->blk_size ||
	    from % disk->blk_size || from + len > disk->capacity)
		return;
	a->status = VIRTIO_BLK_S_OK;
	if (!len)
		return;
	a->verdict = BLKREQ_SUBMIT;
	a->offset = (uint64_t)from;
	a->len = len;
}

static struct virtio_blk_discard_write_zeroes read_segment(const struct guest *g,
							   const struct model *m, uint64_t at)
{
	struct virtio_blk_discard_write_zeroes seg;
	uint64_t left;

	for (unsigned int i = 0; i < sizeof(seg); i++)
		((uint8_t *)&seg)[i] =
			*(const uint8_t *)guest_ptr(g, model_byte(m, false, at + i, &left));
	return seg;
}

/* The first invalid segment determines the status. */
static void judge_ranges(struct model_answer *a, const struct guest *g, const struct model *m,
			 const struct blkreq_disk *disk, uint32_t max)
{
	uint64_t len = m->out_len - sizeof(struct virtio_blk_outhdr);

	a->verdict = BLKREQ_DONE;
	a->status = VIRTIO_BLK_S_IOERR;
	if (disk->readonly)
		return;
	a->status = max ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP;
	if (!max || !len || len % 16 || len > 16 * IO_RANGES_MAX)
		return;
	for (uint64_t at = 0; at < len; at += 16) {
		struct virtio_blk_discard_write_zeroes seg = read_segment(g, m, 16 + at);
		unsigned __int128 from = (unsigned __int128)seg.sector * 512;
		uint64_t bytes = seg.num_sectors * 512ull;

		a->status = VIRTIO_BLK_S_UNSUPP;
		if (seg.flags > 1 || (seg.flags && a->op == IO_DISCARD))
			return;
		a->status = VIRTIO_BLK_S_IOERR;
		if (seg.num_sectors > max || from % disk->blk_size || bytes % disk->blk_size ||
		    from + bytes > disk->capacity)
			return;
		if (!bytes)
			continue;
		a->range[a->range_count].offset = (uint64_t)from;
		a->range[a->range_count].len = (uint32_t)bytes;
		a->range[a->range_count++].unmap = seg.flags && disk->unmap;
	}
	a->status = VIRTIO_BLK_S_OK;
	a->verdict = a->range_count ? BLKREQ_SUBMIT : BLKREQ_DONE;
}

void model_judge(const struct guest *g, const struct model *m, const struct blkreq_disk *disk,
		 struct model_answer *a)
{
	struct virtio_blk_outhdr header;
	uint64_t data, written = 0;

	*a = (struct model_answer){ .verdict = BLKREQ_BROKEN };
	if (m->out_len < sizeof(header) || !m->in_len)
		return;
	read_header(g, m, &header);
	data = m->in_len - 1;
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		a->op = IO_READ;
		judge_transfer(a, disk, header.sector, data);
		written = a->verdict == BLKREQ_SUBMIT ? data : 0;
		break;
	case VIRTIO_BLK_T_OUT:
		a->op = IO_WRITE;
		judge_transfer(a, disk, header.sector, m->out_len - sizeof(header));
		break;
	case VIRTIO_BLK_T_FLUSH:
		a->verdict = BLKREQ_SUBMIT;
		a->op = IO_FLUSH;
		break;
	case VIRTIO_BLK_T_GET_ID:
		a->verdict = BLKREQ_DONE;
		written = a->own =
			data < VIRTIO_BLK_ID_BYTES ? (uint32_t)data : VIRTIO_BLK_ID_BYTES;
		break;
	case VIRTIO_BLK_T_DISCARD:
		a->op = IO_DISCARD;
		judge_ranges(a, g, m, disk, disk->discard_max);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		a->op = IO_WRITE_ZEROES;
		judge_ranges(a, g, m, disk, disk->zeroes_max);
		break;
	default:
		a->verdict = BLKREQ_DONE;
		a->status = VIRTIO_BLK_S_UNSUPP;
		break;
	}
	/*
	 * 2.7.8.2: used.len counts from the first byte on; the status byte counts only if all
	 * before it do.
	 */
	a->used_len = (uint32_t)(written == data ? written + 1 : written);
	a->used_len_failed = data ? 0 : 1;
}

void shadow_take(struct shadow *s, const struct guest *g)
{
	memset(s->may_change, false, sizeof(s->may_change));
	memcpy(s->before, g->mem, sizeof(s->before));
}

void shadow_allow(struct shadow *s, uint64_t gpa, uint64_t len)
{
	memset(s->may_change + (gpa - GUEST_LOW), true, len);
}

void shadow_allow_chain(struct shadow *s, const struct model *m)
{
	for (unsigned int i = 0; i < m->count; i++)
		if (m->buffer[i].write)
			shadow_allow(s, m->buffer[i].gpa, m->buffer[i].len);
}

void shadow_allow_used(struct shadow *s, const struct vring_config *ring)
{
	shadow_allow(s, ring->used, ring->packed ? 4 : 6 + 8ull * ring->size);
}

/* Compares in pieces, because comparing single bytes would take most of the time. */
void shadow_check(const struct shadow *s, const struct guest *g)
{
	for (unsigned int at = 0; at < GUEST_SPAN; at += 256) {
		if (!memcmp(s->before + at, g->mem + at, 256))
			continue;
		for (unsigned int i = at; i < at + 256; i++)
			fuzz_must(s->may_change[i] || s->before[i] == g->mem[i]);
	}
}
