/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of reads and writes with IOPOLL: the second ring, and the requests that do not use it.
 * Linked with --wrap: the test gives the file system's results and the limits of a ring.
 */
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

void __real_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);
void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);
struct io_uring_sqe *__real_evloop_polled_sqe(struct evloop *loop);
struct io_uring_sqe *__wrap_evloop_polled_sqe(struct evloop *loop);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned int n);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int n);
int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov,
				     unsigned int n);
int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov,
				     unsigned int n);
int __real_io_uring_unregister_buffers(struct io_uring *ring);
int __wrap_io_uring_unregister_buffers(struct io_uring *ring);

#define DEPTH	  300u /* more than the ring has places for */
#define PIECE	  4096u
#define IMAGE_LEN (DEPTH * PIECE)

static struct test_image image;
static struct evloop loop;
static struct ioengine *e;
static struct io_uring_sqe last;
static unsigned int polled;    /* requests that went to the second ring */
static unsigned int waits;     /* for the first */
static unsigned int held_back; /* so many times the second ring is asked in vain */
static unsigned int refuse_at; /* this one of the polled ones is; 0: none */
static int with = -EOPNOTSUPP; /* and with this */

static void (*real_done)(struct ev_request *request, int res);

static void refuse(struct ev_request *request, int res)
{
	(void)res;
	request->done = real_done;
	request->done(request, with);
}

struct io_uring_sqe *__wrap_evloop_polled_sqe(struct evloop *l)
{
	polled++;
	return __real_evloop_polled_sqe(l);
}

void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request)
{
	last = *sqe;
	if (refuse_at && polled == refuse_at) {
		refuse_at = 0;
		real_done = request->done;
		request->done = refuse;
	}
	__real_evloop_request(sqe, request);
}

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int n)
{
	waits++;
	return __real_io_uring_submit_and_wait(ring, n);
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
	if (ring == &loop.polled && held_back) {
		held_back--;
		return 0;
	}
	return __real_io_uring_submit_and_get_events(ring);
}

static unsigned int busy; /* so many times it takes nothing */

int __wrap_io_uring_submit(struct io_uring *ring)
{
	if (!busy)
		return __real_io_uring_submit(ring);
	busy--;
	return -EBUSY;
}

static int register_errors[2];

int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov, unsigned int n)
{
	int err = register_errors[ring == &loop.polled];

	return err ? err : __real_io_uring_register_buffers(ring, iov, n);
}

static unsigned int unregistered;

int __wrap_io_uring_unregister_buffers(struct io_uring *ring)
{
	ck_assert_ptr_eq(ring, &loop.ring);
	unregistered++;
	return __real_io_uring_unregister_buffers(ring);
}

static char memory[DEPTH * PIECE] __attribute__((aligned(4096)));
static struct iovec iov[DEPTH];
static struct io_task task[DEPTH];

static void begin(const struct hostmem *fixed)
{
	struct ioengine_config config = { .loop = &loop, .depth = DEPTH };

	image_make(&image, IMAGE_LEN, true);
	/* All of it a hole: reads succeed also where the device cannot be polled. */
	must(!ftruncate(image.fd, 0) && !ftruncate(image.fd, IMAGE_LEN));
	memset(memory, 0xaa, sizeof(memory));
	config.fd = image.fd;
	config.direct_align = image.align;
	ck_assert_int_eq(evloop_init(&loop, EVLOOP_IOPOLL), 0);
	if (fixed)
		ck_assert_int_eq(evloop_register_memory(&loop, fixed), 0);
	evloop_restrict(&loop);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(ioengine_create(&e, &ioengine_iopoll, &config), 0);
	ioengine_begin(e);
}

static void end(void)
{
	ck_assert(!evloop_polling(&loop));
	ioengine_destroy(e);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	image_remove(&image);
}

static void prep(unsigned int i, enum io_op op)
{
	iov[i] = (struct iovec){ memory + i * PIECE, PIECE };
	task[i] = (struct io_task){
		.op = op, .offset = i * PIECE, .len = PIECE, .iov = &iov[i], .iov_count = 1
	};
	ioengine_prep(e, &task[i]);
}

static void finish(unsigned int n)
{
	struct io_task *done;

	ioengine_submit(e);
	while (n) {
		evloop_turn(&loop, true);
		for (; (done = ioengine_finished(e)); n--)
			ck_assert_int_eq(done->result, 0);
	}
}

static bool can_poll(void)
{
	return image.align > 1;
}

START_TEST(reads_and_writes_are_polled_for_and_flushes_are_not)
{
	begin(NULL);
	for (unsigned int i = 0; i < 3; i++) {
		bool polls = e->ops == &ioengine_iopoll && i != 1;

		prep(0, i == 0 ? IO_READ : i == 1 ? IO_FLUSH : IO_WRITE);
		ck_assert_uint_eq(last.flags, IOSQE_FIXED_FILE);
		ck_assert_int_eq(last.fd, 0);
		ck_assert_int_eq(evloop_polling(&loop), polls);
		finish(1);
		if (i < 2)
			ck_assert_ptr_eq(e->ops, can_poll() ? &ioengine_iopoll : &ioengine_uring);
	}
	ck_assert(all_bytes(memory, 0, PIECE));
	end();
}
END_TEST

