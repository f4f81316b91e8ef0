/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the libaio engine on a host that accepts a part of a batch, or nothing, or returns fewer
 * events than there are. Linked with --wrap for io_submit and io_getevents. Both leave a misleading
 * errno, because libaio's functions return -errno and leave errno undefined.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

int __real_io_submit(io_context_t ctx, long nr, struct iocb **cbs);
int __real_io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			struct timespec *timeout);
int __wrap_io_submit(io_context_t ctx, long nr, struct iocb **cbs);
int __wrap_io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			struct timespec *timeout);

#define ALL   1000
#define CALLS 256

/* What the next calls of io_submit do: the largest number that they accept, or their error. */
static const int *script;
static unsigned int script_len;
static unsigned int submits; /* atomic: number of io_submit calls */
static long asked[CALLS];    /* argument nr of each call */
static int opcodes[ALL];     /* opcodes that the kernel accepted, in order */
static unsigned int opcode_count;
static long getevents_limit = ALL; /* largest number of events per call */
static int getevents_interrupts;   /* number of the next calls that a signal interrupts */

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb **cbs)
{
	unsigned int call = __atomic_fetch_add(&submits, 1, __ATOMIC_SEQ_CST);
	int step = call < script_len ? script[call] : ALL;

	ck_assert_uint_lt(call, CALLS); /* the engine must not spin */
	asked[call] = nr;
	if (step > 0)
		step = __real_io_submit(ctx, nr < step ? nr : step, cbs);
	for (int i = 0; i < step && opcode_count < ALL; i++)
		opcodes[opcode_count++] = cbs[i]->aio_lio_opcode;
	errno = step == -EAGAIN ? EINVAL : EAGAIN;
	return step;
}

int __wrap_io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			struct timespec *timeout)
{
	int n;

	if (getevents_interrupts && getevents_interrupts--) {
		errno = EIO;
		return -EINTR;
	}
	n = __real_io_getevents(ctx, min_nr, nr < getevents_limit ? nr : getevents_limit, events,
				timeout);
	errno = EINTR;
	return n;
}

/* ---- the engine alone ---- */

#define TASKS 6
#define LEN   4096u

static struct test_image image;
static struct ioengine *e;
static struct io_task task[TASKS];
static struct iovec iov[TASKS];
static uint8_t memory[TASKS][LEN] __attribute__((aligned(4096)));
static int result[TASKS]; /* 1: not finished yet */

static void begin(const int *steps, unsigned int count)
{
	struct ioengine_config config;

	script = steps;
	script_len = count;
	image_make(&image, 1 << 20, true);
	config = (struct ioengine_config){ .fd = image.fd,
					   .depth = TASKS,
					   .direct_align = image.align };
	ck_assert_int_eq(ioengine_create(&e, &ioengine_libaio, &config), 0);
	for (unsigned int i = 0; i < TASKS; i++) {
		iov[i] = (struct iovec){ .iov_base = memory[i], .iov_len = LEN };
		task[i] = (struct io_task){
			.op = IO_READ, .offset = i * LEN, .len = LEN, .iov = &iov[i], .iov_count = 1
		};
		result[i] = 1;
	}
}

static void prep_all(void)
{
	for (unsigned int i = 0; i < TASKS; i++)
		ioengine_prep(e, &task[i]);
}

static void collect(void)
{
	struct io_task *t;

	while ((t = ioengine_finished(e))) {
		ck_assert_int_eq(result[t - task], 1); /* finished for the first time */
		result[t - task] = t->result;
	}
}

/* Reaps like the dataplane thread: when the eventfd is readable, and only then. */
static void run(void)
{
	struct pollfd p = { .fd = e->event_fd, .events = POLLIN };
	uint64_t n;

	ioengine_submit(e);
	collect();
	while (e->in_flight) {
		ck_assert_int_eq(poll(&p, 1, MOCK_DEADLINE_S * 1000), 1);
		ck_assert_int_eq(read(e->event_fd, &n, sizeof(n)), sizeof(n));
		ioengine_reap(e);
		ioengine_submit(e);
		collect();
	}
}

static void expect_read(unsigned int i)
{
	ck_assert_int_eq(result[i], 0);
	ck_assert(image_is_fresh(memory[i], i * LEN, LEN));
}

static void end(void)
{
	ioengine_destroy(e);
	image_remove(&image);
}

static void check_all_read(const int *steps, unsigned int count)
{
	begin(steps, count);
	prep_all();
	run();
	for (unsigned int i = 0; i < TASKS; i++)
		expect_read(i);
	end();
}

