/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vring_split_push, vring_split_publish, vring_split_should_notify
 * Bounds: rings of 1, 2 and 4 anywhere in RAM; any indices, head, length and features; a batch of 0
 *   to 2 chains on top of any that were pushed before
 * Properties: a push writes one element, of its head and length, at the next place, and nothing
 *   else; publish stores used.idx once, with release order, behind all elements; an interrupt is
 *   asked for if and only if used.idx has passed used_event (or the flag does not forbid it),
 *   judged behind a barrier by a single load; the next decision covers what is published from then
 *   on
 * Section: 2.7.7.2, 2.7.8, 2.7.10, 2.7.14
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
#include "tests/proof/split.h"

#include "dataplane/vring_split.c"

static struct vring_dev vr, before;
static unsigned int id_stores, len_stores, idx_stores, loads;
static uint16_t head, loaded_value;
static uint32_t written;

static void stored(const void *at, uint64_t len, int order, uint64_t value)
{
	const struct vring_used_elem *elem = &vr.used->ring[before.used_next % vr.size];

	if (at == (const void *)&elem->id) {
		prove(len == 4 && value == head, "the head of the chain");
		id_stores++;
	} else if (at == (const void *)&elem->len) {
		prove(len == 4 && value == written, "the length of the chain");
		len_stores++;
	} else {
		prove(at == (const void *)&vr.used->idx && len == 2, "the index of the used ring");
		prove(order == __ATOMIC_RELEASE, "the elements are visible before the index");
		prove(value == vr.used_next, "the index is behind all elements");
		idx_stores++;
	}
}

static void loaded(const void *at, uint64_t len, uint64_t value)
{
	prove(barriers == 1 && loads == 0 && len == 2, "one load, behind a barrier");
	prove(at == (vr.event_idx ? (const void *)&vr.avail->ring[vr.size]
				  : (const void *)&vr.avail->flags),
	      "the field of this feature");
	loads++;
	loaded_value = (uint16_t)value;
}

static void push(void)
{
	before = vr;
	head = ANY(uint16_t);
	written = ANY(uint32_t);
	assume(head < vr.size);
	id_stores = len_stores = idx_stores = 0;

	vring_split_push(&vr, head, written);

	prove(id_stores == 1 && len_stores == 1 && !idx_stores, "one element and no index");
	prove(vr.used_next == (uint16_t)(before.used_next + 1), "the next place");
	prove(vr.published == before.published, "not visible yet");
}

int main(void)
{
	uint16_t old, k = ANY(uint16_t);
	bool any, notify;

	split_any(&vr);
	if (ANY(bool))
		push();
	if (ANY(bool))
		push();

	before = vr;
	id_stores = len_stores = idx_stores = 0;
	any = vring_split_publish(&vr);
	prove(any == (before.published != before.used_next), "whether there was an element");
	prove(idx_stores == any && !id_stores && !len_stores, "the index only, and only if any");
	prove(vr.published == vr.used_next && vr.used_next == before.used_next, "all is visible");
	prove(vr.signalled == before.signalled, "the next decision is about these, too");

	old = vr.signalled;
	notify = vring_split_should_notify(&vr);
	if (vr.event_idx) {
		/* Element k of those that were published since the last decision. */
		assume(k < (uint16_t)(vr.published - old));
		prove(notify || loaded_value != (uint16_t)(old + k), "no interrupt is missed");
		prove(!notify || (uint16_t)(loaded_value - old) < (uint16_t)(vr.published - old),
		      "no interrupt is sent that was not asked for");
		prove(vr.signalled == vr.published, "all is decided");
	} else {
		prove(notify == !(loaded_value & VRING_AVAIL_F_NO_INTERRUPT), "as the flag says");
	}
	prove(loads == 1 && barriers == 1, "the driver's wish was read");
	prove(vr.last_avail == before.last_avail && vr.in_flight[0] == before.in_flight[0] &&
		      split_holds(&vr),
	      "the ring's state stays valid");
}
