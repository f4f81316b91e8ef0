/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/blkplane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <linux/virtio_config.h>

#include "dataplane/alone.h"
#include "dataplane/base.h"
#include "dataplane/evloop.h"

/* A request from pop to push. */
struct slot {
	struct blkreq req;
	struct slot *next_free;
	struct io_task task;
	struct iovec iov[];
};

struct blkplane {
	struct blkplane_config config;
	struct vring_dev ring;
	struct iothread_client client;
	struct ev_watch kick;
	struct ev_watch completion;
	struct iothread_call *stop;  /* to be answered when all is drained */
	struct plane_call *cache;    /* the same; then the ring is served on */
	struct iothread_call *pause; /* the same; then the ring is left alone */

	struct alone alone;
	bool starved; /* stopped popping for want of a free place in the engine */
	bool broken;  /* the driver has been told that the ring is broken */
	bool paused;  /* nothing is taken until it is resumed */

	/* One slot per ring entry, and one to look for the next request with. The one freed last is
	 * used first, and never-used ones last, so only as many are ever touched as requests were
	 * in flight at once. */
	char *slots;
	size_t slot_size;
	unsigned int slots_used;
	struct slot *free_slot;
};

/* What another thread has to say to a plane. */
struct plane_call {
	struct iothread_call call;
	struct blkplane *plane;
	bool writethrough;
	uint64_t capacity;
	int err;
};

static size_t slots_bytes(const struct blkplane *p)
{
	return p->slot_size * (p->ring.size + 1u);
}

static size_t slot_size(uint16_t ring_size)
{
	size_t size = sizeof(struct slot) + VRING_CHAIN_CAPACITY(ring_size) * sizeof(struct iovec);

	return (size + 63) & ~(size_t)63;
}

/* There is one: no more heads can be in flight than the ring has entries. */
static struct slot *slot_get(struct blkplane *p)
{
	struct slot *slot = p->free_slot;

	if (slot) {
		p->free_slot = slot->next_free;
		return slot;
	}
	return (struct slot *)(p->slots + p->slot_size * p->slots_used++);
}

static void slot_put(struct blkplane *p, struct slot *slot)
{
	slot->next_free = p->free_slot;
	p->free_slot = slot;
}

/* The one place where a request ends. */
static void finish(struct blkplane *p, struct slot *slot, int result)
{
	/* A broken queue's requests are only drained: the driver has to reset it. */
	if (!p->broken)
		vring_push(&p->ring, slot->req.chain.head, blkreq_finish(&slot->req, result));
	slot_put(p, slot);
}

static void start(struct blkplane *p, struct io_task *task)
{
	struct ioengine *engine = p->config.engine;
	/* Rings that share the thread are company, too, unless they have long been silent. */
	bool company = !iothread_busy_again(p->config.thread, &p->client) || engine->in_flight ||
		       vring_more(&p->ring);
	uint64_t begin;

	if (!alone_try(&p->alone, company)) {
		ioengine_prep(engine, task);
		return;
	}
	begin = monotonic_ns();
	ioengine_run(engine, task);
	alone_tried(&p->alone, monotonic_ns() - begin, vring_more(&p->ring));
}

/* Take one request off the ring. 1: taken; 0: none left; negative: the ring is broken. */
static int take(struct blkplane *p)
{
	struct slot *slot = slot_get(p);
	struct vring_chain *chain = &slot->req.chain;
	int got;

	chain->iov = slot->iov;
	chain->capacity = VRING_CHAIN_CAPACITY(p->ring.size);
	got = vring_pop(&p->ring, chain);
	if (got <= 0) {
		slot_put(p, slot);
		return got;
	}

	switch (blkreq_parse(&slot->req, &p->config.disk, &slot->task)) {
	case BLKREQ_SUBMIT:
		start(p, &slot->task);
		return 1;
	case BLKREQ_DONE:
		finish(p, slot, 0);
		return 1;
	case BLKREQ_BROKEN:
		break;
	}
	vring_push(&p->ring, chain->head, 0);
	slot_put(p, slot);
	return vring_fail(&p->ring, "request without header or status byte");
}

/* The only writer. */
static void count(uint64_t *counter, uint64_t n)
{
	WRITE_ONCE(*counter, *counter + n);
}

/* Complete what is finished, tell the driver once. */
static void complete(struct blkplane *p)
{
	struct io_task *task;

	while ((task = ioengine_finished(p->config.engine)))
		finish(p, container_of(task, struct slot, task), task->result);
	if (!vring_publish(&p->ring))
		return;
	iothread_told(p->config.thread);
	if (vring_should_notify(&p->ring)) {
		count(&p->config.stats->interrupts, 1);
		irqline_raise(p->config.irq, IRQLINE_USED_RING);
	}
}

/* Once: a broken ring is not served again. */
static void tell_broken(struct blkplane *p)
{
	p->broken = true;
	log_limited("%s: the guest broke its queue: %s", p->config.name, p->ring.broken);
	/* Pairs with the vCPU's acquire load of the status register. */
	__atomic_fetch_or(p->config.device_status, VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_SEQ_CST);
	irqline_raise(p->config.irq, IRQLINE_CONFIG);
	if (p->config.watch)
		p->config.watch->broken(p->config.watch, p->config.queue, p->ring.broken);
}

