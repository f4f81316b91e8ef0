/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/blkplane.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <linux/virtio_config.h>

#include "dataplane/base.h"
#include "dataplane/evloop.h"

#define THREAD_STACK (256u << 10)

/* A request from pop to push. */
struct slot {
	struct blkreq req;
	struct io_task task;
	struct slot *next_free;
	struct iovec iov[];
};

struct blkplane {
	struct blkplane_config config;
	struct vring_dev ring;
	struct evloop loop;
	struct ev_source kick;
	struct ev_source completion;
	pthread_t thread;

	bool again;   /* look at the ring before waiting */
	bool starved; /* stopped popping for want of a free place in the engine */
	bool stopping;
	bool broken; /* the driver has been told that the ring is broken */

	/* One slot per ring entry, and one to look for the next request with. The one freed last is
	 * used first, and never-used ones last, so only as many are ever touched as requests were
	 * in flight at once. */
	char *slots;
	size_t slot_size;
	unsigned int slots_used;
	struct slot *free_slot;
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
		ioengine_prep(p->config.engine, &slot->task);
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

/* Submit what was prepared, complete what is finished, tell the driver once. */
static void turn_over(struct blkplane *p)
{
	struct io_task *task;

	ioengine_submit(p->config.engine);
	while ((task = ioengine_finished(p->config.engine)))
		finish(p, container_of(task, struct slot, task), task->result);
	if (vring_publish(&p->ring) && vring_should_notify(&p->ring))
		irqline_raise(p->config.irq, IRQLINE_USED_RING);
}

static void tell_broken(struct blkplane *p)
{
	if (p->broken)
		return;
	p->broken = true;
	log_limited("%s: the guest broke its queue: %s", p->config.name, p->ring.broken);
	/* Pairs with the vCPU's acquire load of the status register. */
	__atomic_fetch_or(p->config.device_status, VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_SEQ_CST);
	irqline_raise(p->config.irq, IRQLINE_CONFIG);
}

/* One batch: at most one ring full, then everybody else gets a turn. */
static void serve_ring(struct blkplane *p)
{
	unsigned int budget = p->ring.size;
	unsigned int room = ioengine_room(p->config.engine);
	int got = 1;

	p->again = false;
	p->starved = false;
	if (p->stopping || p->broken)
		return;

	vring_disarm(&p->ring);
	while (budget-- && room && (got = take(p)) > 0)
		room = ioengine_room(p->config.engine);
	turn_over(p);

	if (got < 0)
		tell_broken(p);
	else if (!room && ioengine_room(p->config.engine) == 0)
		p->starved = true; /* the ring is the queue; no doorbells until there is room */
	else if (got > 0 || vring_arm(&p->ring))
		p->again = true;
}

static void on_kick(void *arg)
{
	struct blkplane *p = arg;

	p->again = true;
}

static void on_completion(void *arg)
{
	struct blkplane *p = arg;

	ioengine_reap(p->config.engine);
	turn_over(p);
	if (p->starved)
		p->again = true;
}

static bool drained(const struct blkplane *p)
{
	return p->config.engine->in_flight == 0;
}

static void *plane_main(void *arg)
{
	struct blkplane *p = arg;

	p->again = true;
	while (!p->stopping || !drained(p)) {
		if (p->again)
			serve_ring(p);
		evloop_wait(&p->loop, p->again ? 0 : -1);
		p->stopping = evloop_stopping(&p->loop);
	}
	return NULL;
}

static int start_thread(struct blkplane *p)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	err = pthread_create(&p->thread, &attr, plane_main, p);
	pthread_attr_destroy(&attr);
	return -err;
}

static void release(struct blkplane *p)
{
	munmap(p->slots, slots_bytes(p));
	free(p);
}

int blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	struct blkplane *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->kick = (struct ev_source){ .handle = on_kick, .arg = p };
	p->completion = (struct ev_source){ .handle = on_completion, .arg = p };

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
	err = evloop_init(&p->loop);
	if (err)
		goto release_slots;
	err = evloop_add(&p->loop, config->kick_fd, &p->kick);
	if (!err && config->engine->event_fd >= 0)
		err = evloop_add(&p->loop, config->engine->event_fd, &p->completion);
	if (!err)
		err = start_thread(p);
	if (err)
		goto destroy_loop;
	*plane = p;
	return 0;

destroy_loop:
	evloop_destroy(&p->loop);
release_slots:
	release(p);
	return err;
free_plane:
	free(p);
	return err;
}

void blkplane_stop(struct blkplane *p)
{
	if (!p)
		return;
	evloop_stop(&p->loop);
	pthread_join(p->thread, NULL);
	evloop_destroy(&p->loop);
	release(p);
}
