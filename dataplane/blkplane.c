/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <linux/virtio_config.h>

#include "dataplane/base.h"
#include "dataplane/blkplane_internal.h"
#include "dataplane/probes.h"

static __attribute__((noinline)) uint64_t blkplane_range_bytes(const struct slot *slot)
{
	uint64_t sum = 0;

	if (slot->req.kind == BLKREQ_DISCARD || slot->req.kind == BLKREQ_WRITE_ZEROES)
		for (unsigned int i = 0; i < slot->task.range_count; i++)
			sum += slot->task.range[i].len;
	return sum;
}

/* Bytes that a successful request has read, written, discarded or zeroed. */
static inline uint64_t blkplane_bytes_moved(const struct slot *slot)
{
	return slot->req.kind <= BLKREQ_WRITE ? slot->task.len : blkplane_range_bytes(slot);
}

/* Ends a request; every request ends here. `bytes` counts if the request succeeded. */
HOT_INLINE void blkplane_finish_request(struct blkplane *p, struct slot *slot, int result,
					uint64_t bytes)
{
	struct blkreq *req = &slot->req;
	bool answer = !(p->blocked & BLOCKED_BROKEN);
	uint32_t written = 0;

	/* The requests of a broken ring are drained without an answer to the driver. */
	if (answer)
		written = blkreq_finish(req, result);
	if (__builtin_expect(p->config.mem->dirty != NULL, 0))
		blkplane_mark_dirty(p, slot);
	if (answer) {
		blkstats_request(p->config.stats, req->kind, result || req->status_code, bytes);
		PROBE_2(push, p, req->chain.head, result);
		vring_push(&p->ring, req->chain.head, written);
	}
	blkplane_slot_put(p, slot);
}

/* End the request of a task that the engine has finished and that is not parked. */
static void blkplane_finish_task(struct blkplane *p, struct io_task *task)
{
	struct slot *slot = container_of(task, struct slot, task);

	if (p->config.latency)
		blkplane_times_reap(p, slot);
	blkplane_finish_request(p, slot, task->result, blkplane_bytes_moved(slot));
}

/* Report a failed task to the driver, or park it and pause the plane, as the error policy says. Not
 * inlined, to keep this rare path out of the hot loop. */
static __attribute__((noinline)) void blkplane_fail_request(struct blkplane *p,
							    struct io_task *task)
{
	bool first = !p->parked.head;

	/* A plane that is being stopped will not be resumed, and the driver is not told how a
	 * request of a broken ring ended: neither parks anything. */
	if (p->blocked & (BLOCKED_STOP | BLOCKED_BROKEN) ||
	    !blkpolicy_should_park(&p->config.policy, task, &p->parked)) {
		blkplane_finish_task(p, task);
		return;
	}
	p->blocked |= BLOCKED_PAUSE;
	if (first && p->config.listener)
		p->config.listener->stopped(p->config.listener, p->config.queue, task->op,
					    -task->result);
}

void blkplane_fail_parked(struct blkplane *p)
{
	struct io_task *task;

	while ((task = io_queue_take(&p->parked)))
		blkplane_finish_task(p, task);
}

HOT_INLINE void blkplane_submit_request(struct blkplane *p, struct slot *slot)
{
	struct io_task *task = &slot->task;
	struct ioengine *engine = p->config.engine;
	/* A request of another ring on this thread since this ring's previous request counts, too:
	 * a synchronous call here would delay that ring. */
	bool others_in_flight =
		!p->client.last_active || engine->in_flight || vring_has_avail(&p->ring);
	uint64_t begin;

	PROBE_4(submit, p, slot->req.chain.head, task->op, task->offset, task->len);
	if (!inline_io_should_try(&p->inline_io, others_in_flight)) {
		if (p->config.latency)
			blkplane_times_take(p, slot);
		ioengine_prep(engine, task);
		return;
	}
	begin = monotonic_ns();
	if (p->config.latency)
		blkplane_times_run(p, slot, begin);
	ioengine_run(engine, task);
	inline_io_report(&p->inline_io, monotonic_ns() - begin, vring_has_avail(&p->ring));
}

