/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vring_packed_push, vring_packed_publish, vring_packed_should_notify
 * Bounds: rings of 1 to 3 anywhere in RAM, any state; a batch of 0 to 2 chains on top of any that
 *   were pushed before
 * Properties: a push writes id and length of its chain to the next used element, and skips the
 *   chain's descriptors; the flags that make a batch visible are stored last, once, with release
 *   order; used elements never overtake what was read; an interrupt is asked for if and only if one
 *   of the published descriptors is at the driver's position (or its flags ask for all)
 * Section: 2.8.1, 2.8.8, 2.8.10
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_LOAD(at, len, order, value)	loaded(at, len, value)
#define ON_STORE(at, len, order, value) stored(at, len, order, value)
#define ON_BARRIER()			(barriers++)

static unsigned int barriers;
static void loaded(const void *at, uint64_t len, uint64_t value);
static void stored(const void *at, uint64_t len, int order, uint64_t value);

#include "tests/proof/proof.h"
#include "tests/proof/ram.h"
#include "tests/proof/packed.h"

#include "dataplane/vring_packed.c"

static struct vring_dev vr, before;
static unsigned int id_stores, len_stores, flag_stores, loads;
static bool publishing;
static uint16_t id;
static uint32_t written, event;

/* Flags of a used descriptor that was written in this round (2.8.1): both are the wrap counter. */
static uint16_t used_flags(bool wrap, uint32_t len)
{
	return (uint16_t)((wrap ? AVAIL | USED : 0) | (len ? VRING_DESC_F_WRITE : 0));
}

static void stored(const void *at, uint64_t len, int order, uint64_t value)
{
	const struct vring_packed_desc *d = &vr.ring.desc[before.ring.used_next];

	if (publishing) {
		prove(at == (const void *)&vr.ring.desc[before.ring.batch_at].flags && len == 2,
		      "the flags of the batch's first element");
		prove(order == __ATOMIC_RELEASE, "all else is visible before them");
		prove(value == before.ring.batch_flags, "as pushed");
		flag_stores++;
	} else if (at == (const void *)&d->id) {
		prove(len == 2 && value == id, "the id of the chain");
		id_stores++;
	} else if (at == (const void *)&d->len) {
		prove(len == 4 && value == written, "the length of the chain");
		len_stores++;
	} else {
		prove(at == (const void *)&d->flags && len == 2, "the element's flags");
		prove(before.ring.batch, "the first element of a batch stays hidden");
		prove(value == used_flags(used_wrap(&before), written), "of this round");
		flag_stores++;
	}
}

static void loaded(const void *at, uint64_t len, uint64_t value)
{
	prove(at == (const void *)vr.ring.driver_event && len == 4, "the driver's event, at once");
	prove(barriers == 1 && !loads, "once, behind a barrier");
	loads++;
	event = (uint32_t)value;
}

static void push(void)
{
	before = vr;
	id = ANY(uint16_t);
	written = ANY(uint32_t);
	assume(id < vr.size && bit_of(vr.in_flight, id));
	id_stores = len_stores = flag_stores = 0;

	/* As vring_push does. */
	clear_bit_of(vr.in_flight, id);
	vring_packed_push(&vr, id, written);

	prove(id_stores == 1 && len_stores == 1 && flag_stores == (before.ring.batch != 0),
	      "one element");
	prove(before.ring.batch || vr.ring.batch_flags == used_flags(used_wrap(&before), written),
	      "the flags for publish");
	prove(vr.ring.avail_next == before.ring.avail_next, "what is read next stays");
	prove(packed_holds(&vr), "used elements do not overtake");
}

int main(void)
{
	unsigned int count, k = ANY(unsigned int), position;
	bool any, notify, wrap;

	packed_any(&vr);
	assume(!vr.ring.unsignalled);
	if (ANY(bool) && vr.in_flight[0])
		push();
	if (ANY(bool) && vr.in_flight[0])
		push();

	before = vr;
	count = vr.ring.batch;
	id_stores = len_stores = flag_stores = 0;
	publishing = true;
	any = vring_packed_publish(&vr);
	prove(any == (count != 0) && flag_stores == any, "one store, if there was an element");
	prove(!vr.ring.batch && packed_holds(&vr), "all is visible");

	notify = vring_packed_should_notify(&vr);
	prove(loads == 1, "the driver's wish was read");
	if ((event >> 16 & 3) == VRING_PACKED_EVENT_FLAG_DISABLE) {
		prove(!notify, "disabled");
	} else if (!vr.event_idx || (event >> 16 & 3) != VRING_PACKED_EVENT_FLAG_DESC) {
		prove(notify, "all are asked for");
	} else {
		/* Published descriptor k, and the wrap counter that it was written with. */
		assume(k < count);
		position = vr.ring.used_next + vr.size - count + k;
		wrap = used_wrap(&vr);
		if (position >= vr.size)
			position -= vr.size;
		else
			wrap = !wrap;
		if ((event & 0x7fff) == position && (event >> 15 & 1) == wrap)
			prove(notify, "no interrupt is missed");
	}
	prove(!vr.ring.unsignalled && packed_holds(&vr), "the ring's state stays valid");
}
