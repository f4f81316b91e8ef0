/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/guest.h"

#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_blk.h>

#include "dataplane/base.h"

#define GUARD	   0x10000ul
#define PAGE	   0x1000ul
#define CANARY	   0xc5
#define PIECES_MAX 24
#define HEAP_MAX   0x8001ul /* largest size passed to heap_alloc */
#define NEXT	   VRING_DESC_F_NEXT
#define WRITE	   VRING_DESC_F_WRITE
#define INDIRECT   VRING_DESC_F_INDIRECT

static const struct {
	uint64_t gpa;
	uint64_t size;
} regions[GUEST_REGIONS] = {
	{ GUEST_LOW, GUEST_HIGH - GUEST_LOW },
	{ GUEST_HIGH, GUEST_HOLE - GUEST_HIGH },
	{ GUEST_FAR, GUEST_TOP - GUEST_FAR },
};

void guest_create(struct guest *g)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	*g = (struct guest){ 0 };
	fuzz_must(fd >= 0 && !ftruncate(fd, GUEST_SPAN));
	g->mem = mmap(NULL, GUEST_SPAN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fuzz_must(g->mem != MAP_FAILED);
	for (unsigned int i = 0; i < GUEST_REGIONS; i++) {
		uint64_t lead = regions[i].gpa % PAGE;
		uint64_t size = (lead + regions[i].size + PAGE - 1) & ~(PAGE - 1);
		uint8_t *at = mmap(NULL, size + 2 * GUARD, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		fuzz_must(at != MAP_FAILED);
		at += GUARD;
		fuzz_must(mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			       (off_t)(regions[i].gpa - lead - GUEST_LOW)) == at);
		g->device[i] = at + lead;
		fuzz_must(!hostmem_add(&g->hostmem, regions[i].gpa, regions[i].size, g->device[i],
				       false));
	}
	close(fd);
}

static const struct {
	uint64_t gpa;
	uint64_t size;
} outside[] = {
	{ GUEST_HOLE, GUEST_FAR - GUEST_HOLE },
	{ GUEST_TOP, GUEST_END - GUEST_TOP },
};

void guest_clear(struct guest *g, uint8_t byte)
{
	memset(g->mem, byte, GUEST_SPAN);
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++)
		memset(g->mem + (outside[i].gpa - GUEST_LOW), CANARY, outside[i].size);
}

void guest_check(const struct guest *g)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++) {
		const uint8_t *at = g->mem + (outside[i].gpa - GUEST_LOW);

		fuzz_must(*at == CANARY && !memcmp(at, at + 1, outside[i].size - 1));
	}
}

/* The arithmetic differs from the product's: 128 bits cannot wrap. */
unsigned int guest_pieces(uint64_t gpa, uint64_t len)
{
	unsigned __int128 from = gpa, end = from + len;
	unsigned int pieces = 0;

	for (unsigned int i = 0; i < GUEST_REGIONS; i++) {
		unsigned __int128 r = regions[i].gpa, r_end = r + regions[i].size;

		if (from < end && from >= r && from < r_end) {
			pieces++;
			from = end < r_end ? end : r_end;
		}
	}
	return from == end ? pieces : 0;
}

void *guest_ptr(const struct guest *g, uint64_t gpa)
{
	fuzz_must(gpa >= GUEST_LOW && gpa < GUEST_TOP);
	return g->mem + (gpa - GUEST_LOW);
}

bool guest_has(const struct guest *g, const void *hva, uint64_t len)
{
	for (unsigned int i = 0; i < GUEST_REGIONS; i++) {
		uintptr_t from = (uintptr_t)g->device[i], at = (uintptr_t)hva;

		if (at >= from && at - from < regions[i].size)
			return len <= regions[i].size - (at - from);
	}
	return false;
}

uint64_t guest_gpa(const struct guest *g, const void *hva, uint64_t len)
{
	for (unsigned int i = 0; i < GUEST_REGIONS; i++) {
		uintptr_t from = (uintptr_t)g->device[i], at = (uintptr_t)hva;

		if (at >= from && at - from < regions[i].size) {
			fuzz_must(len <= regions[i].size - (at - from));
			return regions[i].gpa + (at - from);
		}
	}
	fuzz_must(!"a pointer into guest RAM");
	return 0;
}

