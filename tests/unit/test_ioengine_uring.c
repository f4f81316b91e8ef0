/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the submissions of the io_uring engine, which pass through the test by --wrap. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

void __real_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);
void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);

static struct io_uring_sqe last;
static unsigned int requests;
static unsigned int interrupted; /* number of the next requests that end with `result` */
static int result;

static void (*real_done)(struct ev_request *request, int res);

static void interrupt(struct ev_request *request, int res)
{
	request->done = real_done;
	request->done(request, interrupted-- ? result : res);
}

void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request)
{
	last = *sqe;
	requests++;
	if (interrupted) {
		real_done = request->done;
		request->done = interrupt;
	}
	__real_evloop_request(sqe, request);
}

#define DEPTH	  300u /* more than the ring has entries for */
#define PIECE	  512u
#define IMAGE_LEN (DEPTH * PIECE)

static struct test_image image;
static struct evloop loop;
static struct ioengine *e;

static void begin(void)
{
	struct ioengine_config config = { .loop = &loop, .depth = DEPTH, .direct_align = 1 };

	image_make(&image, IMAGE_LEN, false);
	config.fd = image.fd;
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(ioengine_create(&e, &ioengine_uring, &config), 0);
}

static void end(void)
{
	ioengine_destroy(e);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	image_remove(&image);
}

static int run(struct io_task *task)
{
	struct io_task *done;

	ioengine_prep(e, task);
	ioengine_submit(e);
	while (!(done = ioengine_finished(e)))
		evloop_turn(&loop, true);
	ck_assert_ptr_eq(done, task);
	return task->result;
}

START_TEST(request_of_one_piece_has_no_vector)
{
	static char buffer[2][PIECE];
	struct iovec iov[2];

	begin();
	for (unsigned int op = 0; op < 4; op++) {
		bool write = op & 1;
		unsigned int pieces = op < 2 ? 1 : 2;
		struct io_task task = { .op = write ? IO_WRITE : IO_READ,
					.offset = PIECE,
					.len = pieces * PIECE,
					.iov = iov,
					.iov_count = pieces };

		for (unsigned int i = 0; i < 2; i++)
			iov[i] = (struct iovec){ buffer[i], PIECE };
		ck_assert_int_eq(run(&task), 0);
		ck_assert_uint_eq(last.opcode, op == 0	 ? IORING_OP_READ
					       : op == 1 ? IORING_OP_WRITE
					       : op == 2 ? IORING_OP_READV
							 : IORING_OP_WRITEV);
		ck_assert_uint_eq(last.rw_flags, 0);
		/* The writes have written what was read before. */
		for (unsigned int i = 0; i < pieces; i++)
			ck_assert(image_is_fresh(buffer[i], PIECE * (1 + i), PIECE));
	}
	ck_assert(image_is_untouched(&image));
	end();
}
END_TEST

/* Requests use the index of a registered file, or the descriptor of one that is not registered. */
START_TEST(requests_use_the_registered_file)
{
	static char buffer[PIECE];
	struct iovec iov;
	struct io_task task = { .op = IO_READ, .len = PIECE };
	struct io_task flush = { .op = IO_FLUSH };

	begin();
	for (unsigned int i = 0; i < 4; i++) {
		iov = (struct iovec){ buffer, PIECE };
		task.iov = &iov;
		task.iov_count = 1;
		ck_assert_int_eq(run(i % 2 ? &flush : &task), 0);
		ck_assert_uint_eq(last.flags, i ? IOSQE_FIXED_FILE : 0);
		ck_assert_int_eq(last.fd, i ? 0 : image.fd);
		ioengine_begin(e);
		ck_assert_uint_eq(loop.files, 1);
		if (!i)
			ck_assert(image_is_fresh(buffer, 0, PIECE));
	}
	end();

	begin();
	loop.files = 64;
	ioengine_begin(e);
	iov = (struct iovec){ buffer, PIECE };
	task.iov = &iov;
	task.iov_count = 1;
	ck_assert_int_eq(run(&task), 0);
	ck_assert_uint_eq(last.flags, 0);
	ck_assert_int_eq(last.fd, image.fd);
	end();
}
END_TEST

