/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engines: the list of all I/O engines, with and without O_DIRECT.
 *
 * A test that must pass on each engine is a loop test over 0 to engine_ways() - 1. Combination
 * 2 * n is engine n with O_DIRECT; combination 2 * n + 1 is engine n through the page cache.
 */
#ifndef TESTS_ENGINES_H
#define TESTS_ENGINES_H

#include <stdbool.h>

#include "dataplane/ioengine.h"
#include "devices/virtio/blk.h"

/* An engine, with or without O_DIRECT. */
struct engine_way {
	const char *name;
	const struct ioengine_ops *ops;
	enum blk_engine engine;
	bool direct; /* use O_DIRECT if the file system of the images supports it */
};

/* Returns the number of engines. */
int engine_count(void);

/* Returns the number of combinations of an engine with or without O_DIRECT. */
int engine_ways(void);

/* Returns combination `way`. */
struct engine_way engine_way(int way);

/* Return the name of engine i, and of combination `way`, valid until the next call. */
const char *engine_name(int i);
const char *engine_way_name(int way);

/* Returns the name of an event loop: kind is an enum evloop_kind. */
const char *loop_name(int kind);

#endif
