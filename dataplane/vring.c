/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/vring.h"

#include "dataplane/vring_internal.h"
#include "dataplane/vring_mirror.h"

COLD int vring_check(const struct hostmem *mem, const struct vring_config *config)
{
	struct vring_dev scratch;

	return vring_setup(&scratch, mem, config);
}

COLD int vring_setup(struct vring_dev *vr, const struct hostmem *mem,
		     const struct vring_config *config)
{
	if (!config->size || config->size > VRING_MAX_SIZE)
		return -EINVAL;
	*vr = (struct vring_dev){
		.mem = mem,
		.size = config->size,
		.event_idx = config->event_idx,
		.indirect = config->indirect,
		.packed = config->packed,
		.in_order = config->in_order,
	};
	return vr->packed ? vring_packed_setup(vr, config) : vring_split_setup(vr, config);
}

COLD int vring_continue(struct vring_dev *vr, const struct vring_base *base)
{
	return vr->packed ? vring_packed_continue(vr, base) : vring_split_continue(vr, base);
}

COLD void vring_position(const struct vring_dev *vr, struct vring_base *base)
{
	if (vr->packed)
		vring_packed_position(vr, base);
	else
		vring_split_position(vr, base);
	/* With IN_ORDER, the chains in flight are the youngest ones. */
	if (vr->in_order && vr->packed) {
		base->avail = base->used;
		base->avail_wrap = base->used_wrap;
	} else if (vr->in_order) {
		base->avail = (uint16_t)(base->avail - (vr->order.next - vr->order.first));
	}
}

COLD int vring_adopt(struct vring_dev *vr, uint16_t head, uint16_t length)
{
	if (head >= vr->size || bit_of(vr->in_flight, head) || !length || length > vr->size)
		return -EINVAL;
	chain_popped(vr, head);
	vr->ring.length[head] = length;
	return 0;
}

COLD uint16_t vring_chain_length(const struct vring_dev *vr, uint16_t head)
{
	return vr->packed ? vr->ring.length[head] : 1;
}

int vring_fail(struct vring_dev *vr, const char *why)
{
	return vr->broken ? -EBADMSG : break_ring(vr, why);
}

int vring_pop(struct vring_dev *vr, struct vring_chain *chain)
{
	if (vr->broken)
		return -EBADMSG;
	if (HAS_MIRROR(vr))
		return vring_mirror_pop(vr, chain);
	return vr->packed ? vring_packed_pop(vr, chain) : vring_split_pop(vr, chain);
}

/* Writes the used element of a chain, which is in flight no longer. */
static inline void vring_fill_used(struct vring_dev *vr, uint16_t head, uint32_t written)
{
	clear_bit_of(vr->in_flight, head);
	if (vr->packed)
		vring_packed_push(vr, head, written);
	else
		vring_split_push(vr, head, written);
}

/*
 * Stores the result of a finished chain, then writes the used elements of all chains at the front
 * of the order that are finished. Amortized over all pushes, each chain is visited twice. Not
 * inlined, so that vring_push without IN_ORDER need not save registers for this loop.
 */
static __attribute__((noinline)) void vring_push_in_order(struct vring_dev *vr, uint16_t head,
							  uint32_t written)
{
	struct vring_order *o = &vr->order;

	o->written[head] = written;
	set_bit_of(o->finished, head);
	while (o->first != o->next) {
		head = o->head[o->first % VRING_MAX_SIZE];
		if (!bit_of(o->finished, head))
			break;
		clear_bit_of(o->finished, head);
		vring_fill_used(vr, head, o->written[head]);
		o->first++;
	}
}

void vring_push(struct vring_dev *vr, uint16_t head, uint32_t written)
{
	if (vr->in_order)
		vring_push_in_order(vr, head, written);
	else
		vring_fill_used(vr, head, written);
}

bool vring_publish(struct vring_dev *vr)
{
	if (HAS_MIRROR(vr))
		return vring_mirror_publish(vr);
	return vr->packed ? vring_packed_publish(vr) : vring_split_publish(vr);
}

bool vring_should_notify(struct vring_dev *vr)
{
	return vr->packed ? vring_packed_should_notify(vr) : vring_split_should_notify(vr);
}

/* Records a change of the device's request for notifications in the dirty log. */
static __attribute__((noinline)) void vring_mark_event(const struct vring_dev *vr)
{
	if (vr->packed)
		vring_packed_mark_event(vr);
	else
		vring_split_mark_event(vr);
}

void vring_disable_notify(struct vring_dev *vr)
{
	if (vr->broken)
		return;
	if (vr->packed)
		vring_packed_disable_notify(vr);
	else
		vring_split_disable_notify(vr);
	if (__builtin_expect(vr->mem->dirty != NULL, 0))
		vring_mark_event(vr);
}

bool vring_has_avail(const struct vring_dev *vr)
{
	if (HAS_MIRROR(vr) && vring_mirror_replays(vr))
		return true;
	return vr->packed ? vring_packed_has_avail(vr) : vring_split_has_avail(vr);
}

bool vring_enable_notify(struct vring_dev *vr)
{
	bool has_avail;

	if (vr->broken)
		return false;
	has_avail = vr->packed ? vring_packed_enable_notify(vr) : vring_split_enable_notify(vr);
	if (__builtin_expect(vr->mem->dirty != NULL, 0))
		vring_mark_event(vr);
	return has_avail || (HAS_MIRROR(vr) && vring_mirror_replays(vr));
}
