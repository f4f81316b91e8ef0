/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls from other threads to a plane: start, stop, pause, resume and changes of its settings. */
#include <errno.h>
#include <sys/mman.h>

#include "dataplane/base.h"
#include "dataplane/blkplane_internal.h"
#include "dataplane/probes.h"

/* ---- Functions that run on the dataplane thread. ---- */

static void blkplane_run_start(struct iothread_call *call)
{
	struct plane_call *start = container_of(call, struct plane_call, call);
	struct blkplane *p = start->plane;
	struct evloop *loop = &p->config.thread->loop;

	start->err = evloop_watch(loop, &p->kick, p->config.kick_fd);
	if (!start->err && p->config.engine->event_fd >= 0) {
		start->err = evloop_watch(loop, &p->completion, p->config.engine->event_fd);
		if (start->err)
			evloop_unwatch(loop, &p->kick);
	}
	if (!start->err) {
		ioengine_begin(p->config.engine);
		iothread_add(p->config.thread, &p->client);
		/* Starts the requests that blkplane_load has added, if there are any. */
		blkpolicy_repeat(&p->parked, p->config.engine, p->config.disk.writethrough);
	}
	iothread_call_done(call);
}

/* Blocks popping for a call that a later turn of the plane answers. Returns the plane. */
static struct blkplane *blkplane_add_pending(struct iothread_call *call, enum plane_pending kind,
					     enum plane_blocked reason)
{
	struct plane_call *pending = container_of(call, struct plane_call, call);

	pending->plane->pending[kind] = pending;
	pending->plane->blocked |= reason;
	return pending->plane;
}

static void blkplane_run_stop(struct iothread_call *call)
{
	struct blkplane *p = blkplane_add_pending(call, PENDING_STOP, BLOCKED_STOP);

	ioengine_cancel_ranges(p->config.engine);
	blkplane_fail_parked(p);
}

static void blkplane_run_cache(struct iothread_call *call)
{
	ioengine_hold(blkplane_add_pending(call, PENDING_CACHE, BLOCKED_CACHE)->config.engine);
}

static void blkplane_run_pause(struct iothread_call *call)
{
	ioengine_hold(blkplane_add_pending(call, PENDING_PAUSE, BLOCKED_PAUSE)->config.engine);
}

static void blkplane_run_drain(struct iothread_call *call)
{
	ioengine_release(blkplane_add_pending(call, PENDING_PAUSE, BLOCKED_PAUSE)->config.engine);
}

/* The thread runs a turn after each call, so the ring is checked without a doorbell. */
static void blkplane_run_resume(struct iothread_call *call)
{
	struct blkplane *p = container_of(call, struct plane_call, call)->plane;

	p->blocked &= ~BLOCKED_PAUSE;
	ioengine_release(p->config.engine);
	blkpolicy_repeat(&p->parked, p->config.engine, p->config.disk.writethrough);
	iothread_call_done(call);
}

static void blkplane_run_capacity(struct iothread_call *call)
{
	struct plane_call *set = container_of(call, struct plane_call, call);

	set->plane->config.disk.capacity = set->capacity;
	iothread_call_done(call);
}

static void blkplane_run_limit(struct iothread_call *call)
{
	blkplane_throttle_reload(container_of(call, struct plane_call, call)->plane);
	iothread_call_done(call);
}

/* Answer a pending call: its caller continues, and after a stop frees the plane. */
static void blkplane_answer(struct blkplane *p, enum plane_pending kind)
{
	struct plane_call *call = p->pending[kind];

	p->pending[kind] = NULL;
	iothread_call_done(&call->call);
}

static void blkplane_detach(struct blkplane *p)
{
	struct iothread *t = p->config.thread;

	PROBE(reset, p);
	iothread_remove(t, &p->client);
	evloop_unwatch(&t->loop, &p->kick);
	if (p->config.engine->event_fd >= 0)
		evloop_unwatch(&t->loop, &p->completion);
	blkplane_answer(p, PENDING_STOP);
}

static void blkplane_switch_cache(struct blkplane *p)
{
	bool writethrough = p->pending[PENDING_CACHE]->writethrough;

	p->config.disk.writethrough = writethrough;
	ioengine_set_writethrough(p->config.engine, writethrough);
	p->blocked &= ~BLOCKED_CACHE;
	if (!(p->blocked & BLOCKED_PAUSE))
		ioengine_release(p->config.engine);
	blkplane_answer(p, PENDING_CACHE);
}

