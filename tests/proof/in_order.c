/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vring_push, vring_pop's record of the order, with and without IN_ORDER
 * Bounds: up to 4 chains in flight, in any order of popping, any of them finished; any indices
 * Properties: with IN_ORDER, used elements are written in the order of popping, each chain once,
 *   with the length of its own push, and never before an earlier chain is finished; without it, at
 *   once; a chain whose element is written is in flight no longer
 * Section: 2.7.9 (in-order use of descriptors)
 */
#include "tests/proof/proof.h"
#include "tests/proof/ram.h"
#include "tests/proof/ring.h"

#include "dataplane/vring.c"

static struct vring_dev vr, before;
static uint16_t head;
static uint32_t written;
static unsigned int elements;

/* The chain that was popped `i` chains behind the first one in flight. */
static uint16_t nth(const struct vring_dev *of, unsigned int i)
{
	return of->order.head[(of->order.first + i) % VRING_MAX_SIZE];
}

static unsigned int order_count(const struct vring_dev *of)
{
	return (uint16_t)(of->order.next - of->order.first);
}

/* What holds for the order between any two calls. */
static bool order_holds(const struct vring_dev *of)
{
	uint64_t heads = 0;
	unsigned int count = order_count(of);

	if (count > of->size || !of->size || of->size > RING)
		return false;
	for (unsigned int i = 0; i < RING; i++) {
		if (i >= count)
			continue;
		if (nth(of, i) >= of->size || heads >> nth(of, i) & 1)
			return false;
		heads |= 1ull << nth(of, i);
	}
	return heads == of->in_flight[0] && !(of->order.finished[0] & ~heads) &&
	       !(count && of->order.finished[0] >> nth(of, 0) & 1);
}

/* In place of the format's own push (split_publish.c). */
void vring_split_push(struct vring_dev *v, uint16_t which, uint32_t len)
{
	uint16_t expected = vr.in_order ? nth(&before, elements) : head;

	prove(v == &vr && which == expected, "in the order of popping");
	prove(which == head || before.order.finished[0] >> which & 1, "finished");
	prove(len == (which == head ? written : before.order.written[which]), "its own length");
	prove(!(vr.in_flight[0] >> which & 1), "in flight no longer");
	elements++;
}

int main(void)
{
	vr = ANY(struct vring_dev);
	vr.mem = &ram;
	vr.packed = false;
	vr.mirror = NULL;
	head = ANY(uint16_t);
	written = ANY(uint32_t);
	assume(head < vr.size && vr.size <= RING && vr.in_flight[0] >> head & 1);
	if (vr.in_order) {
		assume(order_holds(&vr));
		/* The caller pushes a chain once. */
		assume(!(vr.order.finished[0] >> head & 1));
	}
	before = vr;

	vring_push(&vr, head, written);

	if (vr.in_order) {
		prove(order_holds(&vr), "the order stays valid: the next chain is not finished");
		prove(elements == order_count(&before) - order_count(&vr), "an element for each");
		prove(elements || before.order.finished[0] != vr.order.finished[0],
		      "written, or remembered");
	} else {
		prove(elements == 1, "one element");
		prove(vr.in_flight[0] == (before.in_flight[0] & ~(1ull << head)), "of this chain");
	}
}