void driver_init(struct driver *d, struct guest *g, const struct vring_config *ring,
		 uint64_t capacity)
{
	*d = (struct driver){
		.g = g,
		.ring = *ring,
		.desc = guest_ptr(g, ring->desc),
		.avail = guest_ptr(g, ring->avail),
		.used = guest_ptr(g, ring->used),
		.capacity = capacity,
		.heap = GUEST_HEAP,
	};
	if (ring->packed) {
		d->packed = guest_ptr(g, ring->desc);
		d->driver_event = guest_ptr(g, ring->avail);
		d->device_event = guest_ptr(g, ring->used);
		d->desc = d->table;
		d->put.wrap = d->take.wrap = true;
		d->room = ring->size;
		memset(d->packed, 0, sizeof(*d->packed) * ring->size);
		*d->driver_event = *d->device_event = 0;
		return;
	}
	memset(d->desc, 0, sizeof(*d->desc) * ring->size);
	memset(d->avail, 0, sizeof(*d->avail) + 2u * ring->size + 2);
	memset(d->used, 0, sizeof(*d->used) + sizeof(struct vring_used_elem) * ring->size + 2);
}

/* Allocates guest memory of up to 32 KiB, cyclically. LOW and HIGH count as one range. */
static uint64_t heap_alloc(struct driver *d, uint32_t len)
{
	uint64_t at = d->heap;

	if (at + len > GUEST_HOLE)
		at = GUEST_HEAP;
	d->heap = at + len;
	d->laid_out += len;
	if (d->laid_out > GUEST_HOLE - GUEST_HEAP - HEAP_MAX)
		d->stray = true; /* may overlap the first buffers of this batch */
	return at;
}

/* A request before its descriptors are written. */
struct plan {
	struct vring_desc piece[PIECES_MAX];
	unsigned int count;
};

/* Adds len bytes in 1 to `cuts` + 1 pieces. */
static void plan_add(struct plan *p, struct input *in, uint64_t gpa, uint32_t len, uint16_t flags,
		     unsigned int cuts)
{
	while (len && p->count < PIECES_MAX) {
		uint32_t n = cuts && p->count < PIECES_MAX - 4 ? 1 + in_u16(in) % len : len;

		if (cuts)
			cuts--;
		p->piece[p->count++] = (struct vring_desc){ .addr = gpa, .len = n, .flags = flags };
		gpa += n;
		len -= n;
	}
}

static void plan_request(struct driver *d, struct plan *p, struct input *in)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN,	VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_FLUSH,	VIRTIO_BLK_T_GET_ID,
					  VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
					  VIRTIO_BLK_T_SCSI_CMD };
	uint8_t how = in_u8(in), shape = in_u8(in);
	struct virtio_blk_outhdr header = { .type = types[how % 16 % ARRAY_SIZE(types)] };
	uint32_t len = 512u * (1u + how / 16u);
	uint64_t gpa = heap_alloc(d, sizeof(header));
	bool reads;

	header.sector = in_u8(in) % d->capacity & ~7ull;
	bool ranges =
		header.type == VIRTIO_BLK_T_DISCARD || header.type == VIRTIO_BLK_T_WRITE_ZEROES;
	if (header.type == VIRTIO_BLK_T_GET_ID)
		len = how / 16u * 4;
	if (ranges)
		len = 16 * (how / 16u + 1u);
	if (in_rarely(in)) /* any sector: near the end, or wrapping when multiplied */
		header.sector = in_rarely(in) ? in_u64(in) : d->capacity - in_below(in, 9);
	if (in_rarely(in)) /* any length */
		len = in_u16(in) & 0x7fff;
	if (in_rarely(in))
		header.type = in_u32(in);
	if (header.type == VIRTIO_BLK_T_FLUSH && how < 0xc0)
		len = 0;
	reads = header.type == VIRTIO_BLK_T_IN || header.type == VIRTIO_BLK_T_GET_ID;
	if (in_rarely(in))
		reads = !reads;

	memcpy(guest_ptr(d->g, gpa), &header, sizeof(header));
	d->header[d->headers++ % ARRAY_SIZE(d->header)] = gpa;
	plan_add(p, in, gpa, in_rarely(in) ? in_below(in, 17) : sizeof(header), 0, shape & 3);
	gpa = in_rarely(in) ? GUEST_FAR : heap_alloc(d, len + 1);
	if (ranges && len <= 512)
		driver_segments(d, in, gpa, len);
	if (reads && shape & 0x80) /* the status byte joined to the data */
		len++;
	plan_add(p, in, gpa, len, reads ? WRITE : 0, shape >> 2 & 7);
	if (!(reads && shape & 0x80) && !in_rarely(in))
		plan_add(p, in, heap_alloc(d, 1), 1, WRITE, 0);
}

