/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engines: the one list of I/O engines there are. A test that has to hold on every engine is a loop
 * test from 0 to engine_ways(): way 2 * n is engine n with O_DIRECT, way 2 * n + 1 is engine n
 * through the page cache.
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
	bool direct; /* where the file system of the images can do it */
};

int engine_count(void);
int engine_ways(void);
struct engine_way engine_way(int way);

/* How many rounds a test that repeats itself makes on this way. iopoll differs from io_uring by its
 * second ring only and is slow where processors are few: it gets a tenth of the rounds. */
unsigned int engine_rounds(int way, unsigned int rounds);

#endif
