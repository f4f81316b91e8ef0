/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Model of the notification protocol of a packed ring (virtio 1.2, 2.8.10): descriptors that both
 * sides use cyclically, and an event structure of each side, read and written as one. The device is
 * dataplane/vring_packed.c as blkplane drives it; the driver disables its interrupt while it
 * drains. Errors, memory model and omissions are those of notify.pml. Chains have one descriptor.
 *
 *   -DEVENT_IDX    events as positions; without it, on and off
 *   -D<MISTAKE>    one mistake (tests/model/run lists them); spin must find what it leads to
 */
#define SIZE 2 /* descriptors */

/* A descriptor: its owner, and the wrap counter of the last change; 0: unused so far. */
#define AVAIL(wrap) (1 + (wrap))
#define USED(wrap)  (3 + (wrap))

/*
 * An event structure: a position (offset and wrap counter), or one of two values without a
 * position.
 */
#define AT(off, wrap) ((off) + SIZE * (wrap))
#define ENABLE	      (2 * SIZE)
#define DISABLE	      (2 * SIZE + 1)

/*
 * Whether the last `count` positions up to (off, wrap) include `event`, as the device computes it.
 */
#ifdef WRAP_IGNORED
#define SAME(event, wrap) true
#else
#define SAME(event, wrap) (((event) >= SIZE) == (wrap))
#endif
#define BEHIND(event, off, wrap) ((off) - (event) % SIZE - 1 + (SAME(event, wrap) -> 0 : SIZE))
#define PASSED(event, off, wrap, count) \
	(BEHIND(event, off, wrap) >= 0 && BEHIND(event, off, wrap) < (count))
#define WANTED(event, off, wrap, count) \
	((event) == ENABLE || ((event) < ENABLE && PASSED(event, off, wrap, count)))

/*
 * Locations: the descriptors, the driver's event, the device's. Each has a place in either buffer;
 * the first SIZE + 2 places are the driver's.
 */
#define DRIVER_EVENT SIZE
#define DEVICE_EVENT (SIZE + 1)
#define PLACES	     (SIZE + 2)
byte memory[PLACES];
byte stored[2 * PLACES];
bool buffered[2 * PLACES];
bool doorbell = true; /* a device polls the ring when it is started */
bool interrupt;

#define STORE(who, loc, v) \
	atomic { !buffered[(who) * PLACES + (loc)] -> \
		 stored[(who) * PLACES + (loc)] = v; buffered[(who) * PLACES + (loc)] = true }
#define BARRIER(who) \
	!buffered[(who) * PLACES] && !buffered[(who) * PLACES + 1] && \
	!buffered[(who) * PLACES + 2] && !buffered[(who) * PLACES + 3]
#define ADVANCE(off, wrap) off = off + 1; if :: off == SIZE -> off = 0; wrap = !wrap :: else fi

inline drain_buffer(i)
{
	atomic {
		buffered[i] -> memory[(i) % PLACES] = stored[i];
		stored[i] = 0;
		buffered[i] = false
	}
}

active proctype store_buffers()
{
end:	do
	:: drain_buffer(0)
	:: drain_buffer(1)
	:: drain_buffer(2)
	:: drain_buffer(4)
	:: drain_buffer(5)
	:: drain_buffer(7)
	od
}