/* Pop and start one request. 1: popped; 0: the ring is empty; -errno: the ring is broken. */
HOT_INLINE int blkplane_pop_request(struct blkplane *p)
{
	struct slot *slot = blkplane_slot_get(p);
	struct vring_chain *chain = &slot->req.chain;
	enum blkreq_verdict verdict;
	int got;

	chain->iov = slot->iov;
	chain->capacity = VRING_CHAIN_CAPACITY(p->ring.size);
	got = vring_pop(&p->ring, chain);
	if (got <= 0) {
		blkplane_slot_put(p, slot);
		return got;
	}

	PROBE_1(pop, p, chain->head);
	verdict = blkreq_parse(&slot->req, &p->config.disk, &slot->task);
	PROBE_3(parse, p, chain->head, slot->req.kind, verdict);
	switch (verdict) {
	case BLKREQ_SUBMIT:
		if (p->throttle.active)
			blkplane_throttle_charge(p, &slot->task);
		blkplane_submit_request(p, slot);
		return 1;
	case BLKREQ_DONE:
		if (p->throttle.active)
			blkplane_throttle_charge(p, NULL);
		blkplane_finish_request(p, slot, 0, 0);
		return 1;
	case BLKREQ_BROKEN:
		break;
	}
	vring_push(&p->ring, chain->head, 0);
	blkplane_slot_put(p, slot);
	return vring_fail(&p->ring, "request without header or status byte");
}

/* Called when the plane has work: counts a poll hit if a successful poll led to this turn. */
static void blkplane_count_poll_hit(struct blkplane *p)
{
	if (p->client.poll_hit)
		blkstats_add(&p->config.stats->poll_hits, 1);
	p->client.poll_hit = false;
}

/* Push all finished requests, publish them together, and raise at most one interrupt. */
static void blkplane_complete(struct blkplane *p, struct iothread_served *served)
{
	struct io_task *task;
	bool wanted;

	while ((task = ioengine_finished(p->config.engine))) {
		struct slot *slot = container_of(task, struct slot, task);

		PROBE_3(complete, p, slot->req.chain.head, task->op, task->result);
		if (__builtin_expect(task->result, 0)) {
			blkplane_fail_request(p, task);
			continue;
		}
		if (p->config.latency)
			blkplane_times_reap(p, slot);
		blkplane_finish_request(p, slot, 0, blkplane_bytes_moved(slot));
	}
	p->times.reaped = 0;
	if (!vring_publish(&p->ring))
		return;
	served->published = true;
	blkplane_count_poll_hit(p);
	wanted = vring_should_notify(&p->ring);
	PROBE_1(notify, p, wanted);
	if (wanted) {
		blkstats_add(&p->config.stats->interrupts, 1);
		irqline_raise(p->config.irq, IRQLINE_USED_RING);
		served->irq = true;
	} else {
		blkstats_add(&p->config.stats->suppressed, 1);
	}
	if (p->times.answers)
		blkplane_times_answer(p);
}

/* Reports the broken ring, once, to the driver (DEVICE_NEEDS_RESET) and to the listener, and fails
 * the parked requests. The plane does not serve the ring again. */
static void blkplane_report_broken(struct blkplane *p)
{
	p->blocked |= BLOCKED_BROKEN;
	blkplane_fail_parked(p);
	PROBE_1(broken, p, p->ring.broken);
	/* Pairs with the acquire load of the status register on the vCPU thread. */
	__atomic_fetch_or(p->config.device_status, VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_SEQ_CST);
	irqline_raise(p->config.irq, IRQLINE_CONFIG);
	if (p->config.listener)
		p->config.listener->broken(p->config.listener, p->config.queue, p->ring.broken);
}

/* A pop has found the ring broken. */
static __attribute__((noinline)) void blkplane_ring_broke(struct blkplane *p)
{
	log_limited("%s: the guest broke its queue: %s", p->config.name, p->ring.broken);
	blkplane_report_broken(p);
}

/*
 * Called after each batch with the number of requests popped. Breaks the ring, and returns
 * -EBADMSG, when too many consecutive batches began because the ring seemed to have a chain and
 * then popped none: a driver can place its rings so that enabling doorbells shows an entry that
 * disabling them hides. Else returns 0.
 */
static int blkplane_check_progress(struct blkplane *p, unsigned int taken)
{
	if (taken)
		p->empty_turns = 0;
	else if (p->has_avail)
		p->empty_turns++;
	p->has_avail = false;
	if (p->empty_turns <= BLKPLANE_EMPTY_TURNS)
		return 0;
	return vring_fail(&p->ring, "available entries change when the device writes used ones");
}

static void blkplane_check_room(struct blkplane *p)
{
	if (ioengine_room(p->config.engine))
		p->blocked &= ~BLOCKED_NO_SLOT;
	else
		p->blocked |= BLOCKED_NO_SLOT;
}

/* Pops and submits one batch, of at most as many requests as the ring has entries, and completes
 * finished requests. True: the ring may have more. */
