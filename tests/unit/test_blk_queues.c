/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a disk with several queues, and of the threads that serve them. Linked with --wrap: the
 * test sees the threads of the planes, and simulates the CPUs of the host.
 */
#include <dirent.h>
#include <errno.h>
#include <libaio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/blkplane.h"
#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/queues.h"
#include "tests/lib/suite.h"

#define QUEUES 4u
#define ALL    QUEUES_ALL(QUEUES)

static struct disk d;
static struct mockdrv q[QUEUES];
static uint64_t format; /* features of the rings: RING_PACKED, IN_ORDER */

/* ---- the host ---- */

static struct iothread *thread_of[QUEUES]; /* thread of the plane of each queue */
static unsigned int host_cpus;		   /* number of CPUs; 0: the real one */
static int affinity_error;
static unsigned int io_setup_fails; /* number of the next call that fails, from 1; 0: none */

int __real_blkplane_start(struct blkplane **plane, const struct blkplane_config *config);
int __wrap_blkplane_start(struct blkplane **plane, const struct blkplane_config *config);
int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __real_io_setup(int depth, io_context_t *ctx);
int __wrap_io_setup(int depth, io_context_t *ctx);

int __wrap_blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	for (unsigned int i = 0; i < QUEUES; i++)
		if (config->kick_fd == q[i].kick_fd)
			thread_of[i] = config->thread;
	return __real_blkplane_start(plane, config);
}

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	if (affinity_error) {
		errno = affinity_error;
		return -1;
	}
	if (!host_cpus)
		return __real_sched_getaffinity(pid, size, set);
	CPU_ZERO_S(size, set);
	for (unsigned int i = 0; i < host_cpus; i++)
		CPU_SET_S(i, size, set);
	return 0;
}

int __wrap_io_setup(int depth, io_context_t *ctx)
{
	if (io_setup_fails && !--io_setup_fails)
		return -EAGAIN;
	return __real_io_setup(depth, ctx);
}

/* ---- a driver with queues ---- */

static void init(enum blk_engine engine)
{
	queues_init(&d, engine, QUEUES);
}

static void bring_up(unsigned int ready)
{
	queues_bring_up(&d, q, ready, QUEUES_FEATURES | format);
}

static void read_on(unsigned int which)
{
	queues_read(&d, q, which);
}

START_TEST(features_and_configuration_space_with_queues)
{
	for (unsigned int queues = 1; queues <= VIRTIO_MAX_QUEUES; queues *= 4) {
		uint16_t said = 0;

		disk_init(&d, BLK_ENGINE_SYNC);
		d.config.queues = queues;
		disk_open(&d);
		ck_assert_int_eq(!!(reg_offered(&d.mmio) & BIT64(VIRTIO_BLK_F_MQ)), queues > 1);
		virtio_mmio_read(&d.mmio,
				 VIRTIO_MMIO_CONFIG +
					 offsetof(struct virtio_blk_config, num_queues),
				 (uint8_t *)&said, sizeof(said));
		ck_assert_uint_eq(said, queues);
		for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES + 2; i++) {
			reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, i);
			ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_NUM_MAX),
					  i < queues ? 64 : 0);
		}
		disk_fini(&d);
	}
}
END_TEST

/* ---- threads ---- */

/* Layouts of four queues. */
static const struct {
	const char *name;
	unsigned int host_cpus, iothreads, map_count;
	uint8_t map[QUEUES];
	const char *threads; /* the thread of each queue, as a digit */
} layouts[] = {
	{ "1 thread", 0, 1, 0, { 0 }, "0000" },
	{ "2 threads", 0, 2, 0, { 0 }, "0101" },
	{ "3 threads", 0, 3, 0, { 0 }, "0120" },
	{ "4 threads", 0, 4, 0, { 0 }, "0123" },
	{ "2 threads and a map", 0, 2, 4, { 1, 1, 0, 1 }, "1101" },
	{ "3 threads and a map", 0, 3, 4, { 2, 0, 1, 0 }, "2010" },
	{ "default, 1 CPU", 1, 0, 0, { 0 }, "0000" },
	{ "default, 2 CPUs", 2, 0, 0, { 0 }, "0000" },
	{ "default, 3 CPUs", 3, 0, 0, { 0 }, "0101" },
	{ "default, 64 CPUs", 64, 0, 0, { 0 }, "0123" },
};

