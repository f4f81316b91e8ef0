/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vring_split_setup, vring_split_enable_notify, vring_split_disable_notify,
 *   vring_split_has_avail
 * Bounds: rings of 1, 2 and 4 anywhere in RAM, any state and features; the driver adds any number
 *   of entries at any time
 * Properties: a new ring starts at 0, inside of RAM, aligned, with a size that is a power of two;
 *   enable stores its request, then a full barrier, then looks at avail.idx: for an entry added
 *   after the last pop, either the device finds it, or the request was stored before the entry was
 *   visible; with EVENT_IDX the driver that adds entry last_avail, and only that one, notifies;
 *   disable leaves no request that the next entry matches, unless there is an entry already
 * Section: 2.7, 2.7.7.1, 2.7.10
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_LOAD(at, len, order, value)	loaded(at, len, value)
#define ON_STORE(at, len, order, value) stored(at, len, value)
#define ON_BARRIER()			barrier()

static void barrier(void);
static void loaded(const void *at, uint64_t len, uint64_t value);
static void stored(const void *at, uint64_t len, uint64_t value);

#include "tests/proof/proof.h"
#include "tests/proof/ram.h"
#include "tests/proof/split.h"

#include "dataplane/vring_split.c"

static struct vring_dev vr, before;

/* Steps of a call, in their order: 1 store, 2 barrier, 3 load. */
static unsigned int stores, steps;
static uint16_t avail_idx, request;

static void barrier(void)
{
	steps = steps * 10 + 2;
}

static void loaded(const void *at, uint64_t len, uint64_t value)
{
	prove(at == (const void *)&vr.avail->idx && len == 2, "the driver's index");
	steps = steps * 10 + 3;
	avail_idx = (uint16_t)value;
}

static void stored(const void *at, uint64_t len, uint64_t value)
{
	prove(at == (vr.event_idx ? (const void *)&vr.used->ring[vr.size]
				  : (const void *)&vr.used->flags) &&
		      len == 2,
	      "the field of this feature");
	steps = steps * 10 + 1;
	stores++;
	request = (uint16_t)value;
}

static void unchanged(void)
{
	prove(vr.last_avail == before.last_avail && vr.avail_idx == before.avail_idx &&
		      vr.used_next == before.used_next && vr.published == before.published &&
		      vr.in_flight[0] == before.in_flight[0] && split_holds(&vr),
	      "indices and heads are left alone");
}

/* True when a driver that makes entry `index` visible sends a notification: the definition. */
static bool notifies(uint16_t index)
{
	return vr.event_idx ? request == index : !(request & VRING_USED_F_NO_NOTIFY);
}

static void setup(void)
{
	struct vring_config config = ANY(struct vring_config);
	int result;

	assume(config.size && config.size <= RING);
	ram_any();
	vr = (struct vring_dev){ .mem = &ram, .size = config.size };
	result = vring_split_setup(&vr, &config);
	prove(result == 0 || result == -EINVAL || result == -EFAULT, "result");
	prove(result || split_holds(&vr), "a new ring is valid");
	prove(result || (config.desc % 16 == 0 && config.avail % 2 == 0 && config.used % 4 == 0),
	      "aligned");
}

int main(void)
{
	bool more;

	setup();
	split_any(&vr);
	before = vr;
	if (ANY(bool)) {
		more = vring_split_enable_notify(&vr);
		prove(steps == 123, "request, barrier, then a look at the ring");
		prove(more == (avail_idx != vr.last_avail), "whether there is an entry");
		prove(notifies(vr.last_avail), "the next entry is notified");
		prove(vr.notify_enabled, "as asked");
	} else {
		/* The request of the last enable, which is in the ring. */
		uint16_t old = ANY(uint16_t);

		assume(!vr.notify_enabled || !vr.event_idx || old == vr.last_avail);
		request = old;
		vring_split_disable_notify(&vr);
		prove(stores <= 1 && !vr.notify_enabled, "at most one store");
		if (!vr.event_idx)
			prove(!notifies(vr.last_avail), "no notification by the flag");
		else if (before.notify_enabled && avail_idx == vr.last_avail)
			prove(!notifies(vr.last_avail), "no notification of the next entry");
		else
			prove(!stores, "an entry is there, or nothing was enabled: no store");
	}
	unchanged();
	prove(vring_split_has_avail(&vr) == (avail_idx != vr.last_avail), "the hint");
}
