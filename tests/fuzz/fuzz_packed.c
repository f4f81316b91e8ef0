/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target like fuzz_ring, for packed rings of any size, with and without IN_ORDER.
 *
 * Additional invariants: used elements are written where and, with IN_ORDER, when the specification
 * says; a batch is invisible before it is published; in the ring only the elements are written;
 * interrupts are sent exactly for the events that were passed.
 */
#include <errno.h>

#include "dataplane/base.h"
#include "tests/fuzz/request.h"

#define ROUNDS 12

static struct requests r;
static struct slot slots[GUEST_RING_MAX + 1]; /* by id; the last one is for pops */

/* The model's state of the ring. */
static struct {
	struct place avail, used;
	unsigned int desc_in_flight; /* popped, but not published */
	unsigned int batch;	     /* pushed, but not published; included in desc_in_flight */
	struct place signalled;
	unsigned int unsignalled;
	struct vring_packed_desc *first; /* first element of the batch; its flags are below */
	uint16_t first_flags;
	uint16_t order[GUEST_RING_MAX]; /* in flight, the oldest first */
	unsigned int flying;
	struct {
		bool in_flight, finished;
		uint16_t length;
		uint32_t written;
	} chain[GUEST_RING_MAX];
} ring;

/* Checks that the used element of the chain at `at` in the order is written, but not published. */
static void check_filled(const struct vring_dev *vr, const struct driver *d, unsigned int at)
{
	uint16_t id = ring.order[at];
	struct vring_packed_desc *e = &d->packed[ring.used.at];
	uint32_t written = ring.chain[id].written;
	uint16_t flags = ring.used.wrap ? PLACE_AVAIL | PLACE_USED : 0;

	flags |= written ? VRING_DESC_F_WRITE : 0;
	fuzz_must(e->id == id && e->len == written);
	if (ring.batch) {
		fuzz_must(e->flags == flags);
	} else {
		ring.first = e;
		ring.first_flags = flags;
	}
	ring.batch += ring.chain[id].length;
	place_advance(&ring.used, vr->size, ring.chain[id].length);
	ring.chain[id].in_flight = ring.chain[id].finished = false;
	memmove(&ring.order[at], &ring.order[at + 1], (--ring.flying - at) * sizeof(ring.order[0]));
}

static void push(struct vring_dev *vr, const struct driver *d, uint16_t id, uint32_t len)
{
	struct place at = ring.used;
	unsigned int i = 0;

	/* The position of the element, and of those that may follow it. */
	for (unsigned int n = 0; n < vr->size; n++, place_advance(&at, vr->size, 1))
		shadow_allow(&r.shadow, d->ring.desc + 16ull * at.at + 8, 8);
	ring.chain[id].finished = true;
	ring.chain[id].written = len;
	vring_push(vr, id, len);
	if (!vr->in_order) {
		while (ring.order[i] != id)
			i++;
		check_filled(vr, d, i);
	}
	while (vr->in_order && ring.flying && ring.chain[ring.order[0]].finished)
		check_filled(vr, d, 0);
	fuzz_must(vr->ring.used_next == ring.used.at && vr->ring.batch == ring.batch);
}

static void complete(struct vring_dev *vr, const struct driver *d, struct slot *s, int result)
{
	push(vr, d, s->req.chain.head, request_finish(&r, s, result));
}

/* Pops once, and compares with the model. False: no further pop can succeed. */
static bool take(struct vring_dev *vr, const struct driver *d, struct input *in)
{
	static struct model m;
	struct slot *s = &slots[GUEST_RING_MAX];
	struct place next = ring.avail;
	uint16_t id = 0;
	int length = model_walk_packed(d, &next, ring.desc_in_flight, &id, &m);
	bool good = length > 0 && id < vr->size && !ring.chain[id].in_flight;
	enum blkreq_verdict verdict;
	int got;

	fuzz_must(vring_has_avail(vr) == (length != 0));
	s->req.chain.iov = s->iov;
	s->req.chain.capacity = VRING_CHAIN_CAPACITY(vr->size);
	got = vring_pop(vr, &s->req.chain);
	fuzz_must(got == (good ? 1 : length ? -EBADMSG : 0));
	if (!good)
		return false;
	fuzz_must(s->req.chain.head == id);
	request_compare(&r, &s->req.chain, &m);
	ring.avail = next;
	ring.desc_in_flight += (unsigned int)length;
	ring.order[ring.flying++] = id;
	ring.chain[id].in_flight = true;
	ring.chain[id].length = (uint16_t)length;

	slots[id] = *s;
	s = &slots[id];
	s->req.chain.iov = s->iov;
	verdict = request_judge(&r, s, &m);
	if (verdict == BLKREQ_BROKEN) {
		push(vr, d, id, 0);
		fuzz_must(vring_fail(vr, "fuzz") == -EBADMSG);
		return false;
	}
	if (verdict == BLKREQ_DONE || !in_rarely(in))
		complete(vr, d, s, verdict == BLKREQ_SUBMIT && in_rarely(in) ? -EIO : 0);
	return true;
}