active proctype driver()
{
	byte put = 0, take = 0, out = 0; /* next to fill, next to take, number in between */
	bool put_wrap = true, take_wrap = true;
	byte added = 0, event = 0;
	bool waits = false;

	/* The state before the device was started. */
#ifdef EVENT_IDX
	memory[DRIVER_EVENT] = AT(0, 1);
#else
	memory[DRIVER_EVENT] = ENABLE;
#endif
	do
	:: out < SIZE && !waits ->
		do
		:: out < SIZE ->
			STORE(0, put, AVAIL(put_wrap));
			out++;
			added++;
			atomic { ADVANCE(put, put_wrap) }
		:: added -> break
		od;
#ifndef NO_BARRIER_DRIVER_KICK
		BARRIER(0);
#endif
		event = memory[DEVICE_EVENT];
		if
		:: WANTED(event, put, put_wrap, added) -> doorbell = true
		:: else
		fi;
		added = 0;
		event = 0

	:: out && !waits -> waits = true

	:: interrupt ->
		interrupt = false;
again:
		STORE(0, DRIVER_EVENT, DISABLE);
		do
		:: out && memory[take] == USED(take_wrap) ->
progress:
			out--;
			atomic { ADVANCE(take, take_wrap) }
		:: else -> break
		od;
#ifdef EVENT_IDX
		STORE(0, DRIVER_EVENT, AT(take, take_wrap));
#else
		STORE(0, DRIVER_EVENT, ENABLE);
#endif
#ifndef NO_BARRIER_DRIVER_ENABLE
		BARRIER(0);
#endif
#ifndef NO_RECHECK_DRIVER
		if
		:: out && memory[take] == USED(take_wrap) -> goto again
		:: else
		fi;
#endif
		if
		:: !out -> waits = false
		:: else
		fi
	od
}

/*
 * While the device's own store to a descriptor is in its buffer, the descriptor is not available.
 */
#define HAS_AVAIL (!buffered[PLACES + at] && memory[at] == AVAIL(at_wrap))

active proctype device()
{
	byte at = 0, used = 0, in_flight = 0; /* next to pop, next to complete, number in between */
	bool at_wrap = true, used_wrap = true;
	byte count = 0, first = 0, event = 0, written = ENABLE;
	bool first_wrap = false, done = false;

sleep:
	if
	:: doorbell ->
#ifndef CLEAR_DOORBELL_LATE
		doorbell = false
#endif
	:: in_flight -> done = true /* the engine has completed a request */
	fi;

work:
	/* Disable notifications. */
	if
	:: written != DISABLE -> written = DISABLE; STORE(1, DEVICE_EVENT, DISABLE)
	:: else
	fi;
	do
	:: in_flight < SIZE && HAS_AVAIL ->
		in_flight++;
		atomic { ADVANCE(at, at_wrap) }
	:: else -> break
	od;

	/* Complete some requests: the flags of the first one are stored last. */
	first = used;
	first_wrap = used_wrap;
#ifdef DECIDE_BEFORE_PUBLISH
	event = memory[DRIVER_EVENT];
#endif
	do
	:: in_flight ->
		if
		:: count -> STORE(1, used, USED(used_wrap))
		:: else
		fi;
		done = false;
		in_flight--;
		count++;
		atomic { ADVANCE(used, used_wrap) }
	:: !done -> break
	od;
	if
	:: count ->
		BARRIER(1); /* a release */
		STORE(1, first, USED(first_wrap));
#ifndef NO_BARRIER_DEVICE_NOTIFY
		BARRIER(1);
#endif
#ifndef DECIDE_BEFORE_PUBLISH
		event = memory[DRIVER_EVENT];
#endif
#ifdef ONLY_LAST_OF_BATCH
		count = 1;
#endif
		if
		:: WANTED(event, used, used_wrap, count) -> interrupt = true
		:: else
		fi
	:: else
	fi;
	count = 0;
	event = 0;
	first = 0;
	first_wrap = false;

	/* Enable notifications. */
#if defined(ENABLE_ONE_AHEAD)
	written = AT((at + 1) % SIZE, (at + 1 == SIZE -> !at_wrap : at_wrap));
#elif defined(EVENT_IDX)
	written = AT(at, at_wrap);
#else
	written = ENABLE;
#endif
	STORE(1, DEVICE_EVENT, written);
#ifndef NO_BARRIER_DEVICE_ENABLE
	BARRIER(1);
#endif
#ifndef NO_RECHECK_DEVICE
	if
#ifdef ALWAYS_HAS_AVAIL
	:: true -> goto work
#endif
	:: in_flight < SIZE && HAS_AVAIL -> goto work
	:: else
	fi;
#endif
#ifdef CLEAR_DOORBELL_LATE
	doorbell = false;
#endif
	goto sleep
}
