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
#include "tests/lib/cases.h"
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

#define DEPTH	  300u /* more than the ring has entries for */
#define PIECE	  4096u
#define IMAGE_LEN (DEPTH * PIECE)

static struct test_image image;
static struct evloop loop;
static struct ioengine *e;
static struct io_uring_sqe last;
static unsigned int polled;	 /* number of requests on the second ring */
static unsigned int waits;	 /* number of waits for the first ring */
static unsigned int held_back;	 /* number of the next polls of the second ring that find nothing */
static unsigned int refuse_at;	 /* number of the polled request that is refused; 0: none */
static int result = -EOPNOTSUPP; /* result of the refused request */

static void (*real_done)(struct ev_request *request, int res);

static void refuse(struct ev_request *request, int res)
{
	(void)res;
	request->done = real_done;
	request->done(request, result);
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

static unsigned int busy; /* number of the next submissions that fail with EBUSY */

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
	/* The file is a hole, of which reads succeed also when the device cannot be polled. */
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

/* A polled request wakes nobody, so that each turn polls and does not wait. */
START_TEST(loop_does_not_sleep_while_it_polls)
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
	/* Afterwards a turn waits again. */
	evloop_turn(&loop, false);
	waits = 0;
	evloop_wake(&loop);
	evloop_turn(&loop, true);
	ck_assert_uint_eq(waits, 1);
	end();
}
END_TEST

/* The kernel accepts none of the requests at first. */
START_TEST(more_polled_requests_than_the_ring_has_entries)
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

static const struct {
	const char *name;
	unsigned int at; /* number of the refused request, of 50 */
} refusals[] = { { "first", 1 }, { "middle", 20 }, { "last", 50 } };

/* All requests are completed, and later ones do not use the second ring. */
START_TEST(file_system_refuses_a_polled_request)
{
	begin(NULL);
	polled = 0;
	refuse_at = refusals[_i].at;
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

START_TEST(polled_request_is_made_again_after_a_signal)
{
	begin(NULL);
	polled = 0;
	refuse_at = 1;
	result = -EINTR;
	prep(0, IO_READ);
	finish(1);
	ck_assert_uint_eq(polled, 2);
	ck_assert(all_bytes(memory, 0, PIECE));
	end();
}
END_TEST

/* Linux returns 0 for a polled read that meets the end of the file after the requested bytes. */
START_TEST(polled_read_of_a_truncated_image_loses_its_last_bytes)
{
	begin(NULL);
	memset(memory, 0x5a, PIECE);
	must(pwrite(image.fd, memory, PIECE, 0) == PIECE);
	memset(memory, 0xaa, PIECE);
	polled = 0;
	refuse_at = 1;
	result = 0;
	prep(0, IO_READ);
	finish(1);
	ck_assert(all_bytes(memory, 0x5a, PIECE));
	ck_assert_uint_eq(polled, 1);
	ck_assert_ptr_eq(e->ops, &ioengine_iopoll);
	end();
}
END_TEST

/* Memory is registered with both rings or with none. */
START_TEST(fixed_buffers_of_both_rings)
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

/* The requests of a failed loop are lost, so that its thread may sleep. */
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
	tcase_add_test(t, loop_does_not_sleep_while_it_polls);
	tcase_add_test(t, more_polled_requests_than_the_ring_has_entries);
	tcase_add_table_test(t, file_system_refuses_a_polled_request, refusals);
	tcase_add_test(t, polled_request_is_made_again_after_a_signal);
	tcase_add_test(t, polled_read_of_a_truncated_image_loses_its_last_bytes);
	tcase_add_test(t, fixed_buffers_of_both_rings);
	tcase_add_test(t, failed_loop_is_not_polled);
	suite_add_tcase(s, t);
	return s;
}
