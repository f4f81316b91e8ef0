/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_ranges: discards and write-zeroes of an I/O engine.
 *
 * The helper thread (ioworker.h) executes them in order. The engine's thread can cancel them; a
 * hold parks them until the engine's thread releases them.
 */
#include "dataplane/base.h"
#include "dataplane/ioengine.h"

void ioengine_ranges_prep(struct ioengine *e, struct io_task *task)
{
	task->range_at = 0;
	e->ranges_in_flight++;
	e->need_submit = true;
	io_queue_put(&e->range_tasks, task);
}

void ioengine_park(struct ioengine *e, struct io_task *task)
{
	io_queue_put(&e->parked, task);
	e->parked_count++;
}

/* Takes a task back from the worker: finishes it, parks it if the worker was interrupted by a hold,
 * or makes it wait for a claim. */
static void ioengine_ranges_settle(struct ioengine *e, struct io_task *task, int result)
{
	if (result == IORANGES_BLOCKED) {
		ioengine_await_claim(e, task);
		return;
	}
	if (result != IORANGES_PARKED) {
		e->ranges_in_flight--;
		ioengine_finish(e, task, result);
		return;
	}
	if (READ_ONCE(e->ranges.hold)) {
		ioengine_park(e, task);
		return;
	}
	/* The hold ended before the task came back, or the task was interrupted after one step. No
	 * later release would continue it. */
	e->need_submit = true;
	io_queue_put(&e->range_tasks, task);
}

/* Where the host cannot create the helper thread, the ranges are executed synchronously on the
 * engine's thread: one step of each task in a turn. */
void ioengine_ranges_submit(struct ioengine *e)
{
	struct io_task *task = e->range_tasks.head, *next;

	if (!e->worker) {
		ioworker_create(&e->worker, &e->ranges, e->config.loop, e->config.worker_begin);
		e->ranges.stepwise = !e->worker;
	}
	e->range_tasks = (struct io_queue){ .tail = &e->range_tasks.head };
	for (; task; task = next) {
		next = task->next;
		if (e->worker)
			ioworker_give(e->worker, task);
		else
			ioengine_ranges_settle(e, task, ioranges_run(&e->ranges, task));
	}
}

void ioengine_ranges_reap(struct ioengine *e)
{
	struct io_task *task, *next;

	for (task = ioworker_collect(e->worker); task; task = next) {
		next = task->next;
		ioengine_ranges_settle(e, task, task->result);
	}
}

void ioengine_set_writethrough(struct ioengine *e, bool stable)
{
	WRITE_ONCE(e->ranges.stable, stable);
	/* Pairs with the barrier in ioranges_run. */
	full_barrier();
	for (struct io_task *task = e->parked.head; task; task = task->next)
		task->stable = task->op == IO_WRITE && stable;
}

void ioengine_hold(struct ioengine *e)
{
	WRITE_ONCE(e->ranges.hold, true);
}

void ioengine_release(struct ioengine *e)
{
	unsigned int count = e->parked_count;

	WRITE_ONCE(e->ranges.hold, false);
	e->parked_count = e->parked_transfers = 0;
	/* Another thread may set a hold again during this loop, and tasks are then parked again.
	 * The count ensures that each task is taken only once. */
	while (count--) {
		struct io_task *task = io_queue_take(&e->parked);

		e->need_submit = true;
		if (task->op > IO_FLUSH)
			io_queue_put(&e->range_tasks, task);
		else
			ioengine_next_segment(e, task);
	}
}

void ioengine_cancel_ranges(struct ioengine *e)
{
	WRITE_ONCE(e->ranges.cancel, true);
	/* Released tasks go back to the worker, which fails them with -ECANCELED. */
	ioengine_release(e);
}
