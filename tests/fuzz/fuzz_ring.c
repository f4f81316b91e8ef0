/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_ring: descriptor tables, avail entries and block requests through vring and blkreq.
 *
 * A second walk of each chain, written from the specification (virtio 1.2, 2.7) in guest physical
 * addresses, says what vring_pop has to answer: the same pieces, or a broken queue. Besides: each
 * head is completed once; used.len is within the writable bytes; what is submitted is inside the
 * image; nothing but the used ring and writable buffers of accepted chains changes.
 */
#include <errno.h>

#include "dataplane/base.h"
#include "dataplane/blkreq.h"
#include "tests/fuzz/guest.h"

#define SECTORS	 128u
#define ROUNDS	 12
#define CAPACITY VRING_CHAIN_CAPACITY(GUEST_RING_MAX)

/* What the device has to make of a chain: at most a buffer per descriptor, as yet uncut. */
struct model {
	unsigned int count;
	struct {
		uint64_t gpa;
		uint32_t len;
		bool write;
	} buffer[GUEST_RING_MAX];
	uint64_t out_len, in_len;
	unsigned int pieces;
};

struct slot {
	struct blkreq req;
	struct io_task task;
	struct iovec iov[CAPACITY];
	bool submitted;
	uint32_t in_len; /* with the status byte */
};

static struct guest guest;
static uint8_t before[GUEST_SPAN];
static bool may_change[GUEST_SPAN];
static struct slot slots[GUEST_RING_MAX + 1]; /* by head; one to pop into */
static bool in_flight[GUEST_RING_MAX];
static unsigned int flying;
static struct blkreq_disk disk;

static void allow(uint64_t gpa, uint64_t len)
{
	memset(may_change + (gpa - GUEST_LOW), true, len);
}

static bool all_may_change(uint64_t gpa, uint64_t len)
{
	return !memchr(may_change + (gpa - GUEST_LOW), false, len);
}

/* By the piece, as byte by byte takes most of the time. */
static void check_unchanged(void)
{
	for (unsigned int at = 0; at < GUEST_SPAN; at += 256) {
		if (!memcmp(before + at, guest.mem + at, 256))
			continue;
		for (unsigned int i = at; i < at + 256; i++)
			fuzz_must(may_change[i] || before[i] == guest.mem[i]);
	}
}

/* False: the chain breaks the queue. */
static bool model_walk(const struct driver *d, uint16_t head, struct model *m)
{
	uint64_t table = d->ring.desc;
	uint32_t entries = d->ring.size, steps = 0, i = head;
	bool indirect = false;

	*m = (struct model){ .count = 0 };
	for (;;) {
		struct vring_desc e;

		memcpy(&e, guest_ptr(&guest, table + 16ull * i), sizeof(e));
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
		if (e.len) {
			bool write = e.flags & VRING_DESC_F_WRITE;

			if ((!write && m->in_len) || !guest_pieces(e.addr, e.len))
				return false;
			m->pieces += guest_pieces(e.addr, e.len);
			m->buffer[m->count].gpa = e.addr;
			m->buffer[m->count].write = write;
			m->buffer[m->count++].len = e.len;
			*(write ? &m->in_len : &m->out_len) += e.len;
			if (m->in_len + m->out_len > UINT32_MAX ||
			    m->pieces > VRING_CHAIN_CAPACITY(d->ring.size))
				return false;
		}
		if (!(e.flags & VRING_DESC_F_NEXT))
			return true;
		if (e.next >= entries)
			return false;
		i = e.next;
	}
}

static void compare(const struct vring_chain *c, const struct model *m)
{
	unsigned int at = 0, piece = 0, writable = 0;
	uint64_t done = 0;

	fuzz_must(c->out_len == m->out_len && c->in_len == m->in_len);
	fuzz_must(c->out_count + c->in_count == m->pieces && m->pieces <= c->capacity);
	for (; piece < m->pieces; piece++) {
		const struct iovec *iov = &c->iov[piece];
		uint64_t gpa = guest_gpa(&guest, iov->iov_base, iov->iov_len);

		fuzz_must(iov->iov_len && at < m->count);
		fuzz_must(gpa == m->buffer[at].gpa + done);
		fuzz_must(m->buffer[at].write == (piece >= c->out_count));
		writable += m->buffer[at].write;
		if (m->buffer[at].write)
			allow(gpa, iov->iov_len);
		done += iov->iov_len;
		fuzz_must(done <= m->buffer[at].len);
		if (done == m->buffer[at].len) {
			at++;
			done = 0;
		}
	}
	fuzz_must(at == m->count && writable == c->in_count);
}

static void push(struct vring_dev *vr, uint16_t head, uint32_t len, uint32_t writable)
{
	const struct vring_used_elem *elem = &vr->used->ring[vr->used_next % vr->size];

	fuzz_must(len <= writable && in_flight[head]);
	vring_push(vr, head, len);
	fuzz_must(elem->id == head && elem->len == len);
	in_flight[head] = false;
	flying--;
}

