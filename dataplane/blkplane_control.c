/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls from other threads to a plane: start, stop, pause, resume and changes of its settings. */
#include <errno.h>
#include <sys/mman.h>

#include "dataplane/base.h"
#include "dataplane/blkplane_internal.h"

/* ---- Functions that run on the dataplane thread. ---- */

static void run_start(struct iothread_call *call)
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
	}
	iothread_call_done(call);
}

static void run_stop(struct iothread_call *call)
{
	struct blkplane *p = container_of(call, struct plane_call, call)->plane;

	p->stop = call;
	ioengine_cancel_ranges(p->config.engine);
	blkplane_fail_parked(p);
}

static void run_cache(struct iothread_call *call)
{
	struct plane_call *cache = container_of(call, struct plane_call, call);

	cache->plane->cache = cache;
	ioengine_hold(cache->plane->config.engine);
}

static void run_pause(struct iothread_call *call)
{
	struct blkplane *p = container_of(call, struct plane_call, call)->plane;

	p->paused = true;
	p->pause = call;
	ioengine_hold(p->config.engine);
}

/* The thread runs a turn after each call, so the ring is checked without a doorbell. */
static void run_resume(struct iothread_call *call)
{
	struct blkplane *p = container_of(call, struct plane_call, call)->plane;

	p->paused = false;
	ioengine_release(p->config.engine);
	blkpolicy_repeat(&p->parked, p->config.engine, p->config.disk.writethrough);
	iothread_call_done(call);
}

static void run_capacity(struct iothread_call *call)
{
	struct plane_call *set = container_of(call, struct plane_call, call);

	set->plane->config.disk.capacity = set->capacity;
	iothread_call_done(call);
}

static void run_limit(struct iothread_call *call)
{
	blkplane_throttle_reload(container_of(call, struct plane_call, call)->plane);
	iothread_call_done(call);
}

/* ---- Functions that run on the calling thread. ---- */

static size_t slots_bytes(const struct blkplane *p)
{
	return p->slot_size * (p->ring.size + 1u);
}

static size_t slot_size(uint16_t ring_size)
{
	size_t size = sizeof(struct slot) + VRING_CHAIN_CAPACITY(ring_size) * sizeof(struct iovec);

	return (size + 63) & ~(size_t)63;
}

static void release(struct blkplane *p)
{
	munmap(p->slots, slots_bytes(p));
	cacheline_free(p);
}

int blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	struct blkplane *p = cacheline_alloc(sizeof(*p));
	struct plane_call start = { .call.run = run_start, .plane = p };
	int err;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->inline_io.wait = INLINE_IO_MIN_STREAK;
	p->parked.tail = &p->parked.head;
	p->client = blkplane_client;
	blkplane_throttle_reload(p);

	err = vring_setup(&p->ring, config->mem, &config->ring);
	if (!err && config->base)
		err = vring_continue(&p->ring, config->base);
	if (err)
		goto free_plane;
	p->slot_size = slot_size(p->ring.size);
	p->slots = mmap(NULL, slots_bytes(p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (p->slots == MAP_FAILED) {
		err = -ENOMEM;
		goto free_plane;
	}
	ioengine_set_writethrough(config->engine, config->disk.writethrough);
	iothread_call(config->thread, &start.call);
	if (start.err) {
		release(p);
		return start.err;
	}
	*plane = p;
	return 0;

free_plane:
	cacheline_free(p);
	return err;
}

static void call_plane(struct blkplane *p, struct plane_call *call)
{
	call->plane = p;
	iothread_call(p->config.thread, &call->call);
}

void blkplane_set_writethrough(struct blkplane *p, bool writethrough)
{
	call_plane(p, &(struct plane_call){ .call.run = run_cache, .writethrough = writethrough });
}

void blkplane_set_capacity(struct blkplane *p, uint64_t capacity)
{
	call_plane(p, &(struct plane_call){ .call.run = run_capacity, .capacity = capacity });
}

void blkplane_limit_changed(struct blkplane *p)
{
	call_plane(p, &(struct plane_call){ .call.run = run_limit });
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
	call_plane(p, &(struct plane_call){ .call.run = run_pause });
}

void blkplane_resume(struct blkplane *p)
{
	call_plane(p, &(struct plane_call){ .call.run = run_resume });
}

void blkplane_stop(struct blkplane *p)
{
	struct plane_call stop = { .call.run = run_stop, .plane = p };

	if (!p)
		return;
	blkplane_hold(p);
	iothread_call(p->config.thread, &stop.call);
	if (p->config.base)
		vring_position(&p->ring, p->config.base);
	release(p);
}