/* Fixed buffers are used for one piece in registered memory. */
START_TEST(fixed_buffers_move_the_same_bytes)
{
	static char held[4 * PIECE] __attribute__((aligned(4096))), other[PIECE], second[PIECE];
	static const struct {
		char *at;
		size_t len;
		unsigned int opcode[2];
	} cases[] = {
		{ held, PIECE, { IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED } },
		{ held + 3 * PIECE, PIECE, { IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED } },
		{ other, PIECE, { IORING_OP_READ, IORING_OP_WRITE } },
	};
	struct ioengine_config config = { .loop = &loop, .depth = DEPTH, .direct_align = 1 };
	struct hostmem mem = { 0 };

	image_make(&image, IMAGE_LEN, false);
	config.fd = image.fd;
	ck_assert_int_eq(hostmem_add(&mem, 4096, sizeof(held), held, false), 0);
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_URING), 0);
	ck_assert_int_eq(evloop_register_memory(&loop, &mem), 0);
	evloop_restrict(&loop);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(ioengine_create(&e, &ioengine_uring, &config), 0);
	ioengine_begin(e);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct iovec iov[2] = { { cases[i / 2].at, cases[i / 2].len }, { second, PIECE } };
		struct io_task task = { .op = i % 2 ? IO_WRITE : IO_READ,
					.stable = i % 2,
					.offset = PIECE,
					.len = PIECE,
					.iov = iov,
					.iov_count = 1 };

		ck_assert_int_eq(run(&task), 0);
		ck_assert_uint_eq(last.opcode, cases[i / 2].opcode[i % 2]);
		ck_assert_uint_eq(last.rw_flags, i % 2 ? RWF_DSYNC : 0);
		/* The writes have written what was read before. */
		ck_assert(image_is_fresh(cases[i / 2].at, PIECE, PIECE));
		if (i % 2)
			continue;
		iov[0] = (struct iovec){ cases[i / 2].at, cases[i / 2].len };
		task = (struct io_task){
			.op = IO_READ, .len = 2 * PIECE, .iov = iov, .iov_count = 2
		};
		task.offset = PIECE;
		ck_assert_int_eq(run(&task), 0);
		ck_assert_uint_eq(last.opcode, IORING_OP_READV);
	}
	ck_assert(image_is_untouched(&image));
	end();
}
END_TEST

/* The kernel accepts no fixed buffer that crosses two registered pieces. */
START_TEST(buffer_over_two_registered_pieces)
{
	static char buffer[PIECE];
	struct iovec iov = { buffer, PIECE };
	struct io_task task = { .op = IO_READ, .len = PIECE, .iov = &iov, .iov_count = 1 };

	begin();
	loop.fixed_count = 1;
	loop.fixed[0].base = (uintptr_t)buffer + PIECE / 2 - EVLOOP_PIECE;
	loop.fixed[0].size = 2 * EVLOOP_PIECE;
	ck_assert_int_eq(run(&task), 0);
	ck_assert_uint_eq(last.opcode, IORING_OP_READ);
	ck_assert(image_is_fresh(buffer, 0, PIECE));
	end();
}
END_TEST

START_TEST(stable_writes_and_flushes)
{
	static char buffer[PIECE];
	struct iovec iov = { buffer, PIECE };
	struct io_task write = {
		.op = IO_WRITE, .stable = true, .len = PIECE, .iov = &iov, .iov_count = 1
	};
	struct io_task flush = { .op = IO_FLUSH };

	begin();
	ck_assert_int_eq(run(&write), 0);
	ck_assert_uint_eq(last.rw_flags, RWF_DSYNC);
	ck_assert_int_eq(run(&flush), 0);
	ck_assert_uint_eq(last.opcode, IORING_OP_FSYNC);
	ck_assert_uint_eq(last.fsync_flags, IORING_FSYNC_DATASYNC);
	end();
}
END_TEST

