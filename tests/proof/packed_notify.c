/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vring_packed_setup, vring_packed_enable_notify, vring_packed_disable_notify,
 *   vring_packed_has_avail
 * Bounds: rings of 1 to 4 anywhere in RAM, any state and features
 * Properties: a new ring starts at 0 with both wrap counters at 1, inside of RAM, aligned; enable
 *   stores its request, then a full barrier, then looks at the descriptor that is read next; the
 *   request names that descriptor and its wrap counter, so that a driver that makes it available
 *   notifies; disable forbids all, and stores nothing when that is in the ring already
 * Section: 2.8.1, 2.8.7.1, 2.8.10
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_LOAD(at, len, order, value)	loaded(at, len, value)
#define ON_STORE(at, len, order, value) stored(at, len, value)
#define ON_BARRIER()			(steps = steps * 10 + 2)

/* Steps of a call, in their order: 1 store, 2 barrier, 3 load. */
static unsigned int steps;
static void loaded(const void *at, uint64_t len, uint64_t value);
static void stored(const void *at, uint64_t len, uint64_t value);

#include "tests/proof/proof.h"
#include "tests/proof/ram.h"
#include "tests/proof/packed.h"

#include "dataplane/vring_packed.c"

static struct vring_dev vr;
static uint16_t flags;

/* The device event structure in the ring. */
static uint32_t request;

static void loaded(const void *at, uint64_t len, uint64_t value)
{
	prove(at == (const void *)&vr.ring.desc[vr.ring.avail_next].flags && len == 2,
	      "the descriptor that is read next");
	steps = steps * 10 + 3;
	flags = (uint16_t)value;
}

static void stored(const void *at, uint64_t len, uint64_t value)
{
	prove(at == (const void *)vr.ring.device_event && len == 4, "the device event, at once");
	steps = steps * 10 + 1;
	request = (uint32_t)value;
}

/* A descriptor is available when AVAIL is the driver's wrap counter, and USED is not (2.8.1). */
static bool is_available(bool wrap)
{
	return !!(flags & AVAIL) == wrap && !!(flags & USED) != wrap;
}

/* True when a driver that makes this descriptor available sends a notification. */
static bool notifies(uint16_t position, bool wrap)
{
	switch (request >> 16 & 3) {
	case VRING_PACKED_EVENT_FLAG_ENABLE:
		return true;
	case VRING_PACKED_EVENT_FLAG_DESC:
		return (request & 0x7fff) == position && (request >> 15 & 1) == wrap;
	default:
		return false;
	}
}

static void setup(void)
{
	struct vring_config config = ANY(struct vring_config);
	int result;

	assume(config.size && config.size <= RING);
	ram_any();
	vr = (struct vring_dev){ .mem = &ram, .size = config.size, .packed = true };
	result = vring_packed_setup(&vr, &config);
	prove(result == 0 || result == -EINVAL || result == -EFAULT, "result");
	prove(result || packed_holds(&vr), "a new ring is valid");
	prove(result || (config.desc % 16 == 0 && config.avail % 4 == 0 && config.used % 4 == 0),
	      "aligned");
	prove(result || (vr.ring.avail_next == 0 && vr.ring.used_next == 0 && avail_wrap(&vr) &&
			 used_wrap(&vr)),
	      "at the start");
}

int main(void)
{
	bool more, wrap;
	uint16_t next;

	setup();
	packed_any(&vr);
	request = vr.ring.event;
	next = vr.ring.avail_next;
	wrap = avail_wrap(&vr);
	if (ANY(bool)) {
		more = vring_packed_enable_notify(&vr);
		prove(steps == 123, "request, barrier, then a look at the ring");
		prove(more == is_available(wrap), "whether there is a chain");
		prove(notifies(next, wrap), "the next chain is notified");
		prove(!vr.event_idx || !notifies((uint16_t)((next + 1) % vr.size), !wrap),
		      "and no other");
	} else {
		vring_packed_disable_notify(&vr);
		prove(!notifies(next, wrap) && request >> 16 == 1, "no notification");
		prove(steps <= 1, "at most one store");
	}
	prove(vr.ring.event == request, "the copy is what is in the ring");
	prove(vr.ring.avail_next == next && packed_holds(&vr), "the ring's state stays valid");
	prove(vring_packed_has_avail(&vr) == is_available(wrap), "the hint");
}
