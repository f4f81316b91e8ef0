/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engines: the one list of I/O engines there are. A test that has to hold on every engine is a loop
 * test from 0 to engine_ways(): way 2 * n is engine n with O_DIRECT, the next one the same through the page
 * cache. That way is spared for sqpoll, which differs from io_uring in who submits: its thread in the kernel
 * spins for milliseconds after each use, and took more than half of the processor time of all these tests.
 */
#ifndef TESTS_ENGINES_H
#define TESTS_ENGINES_H

#include <stdbool.h>

#include "dataplane/ioengine.h"
#include "devices/virtio/blk.h"

struct engine_way {
	const char *name;
	const struct ioengine_ops *ops;
	enum blk_engine engine;
	bool slow; /* to wake, where processors are few: not for a test that only repeats itself */
	bool direct; /* where the file system of the images can do it */
};

int engine_count(void);
int engine_ways(void);
struct engine_way engine_way(int way);

/* How often a test that repeats itself does so: a tenth where only the ring is another than io_uring's,
 * whose ways take long on few processors. */
unsigned int engine_rounds(int way, unsigned int rounds);

#endif
