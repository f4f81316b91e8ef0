/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_progress: the part of host.h that says how often a dataplane thread may turn without getting
 * anything done. The plane's thread calls all of it while a plane runs, but for what is said of other
 * threads.
 */
#ifndef TESTS_FUZZ_HOST_PROGRESS_H
#define TESTS_FUZZ_HOST_PROGRESS_H

#include "dataplane/blkplane.h"

/* A plane is about to start; any thread. */
void progress_start(const struct blkplane_config *config);

/* Another thread has something to say to the plane's: a turn for nothing is all right. Any thread. */
void progress_woken(void);

/* A request was popped, pushed, or moved a segment. */
void progress_made(void);

/*
 * A thread is about to turn, and may sleep if `wait` is set. Fails when a thread that has nothing to do
 * has not slept for longer than it takes to look again. False: that turn is not to be judged, because it
 * belongs to the next one or is the turn of another disk's thread, which may be late to fall asleep.
 */
bool progress_turn(const struct evloop *loop, bool wait);

#endif
