/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Model of the notification protocol of a split ring (virtio 1.2, 2.7.7 and 2.7.10): when each side
 * may sleep. The device is dataplane/vring.c as blkplane drives it; the driver disables its
 * interrupt while it drains the ring, as Linux does.
 *
 *   -DEVENT_IDX    events as indices; without it, flags
 *   -D<MISTAKE>    one mistake (tests/model/run lists them); spin must find what it leads to
 *   -DROOM, -DMOD  other sizes
 *   -DOVERLAP=n    a hostile driver has laid out its rings so that a field of the device overlaps
 *                  one of its own: bit 0 selects the device's field, bit 1 the driver's. The driver
 *                  offers some entries and then stops; the only requirement is that the device
 *                  sleeps, too
 *
 * An error is: a state in which neither side can continue although the driver waits for entries
 * that it added (a lost doorbell or interrupt), an index that moves further than it may
 * (assertions), and an infinite run in which the driver gets nothing back (non-progress cycles).
 *
 * Memory: a store goes into a buffer of its CPU, one place for each location, and reaches memory at
 * any later time, stores to different locations in any order; a full barrier waits for all of them.
 * This is total and partial store order, with one store in flight per location. Neither side reads
 * its own writes. The model omits: loads that overtake loads, the contents of entries and elements
 * (acquire and release of the indices), several driver threads, a broken ring, reset and stop.
 */
#define SIZE 2	 /* entries of the ring */
#ifndef ROOM
#define ROOM 2	 /* most entries the I/O engine holds; below SIZE, the device runs out of room */
#endif
#ifndef MOD
#define MOD  8	 /* indices are modulo this, not 2^16 */
#endif
#define NEXT(i)	    (((i) + 1) % MOD)
#define MINUS(a, b) (((a) + MOD - (b)) % MOD)

/* vring_need_event of the specification, modulo MOD. */
#define NEED_EVENT(event, new, old) (MINUS(new, NEXT(event)) < MINUS(new, old))

/* Locations. Each has one writer: the driver's come first. */
#define AVAIL_IDX  0
#define USED_EVENT 1 /* without EVENT_IDX: avail.flags, 1 is NO_INTERRUPT */
#ifndef OVERLAP
#define USED_IDX   2
#define AVAIL_EVENT 3 /* without EVENT_IDX: used.flags, 1 is NO_NOTIFY */
#else
#define USED_IDX    (OVERLAP & 1 -> 2 : OVERLAP / 2)
#define AVAIL_EVENT (OVERLAP & 1 -> OVERLAP / 2 : 3)
#endif
byte memory[4];
byte stored[4];
bool buffered[4];

/* eventfds: a signal stays pending until it is read. */
bool doorbell, interrupt;

#define STORE(loc, v) atomic { !buffered[loc] -> stored[loc] = v; buffered[loc] = true }
#define LOAD(to, loc) to = memory[loc]
#define DRIVER_BARRIER !buffered[AVAIL_IDX] && !buffered[USED_EVENT]
#define DEVICE_BARRIER !buffered[USED_IDX] && !buffered[AVAIL_EVENT]

inline drain_buffer(loc)
{
	atomic {
		buffered[loc] -> memory[loc] = stored[loc];
		stored[loc] = 0;
		buffered[loc] = false
	}
}

/* Disables notifications: the event index is behind the driver if the driver has gone past it. */
inline disable_notify()
{
#ifndef EVENT_IDX
	STORE(AVAIL_EVENT, 1)
#else
	if
	:: notify_enabled ->
		notify_enabled = false;
		LOAD(avail, AVAIL_IDX);
		if
		:: avail == last -> STORE(AVAIL_EVENT, MINUS(last, 1))
		:: else
		fi
	:: else
	fi
#endif
}

/* Some requests in flight complete: publishes them once, decides once about the interrupt. */
inline turn_over()
{
	do
	:: used != last -> used = NEXT(used)
	:: break
	od;
	if
	:: published != used ->
#ifdef DECIDE_BEFORE_PUBLISH
		LOAD(event, USED_EVENT);
		STORE(USED_IDX, used);
		DEVICE_BARRIER;
#else
		STORE(USED_IDX, used);
#ifndef NO_BARRIER_DEVICE_NOTIFY
		DEVICE_BARRIER;
#endif
		LOAD(event, USED_EVENT);
#endif
		published = used;
#ifdef ONLY_LAST_OF_BATCH
		signalled = MINUS(published, 1);
#endif
		if
#ifdef EVENT_IDX
		:: NEED_EVENT(event, published, signalled) -> interrupt = true
#else
		:: !event -> interrupt = true
#endif
		:: else
		fi;
		signalled = published;
		event = 0
	:: else
	fi
}

active proctype store_buffers()
{
end:	do
	:: drain_buffer(0)
	:: drain_buffer(1)
	:: drain_buffer(2)
	:: drain_buffer(3)
	od
}