/* However long it takes: each turn asks, and none waits for what would not wake it. */
START_TEST(nobody_sleeps_while_something_is_polled_for)
{
	begin(NULL);
	prep(0, IO_READ);
	held_back = 100;
	waits = 0;
	while (held_back) {
		ck_assert(evloop_polling(&loop));
		evloop_turn(&loop, true);
	}
	ck_assert_uint_eq(waits, 0);
	finish(1);
	/* And afterwards a turn does. */
	evloop_turn(&loop, false);
	waits = 0;
	evloop_wake(&loop);
	evloop_turn(&loop, true);
	ck_assert_uint_eq(waits, 1);
	end();
}
END_TEST

/* Also where the kernel takes none of it at first. */
START_TEST(more_than_the_ring_has_places_for)
{
	begin(NULL);
	busy = held_back = 3;
	for (unsigned int i = 0; i < DEPTH; i++)
		prep(i, IO_READ);
	finish(DEPTH);
	ck_assert_uint_eq(busy + held_back, 0);
	ck_assert(all_bytes(memory, 0, IMAGE_LEN));
	end();
}
END_TEST

/* The first, one in the middle, the last: all are done, and those that come later are not polled for. */
START_TEST(refused_in_the_middle)
{
	static const unsigned int at[] = { 1, 20, 50 };

	begin(NULL);
	polled = 0;
	refuse_at = at[_i];
	for (unsigned int i = 0; i < 50; i++)
		prep(i, IO_READ);
	finish(50);
	ck_assert(all_bytes(memory, 0, 50 * PIECE));
	ck_assert_ptr_eq(e->ops, &ioengine_uring);
	ck_assert_uint_eq(polled, 50);
	for (unsigned int i = 0; i < 50; i++)
		prep(i, IO_WRITE);
	ck_assert(!evloop_polling(&loop));
	finish(50);
	ck_assert_uint_eq(polled, 50);
	end();
}
END_TEST

/* A signal: once more, in the same way. */
START_TEST(interrupted)
{
	begin(NULL);
	polled = 0;
	refuse_at = 1;
	with = -EINTR;
	prep(0, IO_READ);
	finish(1);
	ck_assert_uint_eq(polled, 2);
	ck_assert(all_bytes(memory, 0, PIECE));
	end();
}
END_TEST

/* As Linux answers when it has met the end of the file behind them. */
START_TEST(polled_read_of_a_truncated_image_loses_its_last_bytes)
{
	begin(NULL);
	memset(memory, 0x5a, PIECE);
	must(pwrite(image.fd, memory, PIECE, 0) == PIECE);
	memset(memory, 0xaa, PIECE);
	polled = 0;
	refuse_at = 1;
	with = 0;
	prep(0, IO_READ);
	finish(1);
	ck_assert(all_bytes(memory, 0x5a, PIECE));
	ck_assert_uint_eq(polled, 1);
	ck_assert_ptr_eq(e->ops, &ioengine_iopoll);
	end();
}
END_TEST

/* Both rings hold it, or none. */
START_TEST(fixed_buffers)
{
	struct hostmem mem = { 0 };

	ck_assert_int_eq(hostmem_add(&mem, 4096, 64 * PIECE, memory, false), 0);
	begin(&mem);
	prep(0, IO_READ);
	ck_assert_uint_eq(last.opcode, IORING_OP_READ_FIXED);
	finish(1);
	ck_assert(all_bytes(memory, 0, PIECE));
	ck_assert_uint_eq(unregistered, 0);
	end();
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(evloop_init(&loop, EVLOOP_IOPOLL), 0);
		register_errors[i] = -ENOMEM;
		ck_assert_int_eq(evloop_register_memory(&loop, &mem), -ENOMEM);
		register_errors[i] = 0;
		ck_assert_uint_eq(loop.fixed_count, 0);
		ck_assert_uint_eq(unregistered, i);
		evloop_destroy(&loop);
	}
}
END_TEST

/* What a failed loop polled for is lost, so that its thread may sleep. */
START_TEST(failed_loop_is_not_polled)
{
	struct evloop failing = { .kind = EVLOOP_IOPOLL, .polling = 1 };

	ck_assert(evloop_polling(&failing));
	failing.failed = -EPERM;
	ck_assert(!evloop_polling(&failing));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("evloop_polled");
	TCase *t = tcase_create("evloop_polled");

	tcase_add_test(t, reads_and_writes_are_polled_for_and_flushes_are_not);
	tcase_add_test(t, nobody_sleeps_while_something_is_polled_for);
	tcase_add_test(t, more_than_the_ring_has_places_for);
	tcase_add_loop_test(t, refused_in_the_middle, 0, 3);
	tcase_add_test(t, interrupted);
	tcase_add_test(t, polled_read_of_a_truncated_image_loses_its_last_bytes);
	tcase_add_test(t, fixed_buffers);
	tcase_add_test(t, failed_loop_is_not_polled);
	suite_add_tcase(s, t);
	return s;
}
