/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/engines.h"

#include <stdio.h>

#include "dataplane/base.h"

static const struct {
	const char *name;
	const struct ioengine_ops *ops;
	enum blk_engine engine;
} engines[] = {
	{ "io_uring", &ioengine_uring, BLK_ENGINE_URING },
	{ "iopoll", &ioengine_iopoll, BLK_ENGINE_IOPOLL },
	{ "libaio", &ioengine_libaio, BLK_ENGINE_LIBAIO },
	{ "sync", &ioengine_sync, BLK_ENGINE_SYNC },
};

int engine_count(void)
{
	return (int)ARRAY_SIZE(engines);
}

int engine_ways(void)
{
	return 2 * engine_count();
}

struct engine_way engine_way(int way)
{
	return (struct engine_way){
		.name = engines[way / 2].name,
		.ops = engines[way / 2].ops,
		.engine = engines[way / 2].engine,
		.direct = way % 2 == 0,
	};
}

const char *engine_name(int i)
{
	return engines[i].name;
}

const char *engine_way_name(int way)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s%s", engines[way / 2].name,
		 engine_way(way).direct ? ", O_DIRECT" : "");
	return name;
}

const char *loop_name(int kind)
{
	static const char *const names[] = {
		[EVLOOP_EPOLL] = "epoll",
		[EVLOOP_URING] = "io_uring",
		[EVLOOP_IOPOLL] = "iopoll",
	};

	return names[kind];
}

unsigned int engine_rounds(int way, unsigned int rounds)
{
	return engine_way(way).ops == &ioengine_iopoll ? rounds / 10 : rounds;
}