START_TEST(error_of_a_request_is_reported)
{
	static char buffer[PIECE];
	struct iovec iov = { buffer, PIECE };
	struct io_task task = { .op = IO_READ, .len = PIECE, .iov = &iov, .iov_count = 1 };

	begin();
	task.offset = 1ull << 63;
	ck_assert_int_eq(run(&task), -EINVAL);
	task = (struct io_task){ .op = IO_READ, .len = PIECE, .iov = &iov, .iov_count = 1 };
	ck_assert_int_eq(run(&task), 0);
	ck_assert(image_is_fresh(buffer, 0, PIECE));
	end();
}
END_TEST

START_TEST(request_fails_after_a_signal)
{
	static char buffer[PIECE];
	struct iovec iov = { buffer, PIECE };
	struct io_task task = { .op = IO_READ, .len = PIECE, .iov = &iov, .iov_count = 1 };

	begin();
	interrupted = 3;
	result = -EINTR;
	ck_assert_int_eq(run(&task), 0);
	ck_assert_uint_eq(requests, 4);
	ck_assert(image_is_fresh(buffer, 0, PIECE));
	end();
}
END_TEST

/* The kernel would cancel it again, so that the engine uses a synchronous system call. */
START_TEST(request_that_the_kernel_cancelled_fails)
{
	static char buffer[PIECE];
	struct iovec iov = { buffer, PIECE };
	struct io_task task = { .op = IO_READ, .len = PIECE, .iov = &iov, .iov_count = 1 };

	begin();
	interrupted = 1;
	result = -ECANCELED;
	ck_assert_int_eq(run(&task), 0);
	ck_assert_uint_eq(requests, 1);
	ck_assert(image_is_fresh(buffer, 0, PIECE));
	end();
}
END_TEST

START_TEST(more_requests_than_the_ring_has_entries)
{
	static char buffer[IMAGE_LEN];
	static struct iovec iov[DEPTH];
	static struct io_task task[DEPTH];
	struct io_task *done;
	unsigned int left = DEPTH;

	begin();
	for (unsigned int i = 0; i < DEPTH; i++) {
		iov[i] = (struct iovec){ buffer + (size_t)i * PIECE, PIECE };
		task[i] = (struct io_task){ .op = IO_READ,
					    .offset = (uint64_t)i * PIECE,
					    .len = PIECE,
					    .iov = &iov[i],
					    .iov_count = 1 };
		ioengine_prep(e, &task[i]);
	}
	ck_assert_uint_eq(ioengine_room(e), 0);
	while (left) {
		evloop_turn(&loop, true);
		while ((done = ioengine_finished(e))) {
			ck_assert_int_eq(done->result, 0);
			left--;
		}
	}
	ck_assert_uint_eq(requests, DEPTH);
	ck_assert(image_is_fresh(buffer, 0, IMAGE_LEN));
	end();
}
END_TEST

START_TEST(engine_is_refused_on_a_loop_without_a_ring)
{
	struct evloop epoll;
	struct ioengine_config config = { .loop = &epoll, .fd = 0, .depth = 1, .direct_align = 1 };

	ck_assert_int_eq(evloop_init(&epoll, EVLOOP_EPOLL), 0);
	ck_assert_int_eq(ioengine_create(&e, &ioengine_uring, &config), -ENOSYS);
	evloop_destroy(&epoll);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_uring");
	TCase *t = tcase_create("ioengine_uring");

	tcase_add_test(t, request_of_one_piece_has_no_vector);
	tcase_add_test(t, requests_use_the_registered_file);
	tcase_add_test(t, fixed_buffers_move_the_same_bytes);
	tcase_add_test(t, buffer_over_two_registered_pieces);
	tcase_add_test(t, stable_writes_and_flushes);
	tcase_add_test(t, error_of_a_request_is_reported);
	tcase_add_test(t, request_fails_after_a_signal);
	tcase_add_test(t, request_that_the_kernel_cancelled_fails);
	tcase_add_test(t, more_requests_than_the_ring_has_entries);
	tcase_add_test(t, engine_is_refused_on_a_loop_without_a_ring);
	suite_add_tcase(s, t);
	return s;
}
