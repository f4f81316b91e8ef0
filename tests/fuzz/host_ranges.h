/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of discards, zero writes and flushes for host.h. The helper thread and a vCPU call them,
 * too, not only the dataplane thread.
 */
#ifndef TESTS_FUZZ_HOST_RANGES_H
#define TESTS_FUZZ_HOST_RANGES_H

#include <errno.h>

#include "dataplane/ioengine.h"
#include "tests/fuzz/host.h"

/* Makes a system call fail with err. */
static inline int refuse(int err)
{
	errno = err;
	return -1;
}

/* Starts a case. Called while nothing is in flight. */
void ranges_begin(const struct host_case *c);
/* Checks a task that is about to be given to the engine. */
void ranges_check(const struct io_task *task);

#endif