/* Makes one of a driver's possible mistakes in a buffer. */
static void spoil_piece(struct driver *d, struct vring_desc *at, struct input *in)
{
	unsigned int how = in_below(in, 9);

	d->stray |= how >= 2;
	switch (how) {
	case 0:
		at->len = 0; /* valid */
		break;
	case 1:
		at->len = 0xffffffff - in_u8(in);
		break;
	case 2:
		at->addr = GUEST_HOLE - in_u16(in) % 0x200;
		break;
	case 3:
		at->addr = GUEST_TOP - in_u16(in) % 0x200;
		break;
	case 4:
		at->addr = -(uint64_t)in_u16(in);
		break;
	case 5:
		at->addr =
			GUEST_HIGH - in_u16(in) % 0x200; /* crosses from one region into the next */
		break;
	case 6:
		at->addr = GUEST_LOW + in_u16(in); /* possibly the ring itself */
		d->wild = true;
		break;
	case 7:
		at->flags = in_u16(in);
		break;
	case 8:
		in_bytes(in, at, sizeof(*at));
		d->wild = true;
		break;
	}
}

/* Writes the request to an indirect table; returns the descriptor that refers to it. */
static struct vring_desc make_table(struct driver *d, struct plan *p, struct input *in)
{
	uint32_t bytes = p->count * (uint32_t)sizeof(struct vring_desc);
	struct vring_desc ref = { .len = bytes, .flags = INDIRECT };

	ref.addr = heap_alloc(d, bytes + 16) + in_below(in, 16);
	for (unsigned int i = 0; i < p->count; i++) {
		p->piece[i].flags |= i + 1 < p->count ? NEXT : 0;
		p->piece[i].next = (uint16_t)(i + 1);
	}
	if (in_rarely(in)) /* a loop, or an invalid index */
		p->piece[p->count - 1].next = (uint16_t)in_below(in, p->count + 2),
				    p->piece[p->count - 1].flags |= NEXT;
	memcpy(guest_ptr(d->g, ref.addr), p->piece, bytes);
	/* A packed entry has its flags where a split entry has the next index. */
	for (unsigned int i = 0; d->ring.packed && i < p->count; i++) {
		struct vring_packed_desc entry = { p->piece[i].addr, p->piece[i].len,
						   p->piece[i].next, p->piece[i].flags };

		memcpy(guest_ptr(d->g, ref.addr + 16ull * i), &entry, sizeof(entry));
	}
	if (in_rarely(in))
		ref.flags |= in_u8(in) & 7;
	if (in_rarely(in))
		ref.len = in_u16(in);
	if (in_rarely(in))
		ref.addr = in_rarely(in) ? in_u64(in) : GUEST_HIGH - in_below(in, 0x100);
	return ref;
}