#ifdef OVERLAP
active proctype driver()
{
	byte avail = 0;

	do
	:: avail < SIZE ->
		avail++;
		STORE(AVAIL_IDX, avail)
	:: avail -> break
	od;
	doorbell = true
}
#else
active proctype driver()
{
	byte avail = 0;	  /* avail.idx as last stored */
	byte kicked = 0;  /* avail.idx at the last decision to kick */
	byte last = 0;	  /* the next used element to take */
	byte seen = 0, event = 0;
	bool waits = false; /* adds nothing more until all it added is back */

	do
	:: MINUS(avail, last) < SIZE && !waits ->
		/* Add one entry, or several before the doorbell. */
		do
		:: MINUS(avail, last) < SIZE ->
			avail = NEXT(avail);
			STORE(AVAIL_IDX, avail)
		:: avail != kicked -> break
		od;
#ifndef NO_BARRIER_DRIVER_KICK
		DRIVER_BARRIER;
#endif
		LOAD(event, AVAIL_EVENT);
		if
#ifdef EVENT_IDX
		:: NEED_EVENT(event, avail, kicked) -> doorbell = true
#else
		:: !event -> doorbell = true
#endif
		:: else
		fi;
		kicked = avail;
		event = 0

	/* Wait for all outstanding entries, as a guest does that reads a file. */
	:: avail != last && !waits -> waits = true

	:: interrupt ->
		interrupt = false;
again:
#ifndef EVENT_IDX
		STORE(USED_EVENT, 1); /* with EVENT_IDX, used_event simply stays behind */
#endif
		LOAD(seen, USED_IDX);
		do
		:: last != seen ->
			assert(MINUS(seen, last) <= MINUS(avail, last));
progress:
			last = NEXT(last)
		:: else -> break
		od;
#ifdef EVENT_IDX
		STORE(USED_EVENT, last);
#else
		STORE(USED_EVENT, 0);
#endif
#ifndef NO_BARRIER_DRIVER_ENABLE
		DRIVER_BARRIER;
#endif
#ifndef NO_RECHECK_DRIVER
		LOAD(seen, USED_IDX);
		if
		:: seen != last -> goto again
		:: else
		fi;
#endif
		seen = 0;
		if
		:: avail == last -> waits = false
		:: else
		fi
	od
}

#endif

active proctype device()
{
	byte last = 0;	    /* the next avail entry to pop; last - used are in flight */
	byte avail = 0;	    /* avail.idx as last loaded */
	byte used = 0;	    /* the next used element to fill */
	byte published = 0; /* used.idx as last stored */
	byte signalled = 0; /* published at the last decision to interrupt */
	byte budget = 0, event = 0;
	bool drained = false, no_room = false, notify_enabled = false;
	bool has_avail = false; /* this turn began because an entry was available */
	byte empty_turns = 0;	/* consecutive such turns that popped no entry */

sleep:
	if
	:: doorbell ->
#ifndef CLEAR_DOORBELL_LATE
		doorbell = false;
#endif
		empty_turns = 0
	:: used != last -> /* the engine has completed a request */
		used = NEXT(used);
		disable_notify();
		turn_over();
#ifdef NO_RECHECK_AFTER_DISABLE
		if
		:: no_room -> goto work
		:: else -> goto sleep
		fi
#endif
	fi;

work:
	drained = false;
	no_room = false;
	disable_notify();
	budget = SIZE;
	do
	:: budget && MINUS(last, used) < ROOM ->
		budget--;
		if
		:: last == avail ->
			LOAD(avail, AVAIL_IDX);
#ifdef OVERLAP
			if
			:: MINUS(avail, last) > SIZE -> goto broken
			:: else
			fi
#else
			assert(MINUS(avail, last) <= SIZE)
#endif
		:: else
		fi;
		if
		:: last == avail -> drained = true; break
		:: else -> last = NEXT(last); has_avail = false; empty_turns = 0
		fi
	:: else -> break
	od;
	budget = 0;
	if
	:: has_avail ->
		has_avail = false;
#ifdef OVERLAP
#ifndef NO_EMPTY_LIMIT
		empty_turns++;
		if
		:: empty_turns > 2 -> goto broken
		:: else
		fi
#endif
#else
		assert(false) /* a correct driver does not reach this */
#endif
	:: else
	fi;
	turn_over();

	if
	:: !drained && MINUS(last, used) == ROOM ->
		/* No room: doorbells stay disabled, and a completion continues. */
		no_room = true;
		goto rest
	:: !drained && MINUS(last, used) != ROOM -> goto work
	:: else
	fi;

	/* Enable notifications. */
	notify_enabled = true;
#if defined(ENABLE_ONE_AHEAD)
	STORE(AVAIL_EVENT, NEXT(last));
#elif defined(EVENT_IDX)
	STORE(AVAIL_EVENT, last);
#else
	STORE(AVAIL_EVENT, 0);
#endif
#ifndef NO_BARRIER_DEVICE_ENABLE
	DEVICE_BARRIER;
#endif
#ifndef NO_RECHECK_DEVICE
	LOAD(event, AVAIL_IDX);
	if
#ifdef ALWAYS_HAS_AVAIL
	:: event == last -> goto work
#endif
	:: event != last -> event = 0; has_avail = true; goto work
	:: else -> event = 0
	fi;
#endif
rest:
#ifdef CLEAR_DOORBELL_LATE
	doorbell = false;
#endif
	goto sleep;

#ifdef OVERLAP
broken:
end:	false
#endif
}