/* What an engine is promised (ioengine.h) and may do to the task. */
static void run_task(struct slot *s)
{
	const struct io_task *t = &s->task;
	uint64_t sum = 0;

	if (t->op == IO_FLUSH)
		return;
	fuzz_must(t->len && t->len % disk.blk_size == 0 && t->offset % disk.blk_size == 0);
	fuzz_must(t->offset <= disk.capacity && t->len <= disk.capacity - t->offset);
	fuzz_must(t->op == IO_READ || !disk.readonly);
	fuzz_must(t->op == IO_READ || t->stable == disk.writethrough);
	for (unsigned int i = 0; i < t->iov_count; i++) {
		uint64_t gpa = guest_gpa(&guest, t->iov[i].iov_base, t->iov[i].iov_len);

		sum += t->iov[i].iov_len;
		fuzz_must(t->op != IO_READ || all_may_change(gpa, t->iov[i].iov_len));
		if (t->op == IO_READ)
			memset(t->iov[i].iov_base, 0xa5, t->iov[i].iov_len);
	}
	fuzz_must(sum == t->len);
}

static void complete(struct vring_dev *vr, struct slot *s, int result)
{
	uint32_t len;

	if (s->submitted && !result)
		run_task(s);
	fuzz_must(may_change[guest_gpa(&guest, s->req.status, 1) - GUEST_LOW]);
	len = blkreq_finish(&s->req, result);
	fuzz_must(!result || *s->req.status == 1);
	fuzz_must(!result || len <= 1); /* no data was written; the status byte, alone, may be */
	push(vr, s->req.chain.head, len, s->in_len);
}

/* One pop, foretold by the model. False: nothing more can come. */
static bool take(struct vring_dev *vr, const struct driver *d, struct input *in)
{
	static struct model m;
	struct slot *s = &slots[GUEST_RING_MAX];
	uint16_t idx = vr->avail_idx == vr->last_avail ? d->avail->idx : vr->avail_idx;
	uint16_t head = d->avail->ring[vr->last_avail % vr->size];
	uint16_t pending = (uint16_t)(idx - vr->last_avail);
	bool good = pending <= vr->size && head < vr->size && !in_flight[head] &&
		    model_walk(d, head, &m);
	enum blkreq_verdict verdict;
	int got;

	s->req.chain.iov = s->iov;
	s->req.chain.capacity = VRING_CHAIN_CAPACITY(vr->size);
	got = vring_pop(vr, &s->req.chain);
	if (!pending) {
		fuzz_must(got == 0);
		return false;
	}
	fuzz_must(got == (good ? 1 : -EBADMSG));
	if (!good)
		return false;
	fuzz_must(s->req.chain.head == head);
	compare(&s->req.chain, &m);
	in_flight[head] = true;
	flying++;
	s->in_len = s->req.chain.in_len;

	slots[head] = *s;
	s = &slots[head];
	s->req.chain.iov = s->iov;
	verdict = blkreq_parse(&s->req, &disk, &s->task);
	fuzz_must((verdict == BLKREQ_BROKEN) == (m.out_len < 16 || !m.in_len));
	s->submitted = verdict == BLKREQ_SUBMIT;
	if (verdict == BLKREQ_BROKEN) {
		push(vr, head, 0, 0);
		fuzz_must(vring_fail(vr, "fuzz") == -EBADMSG);
		return false;
	}
	if (verdict == BLKREQ_DONE || !in_rarely(in))
		complete(vr, s, verdict == BLKREQ_SUBMIT && in_rarely(in) ? -EIO : 0);
	return true;
}

/* As blkplane does it; with more pops than a ring has entries, it would be a ring without end. */
static void serve(struct vring_dev *vr, const struct driver *d, struct input *in)
{
	uint16_t old = vr->published, signalled = vr->signalled;
	unsigned int pops = 0;
	bool notify;

	vring_disarm(vr);
	while (take(vr, d, in))
		fuzz_must(++pops <= vr->size);
	for (unsigned int h = 0; h < vr->size && flying; h++)
		if (in_flight[h] && !in_rarely(in))
			complete(vr, &slots[h], in_rarely(in) ? -EIO : 0);
	fuzz_must(vring_publish(vr) == (vr->used_next != old));
	if (vr->used_next != old) {
		uint16_t event = d->avail->ring[vr->size];

		fuzz_must(d->used->idx == vr->used_next);
		notify = vring_should_notify(vr);
		fuzz_must(notify == (vr->event_idx ? (uint16_t)(vr->published - event - 1) <
							     (uint16_t)(vr->published - signalled)
						   : !(d->avail->flags & 1)));
	}
	if (!vr->broken)
		fuzz_must(vring_arm(vr) == (d->avail->idx != vr->last_avail));
}