static bool blkplane_process_batch(struct blkplane *p, struct iothread_served *served)
{
	unsigned int budget = p->ring.size;
	unsigned int taken = 0;
	int got = 1;

	blkplane_check_room(p);
	if (p->throttle.active)
		blkplane_throttle_check(p);
	vring_disable_notify(&p->ring);
	while (!p->blocked && budget-- && (got = blkplane_pop_request(p)) > 0) {
		taken++;
		blkplane_check_room(p);
	}
	if (taken) {
		served->popped = taken;
		blkplane_count_poll_hit(p);
		blkstats_batch(p->config.stats, taken);
	}
	if (got >= 0 && blkplane_check_progress(p, taken))
		got = -EBADMSG;
	if (p->times.batch)
		blkplane_times_submit(p);
	if (p->config.latency)
		blkplane_times_end_batch(p);
	ioengine_submit(p->config.engine);
	/* Requests that are finished by now are completed in this turn. With an io_uring engine the
	 * batch has not left yet: it is on the event loop's ring, and evloop_turn, which the thread
	 * calls next, submits it. */
	if (ioengine_ready(p->config.engine))
		ioengine_reap(p->config.engine);
	blkplane_complete(p, served);

	if (got < 0) {
		blkplane_ring_broke(p);
		return false;
	}
	blkplane_check_room(p);
	/* While the engine is full, requests stay in the ring and doorbells stay disabled. */
	if (p->blocked & BLOCKED_NO_SLOT)
		return false;
	if (p->blocked & BLOCKED_THROTTLE) {
		blkplane_throttle_wait(p);
		return false;
	}
	return got > 0;
}

/*
 * Pops the requests that were in flight when the previous process ended, as far as the engine has
 * room. They are popped before a stop, too: the position at which the ring stops counts them.
 */
static COLD void blkplane_replay(struct blkplane *p)
{
	while (vring_mirror_replays(&p->ring) && ioengine_room(p->config.engine) &&
	       blkplane_pop_request(p) > 0)
		;
	if (p->ring.broken)
		blkplane_ring_broke(p);
}

static struct iothread_served blkplane_serve(struct iothread_client *client)
{
	struct iothread_served served = { 0 };
	struct blkplane *p = container_of(client, struct blkplane, client);

	p->client.due = 0;
	p->blocked &= ~(BLOCKED_NO_SLOT | BLOCKED_THROTTLE);
	if (p->kick.wakeups) {
		blkstats_add(&p->config.stats->kicks, p->kick.wakeups);
		p->kick.wakeups = 0;
		p->empty_turns = 0;
	}
	if (ioengine_working(p->config.engine)) {
		/* The driver may answer with new requests; they are popped below without a
		 * doorbell. */
		vring_disable_notify(&p->ring);
		ioengine_reap(p->config.engine);
		blkplane_complete(p, &served);
	}
	if (!p->blocked) {
		served.more = blkplane_process_batch(p, &served);
		return served;
	}
	/* The plane must not pop requests now, but has to finish those in flight. */
	if (p->pending[PENDING_STOP] && vring_mirror_replays(&p->ring))
		blkplane_replay(p);
	ioengine_submit(p->config.engine);
	blkplane_complete(p, &served);
	served.more = blkplane_answer_calls(p);
	return served;
}

static bool blkplane_peek(struct iothread_client *client)
{
	struct blkplane *p = container_of(client, struct blkplane, client);

	if (ioengine_ready(p->config.engine))
		return true;
	if (p->blocked || !vring_has_avail(&p->ring))
		return false;
	p->has_avail = true;
	return true;
}

static bool blkplane_enable_notify(struct iothread_client *client)
{
	struct blkplane *p = container_of(client, struct blkplane, client);

	/* These completions were collected outside the thread's own turn, for example by the
	 * evloop_unwatch of another ring, so no further wake-up will announce them. */
	if (ioengine_ready(p->config.engine))
		return true;
	if (p->blocked)
		return false;
	blkstats_add(&p->config.stats->sleeps, 1);
	if (!vring_enable_notify(&p->ring))
		return false;
	p->has_avail = true;
	return true;
}

/* The event loop has failed. The driver is told by DEVICE_NEEDS_RESET, as for a broken ring. */
static void blkplane_loop_failed(struct iothread_client *client)
{
	struct blkplane *p = container_of(client, struct blkplane, client);
	struct evloop *loop = &p->config.thread->loop;

	ioengine_give_up(p->config.engine);
	if (p->blocked & BLOCKED_BROKEN)
		return;
	if (!loop->failure_logged)
		log_error("%s: %s: %s: a dataplane thread of this disk stops", p->config.name,
			  loop->failed_call, strerror(-loop->failed));
	loop->failure_logged = true;
	vring_fail(&p->ring, "the host refuses I/O");
	blkplane_report_broken(p);
}

const struct iothread_client blkplane_client = {
	.serve = blkplane_serve,
	.peek = blkplane_peek,
	.enable_notify = blkplane_enable_notify,
	.failed = blkplane_loop_failed,
};
