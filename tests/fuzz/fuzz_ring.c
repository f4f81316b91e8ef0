/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of vring and blkreq: descriptor tables, avail entries and block requests.
 *
 * The model gives the expected result of vring_pop and blkreq_parse for each chain: the same pieces
 * or a broken queue, the same verdict, status, used.len and data for the engine. Also, each head is
 * completed once, and guest memory changes only where the device may have written by then (not
 * beyond a failed read's data, nor beyond an identifier's 20 bytes).
 */
#include <errno.h>

#include "dataplane/base.h"
#include "tests/fuzz/request.h"

#define ROUNDS 12

static struct requests r;
static struct guest *const guest = &r.guest;
static struct slot slots[GUEST_RING_MAX + 1]; /* by head; the last one is for pops */
static bool in_flight[GUEST_RING_MAX];
static unsigned int flying;
static bool overlapping; /* parts of the ring may overlap */

static void push(struct vring_dev *vr, uint16_t head, uint32_t len)
{
	const struct vring_used_elem *elem = &vr->used->ring[vr->used_next % vr->size];

	fuzz_must(in_flight[head]);
	vring_push(vr, head, len);
	fuzz_must(elem->id == head && elem->len == len);
	in_flight[head] = false;
	flying--;
}

static void complete(struct vring_dev *vr, struct slot *s, int result)
{
	push(vr, s->req.chain.head, request_finish(&r, s, result));
}

/* Pops once, and compares with the model. False: no further pop can succeed. */
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
	request_compare(&r, &s->req.chain, &m);
	in_flight[head] = true;
	flying++;

	slots[head] = *s;
	s = &slots[head];
	s->req.chain.iov = s->iov;
	verdict = request_judge(&r, s, &m);
	if (verdict == BLKREQ_BROKEN) {
		push(vr, head, 0);
		fuzz_must(vring_fail(vr, "fuzz") == -EBADMSG);
		return false;
	}
	if (verdict == BLKREQ_DONE || !in_rarely(in))
		complete(vr, s, verdict == BLKREQ_SUBMIT && in_rarely(in) ? -EIO : 0);
	return true;
}

/*
 * Serves the ring as blkplane does, with at most one ring of pops. More chains can appear only
 * where used elements overwrite the avail ring.
 */
static void serve(struct vring_dev *vr, const struct driver *d, struct input *in)
{
	uint16_t old = vr->published, signalled = vr->signalled;
	unsigned int pops = 0;
	bool notify;

	vring_disable_notify(vr);
	while (pops < vr->size + !overlapping && take(vr, d, in))
		pops++;
	fuzz_must(pops <= vr->size);
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
	if (!vr->broken) {
		bool more = vring_enable_notify(vr);

		fuzz_must(more == (d->avail->idx != vr->last_avail));
	}
}

/* Checks that the ring stays broken, has a reason, and requests no kicks. */
static void check_broken(struct vring_dev *vr)
{
	struct vring_chain chain = { .iov = slots[GUEST_RING_MAX].iov,
				     .capacity = REQUEST_CAPACITY };
	const char *why = vr->broken;

	fuzz_must(*why && vring_pop(vr, &chain) == -EBADMSG && !vring_enable_notify(vr));
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

	if (in_rarely(in)) /* at or beyond the end of a region; misaligned */
		c.desc = GUEST_FAR - 16ull * in_below(in, 256) + in_below(in, 3);
	if (in_rarely(in))
		c.avail = GUEST_HOLE - in_below(in, 1024);
	if (in_rarely(in))
		c.used = GUEST_TOP - in_below(in, 4096);
	if (in_rarely(in))
		c.size = in_u16(in) % 1032;
	overlapping = bits >> 5 == 7;
	if (overlapping)
		guest_overlap_ring(&c, in);
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

static void misuse(struct driver *d, uint16_t last, struct input *in)
{
	switch (in_below(in, 5)) {
	case 0:
		d->avail->idx += in_u16(in);
		break;
	case 4: /* exactly full, or beyond */
		d->avail->idx = (uint16_t)(last + d->ring.size + in_below(in, 3));
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

static void one_ring(struct input *in)
{
	struct vring_config ring = choose_ring(in);
	struct vring_dev vr;
	struct driver d;
	int err = vring_setup(&vr, &guest->hostmem, &ring);

	fuzz_must(!err == ring_is_good(&ring) && err == vring_check(&guest->hostmem, &ring));
	if (err || ring.size > GUEST_RING_MAX)
		return;
	driver_init(&d, guest, &ring, REQUEST_SECTORS);
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
			misuse(&d, vr.last_avail, in);
		shadow_take(&r.shadow, guest);
		shadow_allow_used(&r.shadow, &ring);
		serve(&vr, &d, in);
		shadow_check(&r.shadow, guest);
		d.avail_idx =
			vr.last_avail; /* after a mistake, continue at the device's position */
	}
	if (vr.broken)
		check_broken(&vr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	requests_begin(&r, in_u8(&in));
	one_ring(&in);
	return 0;
}