/* Requests are served on each queue alone and on all together, with every engine. */
START_TEST(queues_go_to_their_threads)
{
	const char *threads = layouts[_i].threads;

	format = queues_format(_i);
	host_cpus = layouts[_i].host_cpus;
	for (int way = 0; way < engine_ways(); way += 2) {
		unsigned int before, most = 0;

		init(engine_way(way).engine);
		d.config.iothreads = layouts[_i].iothreads;
		d.config.map_count = layouts[_i].map_count;
		memcpy(d.config.thread_of, layouts[_i].map, QUEUES);
		disk_open(&d);
		before = count_threads();
		bring_up(ALL);
		for (unsigned int i = 0; i < QUEUES; i++) {
			for (unsigned int k = 0; k < QUEUES; k++)
				ck_assert_int_eq(thread_of[i] == thread_of[k],
						 threads[i] == threads[k]);
			most = threads[i] - '0' > (int)most ? (unsigned int)(threads[i] - '0')
							    : most;
		}
		/* The thread sanitizer may have started a thread of its own. */
		ck_assert_uint_ge(count_threads(), before + most + 1);
		ck_assert_uint_le(count_threads(), before + most + 2);
		for (unsigned int i = 0; i < QUEUES; i++)
			read_on(1u << i);
		for (unsigned int i = 0; i < 20; i++)
			read_on(ALL);
		disk_fini(&d);
	}
}
END_TEST

/* Returns the number of threads of this process that are pinned to this CPU. */
static unsigned int threads_on(unsigned int cpu)
{
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir = opendir("/proc/self/task");

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		cpu_set_t set;

		if (entry->d_name[0] != '.' &&
		    !__real_sched_getaffinity(atoi(entry->d_name), sizeof(set), &set))
			n += CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set);
	}
	closedir(dir);
	return n;
}

START_TEST(threads_are_pinned_to_their_cpus)
{
	unsigned int first = 0, last = 0, before[2];
	cpu_set_t host;

	ck_assert_int_eq(__real_sched_getaffinity(0, sizeof(host), &host), 0);
	while (!CPU_ISSET(first, &host))
		first++;
	for (unsigned int i = first; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &host) ? i : last;
	init(BLK_ENGINE_SYNC);
	d.config.iothreads = d.config.cpu_count = 3;
	d.config.cpu[0] = d.config.cpu[2] = (uint16_t)last;
	d.config.cpu[1] = (uint16_t)first;
	disk_open(&d);
	before[0] = threads_on(first);
	before[1] = threads_on(last);
	bring_up(ALL);
	if (first != last) {
		ck_assert_uint_eq(threads_on(first), before[0] + 1);
		ck_assert_uint_eq(threads_on(last), before[1] + 2);
	}
	read_on(ALL);
	disk_fini(&d);
}
END_TEST

START_TEST(cpu_that_may_not_be_used_is_refused)
{
	const char *why;
	unsigned int fds;

	init(BLK_ENGINE_SYNC);
	fds = count_fds();
	d.config.iothreads = d.config.cpu_count = 2;
	d.config.cpu[1] = CPU_SETSIZE - 1;
	ck_assert_int_eq(blk_create(&d.blk, &d.config, 0, &d.m.hostmem, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "cpus"));
	/* An error of sched_getaffinity is not reported as a wrong CPU, even if it is EINVAL. */
	for (unsigned int i = 0; i < 2; i++) {
		affinity_error = i ? EINVAL : EPERM;
		ck_assert_int_eq(blk_create(&d.blk, &d.config, 0, &d.m.hostmem, &why),
				 -affinity_error);
		ck_assert_ptr_null(why);
	}
	affinity_error = 0;
	ck_assert_uint_eq(count_fds(), fds);
	image_remove(&d.image);
	mock_fini(&d.m);
}
END_TEST