/*
 * Returns 1 if the event is among the descriptors published since the last decision, 0 if not, -1:
 * outside of the ring.
 */
static int event_passed(const struct vring_dev *vr, uint32_t event)
{
	struct place p = ring.signalled;

	if ((event & 0x7fff) >= vr->size)
		return -1;
	for (unsigned int i = 0; i < ring.unsignalled; i++, place_advance(&p, vr->size, 1))
		if (p.at == (event & 0x7fff) && p.wrap == !!(event & 0x8000))
			return 1;
	return 0;
}

static void check_notify(struct vring_dev *vr, const struct driver *d)
{
	uint32_t event = *d->driver_event, kind = event >> 16 & 3;
	int passed = event_passed(vr, event);
	bool notify = vring_should_notify(vr);

	if (kind == VRING_PACKED_EVENT_FLAG_DISABLE)
		fuzz_must(!notify);
	else if (kind != VRING_PACKED_EVENT_FLAG_DESC || !vr->event_idx)
		fuzz_must(notify);
	else if (passed >= 0)
		fuzz_must(notify == passed);
	ring.signalled = ring.used;
	ring.unsignalled = 0;
}

/* Serves the ring as blkplane does. */
static void serve(struct vring_dev *vr, const struct driver *d, struct input *in)
{
	unsigned int pops = 0, at = 0;
	bool more;

	vring_disable_notify(vr);
	fuzz_must(*d->device_event >> 16 == VRING_PACKED_EVENT_FLAG_DISABLE);
	while (take(vr, d, in))
		fuzz_must(++pops <= vr->size);
	while (at < ring.flying) {
		uint16_t id = ring.order[at];
		unsigned int before = ring.flying;

		if (ring.chain[id].finished || in_rarely(in)) {
			at++;
			continue;
		}
		complete(vr, d, &slots[id], in_rarely(in) ? -EIO : 0);
		at += ring.flying == before;
	}
	fuzz_must(vring_publish(vr) == (ring.batch != 0));
	if (ring.batch) {
		fuzz_must(ring.first->flags == ring.first_flags);
		ring.desc_in_flight -= ring.batch;
		ring.unsignalled += ring.batch;
		ring.batch = 0;
		check_notify(vr, d);
	}
	if (vr->broken)
		return;
	more = vring_enable_notify(vr);
	fuzz_must(more == place_available(ring.avail, d->packed[ring.avail.at].flags));
	uint32_t desc = (uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16 | ring.avail.at |
			(uint32_t)ring.avail.wrap << 15;
	fuzz_must(*d->device_event == (vr->event_idx ? desc : 0));
}

static struct vring_config choose_ring(struct input *in)
{
	uint8_t bits = in_u8(in);
	struct vring_config c = { .size = (uint16_t)(1 + in_below(in, GUEST_RING_MAX)),
				  .desc = GUEST_DESC,
				  .avail = GUEST_AVAIL,
				  .used = GUEST_USED,
				  .event_idx = bits & 1,
				  .indirect = bits & 2,
				  .in_order = bits & 4,
				  .packed = true };

	if (bits & 8)
		c.size = 1 + c.size % 8;
	if (in_rarely(in)) /* at or beyond the end of a region; misaligned */
		c.desc = GUEST_FAR - 16ull * in_below(in, 256) + in_below(in, 3);
	if (in_rarely(in))
		c.avail = GUEST_HOLE - in_below(in, 16);
	if (in_rarely(in))
		c.used = GUEST_TOP - in_below(in, 16);
	if (in_rarely(in))
		c.size = in_u16(in) % 1032;
	if (bits >> 4 == 15)
		guest_overlap_ring(&c, in);
	return c;
}

static bool ring_is_good(const struct vring_config *c)
{
	return c->size && c->size <= VRING_MAX_SIZE && c->desc % 16 == 0 && c->avail % 4 == 0 &&
	       c->used % 4 == 0 && guest_pieces(c->desc, 16ull * c->size) == 1 &&
	       guest_pieces(c->avail, 4) == 1 && guest_pieces(c->used, 4) == 1;
}

static void misuse(struct driver *d, struct input *in)
{
	uint16_t size = d->ring.size;
	struct vring_packed_desc *at = &d->packed[in_below(in, size)];

	switch (in_below(in, 6)) {
	case 0:
		at->flags = in_u16(in);
		break;
	case 1:
		at->flags ^= in_u8(in) & 1 ? PLACE_AVAIL | PLACE_USED : VRING_DESC_F_NEXT;
		break;
	case 2:
		at->id = (uint16_t)(in_u8(in) & 1 ? in_u16(in) : size);
		break;
	case 3: /* make the whole ring available, regardless of its owner */
		for (struct place p = ring.avail; size;
		     size--, place_advance(&p, d->ring.size, 1)) {
			d->packed[p.at].flags &= (uint16_t) ~(PLACE_AVAIL | PLACE_USED);
			d->packed[p.at].flags |= p.wrap ? PLACE_AVAIL : PLACE_USED;
		}
		break;
	case 4:
		at->flags |= VRING_DESC_F_INDIRECT;
		break;
	default:
		*d->device_event = in_u32(in);
		break;
	}
}

/* Moves both sides, before the first request, to any position of the ring in either round. */
static void start_at(struct vring_dev *vr, struct driver *d, struct place p)
{
	d->put = ring.avail = ring.used = ring.signalled = p;
	vr->ring.avail_next = vr->ring.used_next = p.at;
	vr->ring.avail_flags = p.wrap ? PLACE_AVAIL : PLACE_USED;
	vr->ring.used_flags = p.wrap ? PLACE_AVAIL | PLACE_USED : 0;
	for (unsigned int i = 0; i < vr->size && !p.wrap; i++)
		d->packed[i].flags = PLACE_AVAIL | PLACE_USED;
}

static void one_ring(struct input *in)
{
	struct vring_config config = choose_ring(in);
	static struct vring_dev vr;
	static struct driver d;
	int err = vring_setup(&vr, &r.guest.hostmem, &config);

	fuzz_must(!err == ring_is_good(&config) && err == vring_check(&r.guest.hostmem, &config));
	if (err || config.size > GUEST_RING_MAX)
		return;
	driver_init(&d, &r.guest, &config, REQUEST_SECTORS);
	memset(&ring, 0, sizeof(ring));
	start_at(&vr, &d, (struct place){ (uint16_t)in_below(in, config.size), !in_rarely(in) });
	for (unsigned int round = 0; round < ROUNDS && in->left && !vr.broken; round++) {
		d.room = config.size - ring.desc_in_flight;
		for (unsigned int n = 1 + in_below(in, config.size); n && in->left; n--)
			driver_stage(&d, driver_request(&d, in));
		driver_show(&d);
		*d.driver_event = in_rarely(in) ? in_u32(in)
						: (uint32_t)(in_u8(in) % 3) << 16 |
							  in_below(in, config.size) |
							  (uint32_t)(in_u8(in) & 1) << 15;
		if (in_u8(in) >= 0xc0)
			misuse(&d, in);
		shadow_take(&r.shadow, &r.guest);
		shadow_allow_used(&r.shadow, &config);
		serve(&vr, &d, in);
		shadow_check(&r.shadow, &r.guest);
		d.put = ring.avail; /* after a mistake, continue at the device's position */
	}
	fuzz_must(!vr.broken || vring_pop(&vr, &slots[GUEST_RING_MAX].req.chain) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	requests_begin(&r, in_u8(&in));
	one_ring(&in);
	return 0;
}