#define ALL_READ(...) \
	check_all_read((const int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / 4)

START_TEST(one_io_submit_for_all_prepared_requests)
{
	ALL_READ(ALL);
	ck_assert_uint_eq(submits, 1);
	ck_assert_int_eq(asked[0], TASKS);
}
END_TEST

START_TEST(partial_acceptance_loses_requests)
{
	ALL_READ(1, 2, 1, 1, 1);
	ck_assert_int_eq(asked[1], TASKS - 1);
	ck_assert_int_eq(asked[2], TASKS - 3);
	ck_assert_uint_eq(submits, 5);
}
END_TEST

START_TEST(eagain_with_nothing_in_flight)
{
	ALL_READ(-EAGAIN, -EAGAIN, 2, -EAGAIN);
}
END_TEST

START_TEST(io_submit_that_always_returns_eagain)
{
	ALL_READ(-EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN);
	ck_assert_uint_eq(submits, TASKS);
}
END_TEST

START_TEST(io_submit_that_accepts_nothing)
{
	ALL_READ(0, 0, 0, 0, 0, 0, 0, 0);
	ck_assert_uint_eq(submits, TASKS);
}
END_TEST

/* Two requests are in flight. The others wait for a completion before io_submit is called again. */
START_TEST(requests_wait_for_a_completion_after_eagain)
{
	static const int steps[] = { 2, -EAGAIN };

	begin(steps, ARRAY_SIZE(steps));
	prep_all();
	ioengine_submit(e);
	ck_assert_uint_eq(submits, 2);
	collect();
	ck_assert_uint_eq(e->in_flight, TASKS);
	run();
	for (unsigned int i = 0; i < TASKS; i++)
		expect_read(i);
	end();
}
END_TEST

/* The host is short of memory for a moment, which must not cause an I/O error in the guest. */
START_TEST(enomem_of_io_submit_fails_a_request)
{
	static const int steps[] = { 2, -ENOMEM };

	begin(steps, ARRAY_SIZE(steps));
	prep_all();
	ioengine_submit(e);
	ck_assert_uint_eq(submits, 2); /* not called again before a completion */
	collect();
	ck_assert_uint_eq(e->in_flight, TASKS);
	run();
	for (unsigned int i = 0; i < TASKS; i++)
		expect_read(i);
	end();
}
END_TEST

START_TEST(enomem_of_io_submit_with_nothing_in_flight)
{
	ALL_READ(-ENOMEM, -ENOMEM, 2, -ENOMEM);
}
END_TEST

START_TEST(io_submit_is_tried_again_after_eintr)
{
	ALL_READ(-EINTR, -EINTR, 3, -EINTR);
}
END_TEST

START_TEST(request_refused_by_io_submit_fails_those_behind_it)
{
	static const int steps[] = { 1, -EINVAL, 2, -EBADF };

	begin(steps, ARRAY_SIZE(steps));
	prep_all();
	run();
	expect_read(0);
	ck_assert_int_eq(result[1], -EINVAL);
	expect_read(2);
	expect_read(3);
	ck_assert_int_eq(result[4], -EBADF);
	expect_read(5);
	end();
}
END_TEST

/* Linux refuses this offset at submission. */
START_TEST(offset_that_the_kernel_refuses)
{
	begin(NULL, 0);
	task[2].offset = 1ull << 63;
	prep_all();
	run();
	ck_assert_int_lt(result[2], 0);
	for (unsigned int i = 0; i < TASKS; i += i == 1 ? 2 : 1)
		expect_read(i);
	end();
}
END_TEST

START_TEST(host_that_refuses_all_requests_fails_all)
{
	begin((const int[]){ -ENOSYS, -ENOSYS, -ENOSYS, -ENOSYS, -ENOSYS, -ENOSYS }, TASKS);
	prep_all();
	run();
	for (unsigned int i = 0; i < TASKS; i++)
		ck_assert_int_eq(result[i], -ENOSYS);
	ck_assert_uint_eq(submits, TASKS);
	end();
}
END_TEST

/* One reap takes all events, also when io_getevents returns only some of them. */
START_TEST(reap_after_short_results_of_io_getevents)
{
	getevents_limit = 1;
	ALL_READ(ALL);
}
END_TEST

START_TEST(reap_after_an_interrupted_io_getevents)
{
	getevents_interrupts = 3;
	ALL_READ(ALL);
}
END_TEST

START_TEST(stable_writes_and_flushes_are_asynchronous)
{
	begin(NULL, 0);
	task[1].op = task[2].op = IO_WRITE;
	task[2].stable = true;
	task[3].op = IO_FLUSH;
	task[4].stable = true; /* has no meaning for a read */
	prep_all();
	ck_assert_int_eq(task[1].iocb.aio_rw_flags, 0);
	ck_assert_int_eq(task[2].iocb.aio_rw_flags, RWF_DSYNC);
	ck_assert_int_eq(task[4].iocb.aio_rw_flags, 0);
	run();
	for (unsigned int i = 0; i < TASKS; i++)
		ck_assert_int_eq(result[i], 0);
	ck_assert_uint_eq(opcode_count, TASKS);
	ck_assert_int_eq(opcodes[0], IO_CMD_PREADV);
	ck_assert_int_eq(opcodes[1], IO_CMD_PWRITEV);
	ck_assert_int_eq(opcodes[2], IO_CMD_PWRITEV);
	ck_assert_int_eq(opcodes[3], IO_CMD_FDSYNC);
	end();
}
END_TEST

START_TEST(failure_to_create_a_context_is_reported_and_leaks_nothing)
{
	struct ioengine_config config = { .fd = 0, .direct_align = 1 };
	unsigned int fds = count_fds();
	struct ioengine *none = NULL;
	FILE *file = fopen("/proc/sys/fs/aio-max-nr", "re");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%u", &config.depth), 1);
	fclose(file);
	config.depth++;
	ck_assert_int_lt(ioengine_create(&none, &ioengine_libaio, &config), 0);
	ck_assert_ptr_null(none);
	ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

/* ---- with a plane ---- */

static struct rig r;

/* Runs a batch of requests, which are in the ring before the plane starts. */
static void run_batch(unsigned int count, uint32_t type)
{
	static struct mock_blk req[32];

	rig_init_file(&r, &ioengine_libaio, 256, true);
	for (unsigned int i = 0; i < count; i++) {
		mock_blk(&r.m, &req[i], type, i * 8, type == VIRTIO_BLK_T_FLUSH ? 0 : LEN);
		mock_stage(&r.m, req[i].head);
	}
	mock_show(&r.m);
	rig_start(&r);
	mock_wait_index(&r.m, (uint16_t)count);
	for (unsigned int i = 0; i < count; i++)
		ck_assert_uint_eq(mock_status(&r.m, &req[i]), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}

START_TEST(one_io_submit_per_batch)
{
	run_batch(32, VIRTIO_BLK_T_IN);
	ck_assert_uint_eq(submits, 1);
	ck_assert_int_eq(asked[0], 32);
}
END_TEST

START_TEST(flush_blocks_the_loop)
{
	run_batch(4, VIRTIO_BLK_T_FLUSH);
	ck_assert_uint_eq(opcode_count, 4);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_int_eq(opcodes[i], IO_CMD_FDSYNC);
}
END_TEST

/* There is one wake-up for several completions, none of which may wait for another wake-up. */
START_TEST(short_results_of_io_getevents_lose_no_wake_up)
{
	getevents_limit = 1;
	getevents_interrupts = 1;
	run_batch(32, VIRTIO_BLK_T_IN);
}
END_TEST

START_TEST(partial_acceptance_with_a_plane)
{
	static const int steps[] = { 3, -EAGAIN, 1, -EAGAIN, 0, 5, -EINTR, -EAGAIN };

	script = steps;
	script_len = ARRAY_SIZE(steps);
	run_batch(32, VIRTIO_BLK_T_OUT);
}
END_TEST

/* The engine reads the completion ring in user space, if the ring has the known magic number. */
START_TEST(ready_is_true_when_reap_would_find_something)
{
	begin(NULL, 0);
	prep_all();
	ioengine_submit(e);
	for (unsigned int finished = 0; finished < TASKS;) {
		/* A backend begins with its context, whose fifth word is the magic number. */
		uint32_t *magic = *(uint32_t **)e->backend + 4;

		mock_wait_until(ioengine_ready(e));
		*magic ^= 1;
		ck_assert(!ioengine_ready(e));
		*magic ^= 1;
		ioengine_reap(e);
		while (ioengine_finished(e))
			finished++;
	}
	ck_assert(!ioengine_ready(e));
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_libaio");
	TCase *t = tcase_create("ioengine_libaio");

	tcase_add_test(t, one_io_submit_for_all_prepared_requests);
	tcase_add_test(t, partial_acceptance_loses_requests);
	tcase_add_test(t, eagain_with_nothing_in_flight);
	tcase_add_test(t, io_submit_that_always_returns_eagain);
	tcase_add_test(t, io_submit_that_accepts_nothing);
	tcase_add_test(t, requests_wait_for_a_completion_after_eagain);
	tcase_add_test(t, enomem_of_io_submit_fails_a_request);
	tcase_add_test(t, enomem_of_io_submit_with_nothing_in_flight);
	tcase_add_test(t, io_submit_is_tried_again_after_eintr);
	tcase_add_test(t, request_refused_by_io_submit_fails_those_behind_it);
	tcase_add_test(t, offset_that_the_kernel_refuses);
	tcase_add_test(t, host_that_refuses_all_requests_fails_all);
	tcase_add_test(t, ready_is_true_when_reap_would_find_something);
	tcase_add_test(t, reap_after_short_results_of_io_getevents);
	tcase_add_test(t, reap_after_an_interrupted_io_getevents);
	tcase_add_test(t, stable_writes_and_flushes_are_asynchronous);
	tcase_add_test(t, failure_to_create_a_context_is_reported_and_leaks_nothing);
	tcase_add_test(t, one_io_submit_per_batch);
	tcase_add_test(t, flush_blocks_the_loop);
	tcase_add_test(t, short_results_of_io_getevents_lose_no_wake_up);
	tcase_add_test(t, partial_acceptance_with_a_plane);
	suite_add_tcase(s, t);
	return s;
}