bool blkplane_answer_calls(struct blkplane *p)
{
	/* The rest of an interrupted discard, write-zeroes or transfer follows the new cache mode,
	 * so these tasks may stay in flight. */
	if (p->pending[PENDING_CACHE] && ioengine_transfers_done(p->config.engine)) {
		/* Doorbells rung during the switch had no effect, hence another turn. */
		blkplane_switch_cache(p);
		return true;
	}
	if (p->pending[PENDING_PAUSE] && !ioengine_working(p->config.engine))
		blkplane_answer(p, PENDING_PAUSE);
	/* Nothing stays parked in the engine: blkplane_run_stop has called
	 * ioengine_cancel_ranges. */
	if (p->pending[PENDING_STOP] && ioengine_drained(p->config.engine)) {
		/* The engine had no room for all of them. */
		if (vring_mirror_replays(&p->ring))
			return true;
		blkplane_detach(p);
	}
	return false;
}

/* ---- Functions that run on the calling thread. ---- */

static size_t blkplane_slots_bytes(const struct blkplane *p)
{
	return p->slot_size * (p->ring.size + 1u);
}

static size_t blkplane_slot_size(uint16_t ring_size)
{
	size_t size = sizeof(struct slot) + VRING_CHAIN_CAPACITY(ring_size) * sizeof(struct iovec);

	return (size + 63) & ~(size_t)63;
}

static void blkplane_free(struct blkplane *p)
{
	munmap(p->slots, blkplane_slots_bytes(p));
	cacheline_free(p);
}

int blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	struct blkplane *p = cacheline_alloc(sizeof(*p));
	struct plane_call start = { .call.run = blkplane_run_start, .plane = p };
	int err;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->inline_io.wait = INLINE_IO_MIN_STREAK;
	p->parked.tail = &p->parked.head;
	p->client = blkplane_client;
	blkplane_throttle_reload(p);

	err = vring_setup(&p->ring, config->mem, &config->ring);
	if (!err && config->mirror)
		err = vring_mirror_start(&p->ring, config->mirror, config->base);
	else if (!err && config->base)
		err = vring_continue(&p->ring, config->base);
	if (err)
		goto free_plane;
	p->slot_size = blkplane_slot_size(p->ring.size);
	p->slots = mmap(NULL, blkplane_slots_bytes(p), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->slots == MAP_FAILED) {
		err = -ENOMEM;
		goto free_plane;
	}
	ioengine_set_writethrough(config->engine, config->disk.writethrough);
	start.err = config->saved ? blkplane_load(p, config->saved, config->saved_bytes) : 0;
	if (!start.err)
		iothread_call(config->thread, &start.call);
	if (start.err) {
		blkplane_free(p);
		return start.err;
	}
	*plane = p;
	return 0;

free_plane:
	cacheline_free(p);
	return err;
}

static void blkplane_call(struct blkplane *p, struct plane_call *call)
{
	call->plane = p;
	iothread_call(p->config.thread, &call->call);
}

void blkplane_set_writethrough(struct blkplane *p, bool writethrough)
{
	blkplane_call(p, &(struct plane_call){ .call.run = blkplane_run_cache,
					       .writethrough = writethrough });
}

void blkplane_set_capacity(struct blkplane *p, uint64_t capacity)
{
	blkplane_call(p, &(struct plane_call){ .call.run = blkplane_run_capacity,
					       .capacity = capacity });
}

void blkplane_limit_changed(struct blkplane *p)
{
	blkplane_call(p, &(struct plane_call){ .call.run = blkplane_run_limit });
}

void blkplane_hold(struct blkplane *p)
{
	ioengine_hold(p->config.engine);
}

void blkplane_pause(struct blkplane *p)
{
	/* Without a worker thread the dataplane thread writes long runs of zeroes itself, and runs
	 * no call until it is interrupted. */
	blkplane_hold(p);
	blkplane_call(p, &(struct plane_call){ .call.run = blkplane_run_pause });
}

static void blkplane_drain_late(struct iothread_call *call)
{
	blkplane_hold(container_of(call, struct plane_call, call)->plane);
}

int blkplane_drain(struct blkplane *p, struct vring_base *position)
{
	struct plane_call drain = { .call.run = blkplane_run_drain, .plane = p };

	iothread_call_late(p->config.thread, &drain.call, BLKPLANE_DRAIN_MS, blkplane_drain_late);
	/* The dataplane thread leaves a paused plane without tasks alone. */
	if (p->ring.broken)
		return -EBADMSG;
	if (!ioengine_drained(p->config.engine))
		return -EBUSY;
	vring_position(&p->ring, position);
	return 0;
}

void blkplane_resume(struct blkplane *p)
{
	blkplane_call(p, &(struct plane_call){ .call.run = blkplane_run_resume });
}

void blkplane_stop(struct blkplane *p)
{
	struct plane_call stop = { .call.run = blkplane_run_stop, .plane = p };

	if (!p)
		return;
	blkplane_hold(p);
	iothread_call(p->config.thread, &stop.call);
	if (p->config.base)
		vring_position(&p->ring, p->config.base);
	blkplane_free(p);
}
