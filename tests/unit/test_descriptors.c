/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the number of file descriptors that a disk opens when its driver starts it. It must be
 * the number that the sandbox's limit includes, with every engine and with each fallback.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "dataplane/evloop.h"
#include "tests/lib/cases.h"
#include "tests/lib/disk.h"
#include "tests/lib/engines.h"
#include "tests/lib/refuse.h"
#include "tests/lib/suite.h"

static const struct {
	unsigned int queues, iothreads;
} layouts[] = { { 1, 1 }, { 5, 2 }, { 4, 4 } };

#define LAYOUTS ((int)ARRAY_SIZE(layouts))

/* Returns the name of combination i: an engine, and numbers of queues and threads. */
static const char *case_name(int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s, %u queues, %u iothreads", engine_name(i / LAYOUTS),
		 layouts[i % LAYOUTS].queues, layouts[i % LAYOUTS].iothreads);
	return name;
}

static const struct ioengine_ops *ops_of(enum blk_engine engine)
{
	for (int way = 0; way < engine_ways(); way += 2)
		if (engine_way(way).engine == engine)
			return engine_way(way).ops;
	ck_abort_msg("the engine is not in tests/lib/engines.c");
	return NULL;
}

/* Starts a disk. Returns the number of descriptors that it opened; *promised is the number that it
 * announced. */
static unsigned int opened(enum blk_engine engine, int layout, unsigned int *promised)
{
	static struct disk d;
	unsigned int before, n;

	disk_init(&d, engine);
	d.config.queues = layouts[layout].queues;
	d.config.iothreads = layouts[layout].iothreads;
	disk_open(&d);
	*promised = blk_fds(d.blk);
	before = count_fds();
	disk_bring_up(&d, 16, DISK_FEATURES);
	n = count_fds() - before;
	disk_fini(&d);
	return n;
}

START_TEST(every_engine_opens_as_many_descriptors_as_it_announces)
{
	const struct ioengine_ops *ops = engine_way(2 * (_i / LAYOUTS)).ops;
	int layout = _i % LAYOUTS;
	unsigned int promised;
	unsigned int n = opened(engine_way(2 * (_i / LAYOUTS)).engine, layout, &promised);

	ck_assert_uint_le(n, promised);
	ck_assert_uint_eq(n, layouts[layout].iothreads * evloop_fds(ops->loop) +
				     layouts[layout].queues * ops->fds);
}
END_TEST

/* The host refuses one engine after the other, and the disk falls back. */
START_TEST(fallback_opens_no_more_descriptors_than_were_counted)
{
	static const int no_uring[] = { SYS_io_uring_setup, -1 };
	static const int no_aio[] = { SYS_io_setup, -1 };
	enum blk_engine engine = engine_way(2 * (_i / LAYOUTS)).engine;
	const struct ioengine_ops *libaio = ops_of(BLK_ENGINE_LIBAIO);
	int layout = _i % LAYOUTS;
	unsigned int promised, n;

	refuse_calls(no_uring, EPERM);
	n = opened(engine, layout, &promised);
	ck_assert_uint_le(n, promised);
	if (engine != BLK_ENGINE_SYNC)
		ck_assert_uint_eq(n, layouts[layout].iothreads * evloop_fds(libaio->loop) +
					     layouts[layout].queues * libaio->fds);
	refuse_calls(no_aio, ENOSYS);
	ck_assert_uint_le(opened(engine, layout, &promised), promised);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("descriptors");
	TCase *t = tcase_create("descriptors");

	tcase_add_named_test(t, every_engine_opens_as_many_descriptors_as_it_announces,
			     engine_count() * LAYOUTS, case_name);
	tcase_add_named_test(t, fallback_opens_no_more_descriptors_than_were_counted,
			     engine_count() * LAYOUTS, case_name);
	suite_add_tcase(s, t);
	return s;
}
