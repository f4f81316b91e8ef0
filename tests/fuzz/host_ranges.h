/* SPDX-License-Identifier: BSD-3-Clause */
/* host_ranges: the part of host.h that is not the dataplane thread's: discards, zeroes and flushes,
 * which the helper thread, and a vCPU, ask for, too. */
#ifndef TESTS_FUZZ_HOST_RANGES_H
#define TESTS_FUZZ_HOST_RANGES_H

#include <errno.h>

#include "dataplane/ioengine.h"
#include "tests/fuzz/host.h"

/* A system call that failed. */
static inline int refuse(int err)
{
	errno = err;
	return -1;
}

/* While nothing is in flight. */
void ranges_begin(const struct host_case *c);
/* A task that is about to be given to the engine. */
void ranges_check(const struct io_task *task);

#endif
