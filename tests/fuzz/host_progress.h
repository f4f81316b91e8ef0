/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Progress oracle of host.h: bounds the turns of a dataplane thread that get nothing done. The
 * plane's thread makes all calls while a plane runs, except where another thread is named.
 */
#ifndef TESTS_FUZZ_HOST_PROGRESS_H
#define TESTS_FUZZ_HOST_PROGRESS_H

#include "dataplane/blkplane.h"

/* A plane is about to start. Any thread. */
void progress_start(const struct blkplane_config *config);

/*
 * Another thread has woken the plane's thread, so one turn without progress is allowed. Any thread.
 */
void progress_woken(void);

/* Reports progress: a request was popped or pushed, or moved a segment. */
void progress_made(void);

/*
 * Reports that a thread is about to turn, and may sleep if `wait` is set. Fails when a thread
 * without work has not slept for longer than polling again takes. Returns false if the turn is not
 * judged, because it belongs to the next one, or to the thread of another disk, which may be late
 * to sleep.
 */
bool progress_turn(const struct evloop *loop, bool wait);

#endif