/* One batch: at most one ring full. True: there may be more. */
static bool take_batch(struct blkplane *p)
{
	unsigned int budget = p->ring.size;
	unsigned int room = ioengine_room(p->config.engine);
	unsigned int taken = 0;
	int got = 1;

	p->starved = false;
	vring_disarm(&p->ring);
	while (budget-- && room && (got = take(p)) > 0) {
		taken++;
		room = ioengine_room(p->config.engine);
	}
	if (taken) {
		count(&p->config.stats->requests, taken);
		count(&p->config.stats->batches, 1);
		iothread_took(p->config.thread, taken);
	}
	ioengine_submit(p->config.engine);
	/* What the host could do at once is done. */
	if (ioengine_ready(p->config.engine))
		ioengine_reap(p->config.engine);
	complete(p);

	if (got < 0)
		tell_broken(p);
	else if (!room && ioengine_room(p->config.engine) == 0)
		p->starved = true; /* the ring is the queue; no doorbells until there is room */
	else
		return got > 0;
	return false;
}

static bool drained(const struct blkplane *p)
{
	return p->config.engine->in_flight == 0;
}

/* On the dataplane thread, as all from here to blkplane_start. */
static void leave(struct blkplane *p)
{
	struct iothread *t = p->config.thread;

	iothread_remove(t, &p->client);
	evloop_unwatch(&t->loop, &p->kick);
	if (p->config.engine->event_fd >= 0)
		evloop_unwatch(&t->loop, &p->completion);
	iothread_answer(p->stop);
}

static bool takes(const struct blkplane *p)
{
	return !p->stop && !p->cache && !p->broken && !p->paused;
}

static void switch_cache(struct blkplane *p)
{
	struct plane_call *cache = p->cache;

	p->config.disk.writethrough = cache->writethrough;
	ioengine_set_stable(p->config.engine, cache->writethrough);
	p->cache = NULL;
	iothread_answer(&cache->call);
}

static bool serve(struct iothread_client *client)
{
	struct blkplane *p = container_of(client, struct blkplane, client);

	if (p->config.engine->in_flight) {
		/* What is given back may bring new requests, which are looked for below. */
		vring_disarm(&p->ring);
		ioengine_reap(p->config.engine);
		complete(p);
	}
	if (takes(p))
		return take_batch(p);
	/* What is left of the host's work. */
	ioengine_submit(p->config.engine);
	complete(p);
	/* A discard or zeroes may take long, and can still become stable. */
	if (p->cache && ioengine_transfers_done(p->config.engine)) {
		/* What came in meanwhile rang in vain. */
		switch_cache(p);
		return true;
	}
	if (p->pause && drained(p)) {
		iothread_answer(p->pause);
		p->pause = NULL;
	}
	if (p->stop && drained(p))
		leave(p);
	return false;
}

static bool peek(struct iothread_client *client)
{
	struct blkplane *p = container_of(client, struct blkplane, client);

	if (ioengine_ready(p->config.engine))
		return true;
	return takes(p) && !p->starved && vring_more(&p->ring);
}

static bool arm(struct iothread_client *client)
{
	struct blkplane *p = container_of(client, struct blkplane, client);

	/* Collected by a turn that was not the thread's own, as when another ring leaves: nothing
	 * will wake it for that again. */
	if (ioengine_ready(p->config.engine))
		return true;
	if (!takes(p) || p->starved)
		return false;
	count(&p->config.stats->sleeps, 1);
	return vring_arm(&p->ring);
}

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
	iothread_answer(call);
}

static void run_stop(struct iothread_call *call)
{
	struct plane_call *stop = container_of(call, struct plane_call, call);

	stop->plane->stop = call;
	ioengine_hurry(stop->plane->config.engine);
}

static void run_cache(struct iothread_call *call)
{
	struct plane_call *cache = container_of(call, struct plane_call, call);

	cache->plane->cache = cache;
}

static void run_pause(struct iothread_call *call)
{
	struct blkplane *p = container_of(call, struct plane_call, call)->plane;

	p->paused = true;
	p->pause = call;
}

/* A call is followed by a turn: the ring is looked at. */
static void run_resume(struct iothread_call *call)
{
	container_of(call, struct plane_call, call)->plane->paused = false;
	iothread_answer(call);
}

static void run_capacity(struct iothread_call *call)
{
	struct plane_call *set = container_of(call, struct plane_call, call);

	set->plane->config.disk.capacity = set->capacity;
	iothread_answer(call);
}

static void release(struct blkplane *p)
{
	munmap(p->slots, slots_bytes(p));
	lines_free(p);
}

int blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	struct blkplane *p = lines_alloc(sizeof(*p));
	struct plane_call start = { .call.run = run_start, .plane = p };
	int err;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->alone.wait = ALONE_FIRST;
	p->client = (struct iothread_client){ .serve = serve, .peek = peek, .arm = arm };

	err = vring_setup(&p->ring, config->mem, &config->ring);
	if (err)
		goto free_plane;
	p->slot_size = slot_size(p->ring.size);
	p->slots = mmap(NULL, slots_bytes(p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (p->slots == MAP_FAILED) {
		err = -ENOMEM;
		goto free_plane;
	}
	ioengine_set_stable(config->engine, config->disk.writethrough);
	iothread_call(config->thread, &start.call);
	if (start.err) {
		release(p);
		return start.err;
	}
	*plane = p;
	return 0;

free_plane:
	lines_free(p);
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

void blkplane_pause(struct blkplane *p)
{
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
	iothread_call(p->config.thread, &stop.call);
	release(p);
}
