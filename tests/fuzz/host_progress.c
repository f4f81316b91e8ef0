/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/host_progress.h"

#include "dataplane/base.h"
#include "tests/fuzz/host.h"

__typeof__(adaptive_poll_budget) __real_adaptive_poll_budget, __wrap_adaptive_poll_budget;

/*
 * Number of turns without work: one that finds the ring empty, more because notifications are
 * enabled late, and more because a doorbell or call of another thread is marked earlier than the
 * turn that it causes. A thread that spins has many more.
 */
#define IDLE_TURNS 16

static struct {
	struct iothread *thread; /* atomic: the plane's */
	bool empty_turns;	 /* atomic: entries may come and go by themselves */
	bool woken;		 /* atomic */
	const struct blkplane_stats *stats;
	uint64_t kicks;	 /* value in stats at the last turn */
	bool made;	 /* progress since then */
	bool polls_next; /* the next turn is the one before polling */
	unsigned int idle_turns;
} progress;

void host_expect_empty_turns(bool expected)
{
	STORE_RELEASE(progress.empty_turns, expected);
}

void progress_start(const struct blkplane_config *config)
{
	STORE_RELEASE(progress.thread, config->thread);
	progress.stats = config->stats;
	progress.kicks = config->stats->kicks;
	progress.made = false;
	progress.idle_turns = 0;
}

void progress_woken(void)
{
	STORE_RELEASE(progress.woken, true);
}

void progress_made(void)
{
	progress.made = true;
}

static bool is_planes(const struct evloop *loop)
{
	const struct iothread *thread = LOAD_ACQUIRE(progress.thread);

	return thread && loop == &thread->loop;
}

/* Prepared requests are submitted before the thread polls: that turn belongs to the next one. */
uint64_t __wrap_adaptive_poll_budget(struct adaptive_poll *l, enum poll_target what)
{
	uint64_t budget = __real_adaptive_poll_budget(l, what);

	if (is_planes(&container_of(l, struct iothread, adaptive_poll)->loop))
		progress.polls_next = budget;
	return budget;
}

bool progress_turn(const struct evloop *loop, bool wait)
{
	unsigned int most = IDLE_TURNS;
	bool woken, rang;

	if (!is_planes(loop))
		return false;
	if (progress.polls_next) {
		progress.polls_next = false;
		return false;
	}
	woken = __atomic_exchange_n(&progress.woken, false, __ATOMIC_ACQ_REL);
	rang = progress.kicks != progress.stats->kicks;
	progress.kicks = progress.stats->kicks;
	if (woken || rang)
		progress.idle_turns = 0;
	if (wait || progress.made)
		progress.idle_turns = 0;
	else
		progress.idle_turns++;
	progress.made = false;
	/* The limit of empty turns that breaks the ring, and the turn that finds it broken. */
	if (LOAD_ACQUIRE(progress.empty_turns))
		most += BLKPLANE_EMPTY_TURNS + 1;
	fuzz_must(progress.idle_turns <= most);
	return true;
}