/* It stays broken, says why, and asks for nothing. */
static void check_broken(struct vring_dev *vr)
{
	struct vring_chain chain = { .iov = slots[GUEST_RING_MAX].iov, .capacity = CAPACITY };
	const char *why = vr->broken;

	fuzz_must(*why && vring_pop(vr, &chain) == -EBADMSG && !vring_arm(vr));
	fuzz_must(vring_fail(vr, "again") == -EBADMSG && vr->broken == why);
}

static struct vring_config choose_ring(struct input *in)
{
	static const uint16_t sizes[] = { 16, 8, 4, 2, 1, 32, 64, GUEST_RING_MAX };
	uint8_t bits = in_u8(in);
	struct vring_config c = { .size = sizes[bits & 7],
				  .desc = GUEST_DESC,
				  .avail = GUEST_AVAIL,
				  .used = GUEST_USED,
				  .event_idx = bits & 8,
				  .indirect = bits & 16 };

	if (in_rarely(in)) /* up to the end of a region, or over it; misaligned */
		c.desc = GUEST_FAR - 16ull * in_below(in, 256) + in_below(in, 3);
	if (in_rarely(in))
		c.avail = GUEST_HOLE - in_below(in, 1024);
	if (in_rarely(in))
		c.used = GUEST_TOP - in_below(in, 4096);
	if (in_rarely(in))
		c.size = in_u16(in) % 1032;
	return c;
}

static bool ring_is_good(const struct vring_config *c)
{
	return c->size && !(c->size & (c->size - 1)) && c->size <= VRING_MAX_SIZE &&
	       c->desc % 16 == 0 && c->avail % 2 == 0 && c->used % 4 == 0 &&
	       guest_pieces(c->desc, 16ull * c->size) == 1 &&
	       guest_pieces(c->avail, 6 + 2ull * c->size) == 1 &&
	       guest_pieces(c->used, 6 + 8ull * c->size) == 1;
}

static void misuse(struct driver *d, struct input *in)
{
	switch (in_below(in, 4)) {
	case 0:
		d->avail->idx += in_u16(in);
		break;
	case 1:
		d->avail->ring[in_below(in, d->ring.size)] = in_u16(in);
		break;
	case 2:
		d->avail->flags = in_u16(in);
		break;
	case 3:
		d->avail->ring[d->ring.size] = in_u16(in); /* used_event */
		break;
	}
}

/* The used ring, and what requests from earlier rounds may still write. */
static void mark_may_change(const struct vring_config *ring)
{
	memset(may_change, false, sizeof(may_change));
	allow(ring->used, 6 + 8ull * ring->size);
	for (unsigned int h = 0; h < ring->size; h++) {
		const struct vring_chain *c = &slots[h].req.chain;

		if (!in_flight[h])
			continue;
		allow(guest_gpa(&guest, slots[h].req.status, 1), 1);
		for (unsigned int i = c->out_count; i < c->out_count + c->in_count; i++)
			if (c->iov[i].iov_len)
				allow(guest_gpa(&guest, c->iov[i].iov_base, 1), c->iov[i].iov_len);
	}
}

static void one_ring(struct input *in)
{
	struct vring_config ring = choose_ring(in);
	struct vring_dev vr;
	struct driver d;
	int err = vring_setup(&vr, &guest.hostmem, &ring);

	fuzz_must(!err == ring_is_good(&ring) && err == vring_check(&guest.hostmem, &ring));
	if (err || ring.size > GUEST_RING_MAX)
		return;
	driver_init(&d, &guest, &ring, SECTORS);
	if (in_rarely(in)) { /* just before the 16-bit indices wrap */
		d.avail_idx = vr.last_avail = vr.avail_idx = (uint16_t)-in_below(in, 64);
		vr.used_next = vr.published = vr.signalled = d.avail_idx;
		d.used->idx = d.avail->idx = d.avail_idx;
	}
	memset(in_flight, 0, sizeof(in_flight));
	flying = 0;
	for (unsigned int round = 0; round < ROUNDS && in->left && !vr.broken; round++) {
		for (unsigned int n = 1 + in_below(in, ring.size); n && in->left; n--)
			driver_stage(&d, driver_request(&d, in));
		driver_show(&d);
		if (in_rarely(in))
			misuse(&d, in);
		mark_may_change(&ring);
		memcpy(before, guest.mem, sizeof(before));
		serve(&vr, &d, in);
		check_unchanged();
		d.avail_idx = vr.last_avail; /* after a misuse: where the device is */
	}
	if (vr.broken)
		check_broken(&vr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t bits;

	if (!guest.mem)
		guest_create(&guest);
	memset(guest.mem, 0, GUEST_SPAN);
	bits = in_u8(&in);
	disk = (struct blkreq_disk){ .capacity = SECTORS * BLKREQ_SECTOR,
				     .blk_size = 512u << (bits & 3),
				     .readonly = bits & 4,
				     .writethrough = bits & 8,
				     .id = "fuzz" };
	one_ring(&in);
	return 0;
}