/* When one queue cannot have its engine, all queues fall back to the next one. */
START_TEST(host_out_of_aio_for_one_of_the_queues)
{
	for (unsigned int nth = 1; nth <= QUEUES; nth++) {
		unsigned int fds;

		init(BLK_ENGINE_LIBAIO);
		d.config.iothreads = 2;
		disk_open(&d);
		fds = count_fds();
		io_setup_fails = nth;
		bring_up(ALL);
		ck_assert_uint_eq(io_setup_fails, 0);
		/* Each of the two threads has three descriptors, and the sync engine has none. */
		ck_assert_uint_eq(count_fds(), fds + 6);
		read_on(ALL);
		disk_fini(&d);
	}
}
END_TEST

static unsigned int made; /* number of make() calls */
static unsigned int
	began[2]; /* atomic: threads begun by the function of this engine, and of others */

static int make(void *spawner, int (*work)(void *arg), void *arg)
{
	ck_assert_ptr_eq(spawner, &d);
	made++;
	return work(arg);
}

static int asked_begins(const struct thread_init *begin)
{
	(void)begin;
	return __atomic_add_fetch(&began[0], 1, __ATOMIC_SEQ_CST) ? 0 : -EIO;
}

static int other_begins(const struct thread_init *begin)
{
	(void)begin;
	return __atomic_add_fetch(&began[1], 1, __ATOMIC_SEQ_CST) ? 0 : -EIO;
}

START_TEST(threads_are_created_by_make_and_call_their_begin_function)
{
	const struct thread_init asked = { asked_begins }, other = { other_begins };
	const struct blk_threads threads = {
		.make = make, .spawner = &d, .plane = { &other, &asked, &other }, .worker = &other
	};

	init(BLK_ENGINE_LIBAIO);
	d.config.iothreads = 2;
	d.config.threads = &threads;
	disk_open(&d);
	bring_up(ALL);
	read_on(ALL);
	ck_assert_uint_eq(made, 1);
	ck_assert_uint_eq(__atomic_load_n(&began[0], __ATOMIC_SEQ_CST), 2);
	ck_assert_uint_eq(__atomic_load_n(&began[1], __ATOMIC_SEQ_CST), 0);
	disk_fini(&d);
}
END_TEST

/* Guest memory is registered with each thread's ring, if the engine has a ring. */
START_TEST(queues_with_fixed_buffers)
{
	for (int way = 0; way < engine_ways(); way += 2) {
		init(engine_way(way).engine);
		d.config.iothreads = 2;
		d.config.fixed_buffers = true;
		disk_open(&d);
		bring_up(ALL);
		for (unsigned int i = 0; i < QUEUES; i++)
			ck_assert_uint_eq(thread_of[i]->loop.fixed_count,
					  engine_way(way).ops->loop == EVLOOP_EPOLL
						  ? 0
						  : d.m.hostmem.count);
		for (unsigned int i = 0; i < 10; i++)
			read_on(ALL);
		disk_fini(&d);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_queues");
	TCase *t = tcase_create("blk_queues");

	tcase_add_test(t, features_and_configuration_space_with_queues);
	tcase_add_table_test(t, queues_go_to_their_threads, layouts);
	tcase_add_test(t, threads_are_pinned_to_their_cpus);
	tcase_add_test(t, cpu_that_may_not_be_used_is_refused);
	tcase_add_test(t, host_out_of_aio_for_one_of_the_queues);
	tcase_add_test(t, threads_are_created_by_make_and_call_their_begin_function);
	tcase_add_test(t, queues_with_fixed_buffers);
	suite_add_tcase(s, t);
	return s;
}
