/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of how many descriptors a disk opens when its driver starts it: as many as the sandbox's
 * limit allows for, with every engine and with each fallback.
 */
#include <errno.h>
#include <sys/syscall.h>

#include "dataplane/evloop.h"
#include "tests/lib/disk.h"
#include "tests/lib/engines.h"
#include "tests/lib/refuse.h"
#include "tests/lib/suite.h"

static const struct {
	unsigned int queues, iothreads;
} layouts[] = { { 1, 1 }, { 5, 2 }, { 4, 4 } };

#define LAYOUTS ((int)ARRAY_SIZE(layouts))

static const struct ioengine_ops *ops_of(enum blk_engine engine)
{
	for (int way = 0; way < engine_ways(); way += 2)
		if (engine_way(way).engine == engine)
			return engine_way(way).ops;
	ck_abort_msg("an engine that tests/lib/engines.c does not know");
	return NULL;
}

/* Starts the disk, and returns how many it has opened for that, which `promised` has to cover. */
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

/* What an engine and its loop say they open is what they open. */
START_TEST(every_engine_opens_as_many_descriptors_as_it_says)
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

/* Refused engine by engine, the disk needs no more than it has said. */
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

	tcase_add_loop_test(t, every_engine_opens_as_many_descriptors_as_it_says, 0,
			    engine_count() * LAYOUTS);
	tcase_add_loop_test(t, fallback_opens_no_more_descriptors_than_were_counted, 0,
			    engine_count() * LAYOUTS);
	suite_add_tcase(s, t);
	return s;
}