uint16_t driver_request(struct driver *d, struct input *in)
{
	uint16_t size = d->ring.size, head = d->next_desc % size;
	struct plan p = { .count = 0 };
	uint8_t form;

	plan_request(d, &p, in);
	form = in_u8(in);
	for (unsigned int i = form >= 0xe0 ? form & 3u : 0; i && p.count; i--)
		spoil_piece(d, &p.piece[in_u8(in) % p.count], in);
	/*
	 * form % 4: 0 and 1: direct, 2: all in a table, 3: the first one direct. Where the ring is
	 * too small, a table is always used.
	 */
	if (p.count && (form % 4 >= 2 || p.count > size) && (d->ring.indirect || form >= 0xc0)) {
		bool mixed = form % 4 == 3 && p.count > 1 && size > 1;
		struct plan rest = { .count = p.count - mixed };

		memcpy(rest.piece, p.piece + mixed, rest.count * sizeof(rest.piece[0]));
		p.piece[mixed] = make_table(d, &rest, in);
		p.count = 1u + mixed;
	}
	for (unsigned int i = 0; i < p.count; i++) {
		struct vring_desc *at = &d->desc[d->next_desc++ % size];

		if (i + 1 < p.count) {
			p.piece[i].flags |= NEXT;
			p.piece[i].next = d->next_desc % size;
		}
		*at = p.piece[i];
	}
	d->stray |= form >= 0xf8;
	if (form >= 0xf8) { /* any flags and next, anywhere in the table */
		struct vring_desc *at = &d->desc[in_u8(in) % size];

		at->flags = in_u8(in) & 7;
		at->next = in_u8(in) >= 0x80 ? in_u16(in) : in_u8(in) % (size + 1u);
	}
	if (!in_rarely(in))
		return head;
	d->stray = true;
	return in_u16(in);
}

void place_advance(struct place *p, uint16_t size, unsigned int count)
{
	while (count--) {
		if (++p->at == size) {
			p->at = 0;
			p->wrap = !p->wrap;
		}
	}
}

bool place_available(struct place p, uint16_t flags)
{
	return !(flags & PLACE_AVAIL) != p.wrap && !(flags & PLACE_USED) == p.wrap;
}

static unsigned int chain_length(const struct driver *d, uint16_t head)
{
	uint16_t i = head % d->ring.size;
	unsigned int n = 1;

	while (d->desc[i].flags & NEXT && n < d->ring.size) {
		i = d->desc[i].next % d->ring.size;
		n++;
	}
	return n;
}

static void stage_packed(struct driver *d, uint16_t head)
{
	unsigned int length = chain_length(d, head);
	uint16_t i = head % d->ring.size;

	if (length > d->room)
		return;
	d->room -= length;
	d->outstanding++;
	if (head < d->ring.size)
		d->length[head] = (uint16_t)length;
	for (; length; length--) {
		struct vring_packed_desc *at = &d->packed[d->put.at];
		uint16_t flags = d->desc[i].flags & (uint16_t) ~(PLACE_AVAIL | PLACE_USED);

		flags |= d->put.wrap ? PLACE_AVAIL : PLACE_USED;
		at->addr = d->desc[i].addr;
		at->len = d->desc[i].len;
		at->id = head;
		if (d->first) {
			WRITE_ONCE(at->flags, flags);
		} else {
			d->first = at;
			d->first_flags = flags;
		}
		place_advance(&d->put, d->ring.size, 1);
		i = d->desc[i].next % d->ring.size;
	}
}

bool driver_take(struct driver *d)
{
	const struct vring_packed_desc *e = &d->packed[d->take.at];
	uint16_t both = PLACE_AVAIL | PLACE_USED, id;

	if ((LOAD_ACQUIRE(e->flags) & both) != (d->take.wrap ? both : 0) || !d->outstanding)
		return false;
	id = READ_ONCE(e->id);
	if (id >= d->ring.size || !d->length[id]) {
		fuzz_must(d->wild);
		return false;
	}
	place_advance(&d->take, d->ring.size, d->length[id]);
	d->room += d->length[id];
	d->length[id] = 0;
	d->outstanding--;
	return true;
}

void driver_stage(struct driver *d, uint16_t head)
{
	if (d->ring.packed) {
		stage_packed(d, head);
		return;
	}
	WRITE_ONCE(d->avail->ring[d->avail_idx % d->ring.size], head);
	d->avail_idx++;
}

void driver_show(struct driver *d)
{
	if (d->ring.packed) {
		if (d->first)
			STORE_RELEASE(d->first->flags, d->first_flags);
		d->first = NULL;
	} else {
		STORE_RELEASE(d->avail->idx, d->avail_idx);
	}
	full_barrier();
}
