/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of inline I/O: a driver with one request at a time. Linked with --wrap. */
#include <string.h>

#include "tests/lib/engines.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r, other;
static struct mockdrv *const m = &r.m;

#define SECOND	1000000000ull
#define TICK_NS 1000u

/* A plain call waits, on the dataplane's thread, until the guest has gone on meanwhile. */
enum { NOT_NOW, ASKED, CALLED, GONE_ON };
static unsigned int meanwhile; /* atomic */

static unsigned int get_meanwhile(void)
{
	return __atomic_load_n(&meanwhile, __ATOMIC_ACQUIRE);
}

static void set_meanwhile(unsigned int to)
{
	__atomic_store_n(&meanwhile, to, __ATOMIC_RELEASE);
}

/*
 * The dataplane's thread has a clock of its own where a test says so: it goes on when it is looked
 * at, and a plain call takes so long.
 */
static pthread_t tester;
static bool own_clock;
static __thread uint64_t clock_ns = SECOND; /* of each dataplane thread */
static uint64_t plain_ns;
static unsigned int plain_calls; /* atomic */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (!own_clock || pthread_equal(pthread_self(), tester))
		return __real_clock_gettime(id, ts);
	clock_ns += TICK_NS;
	*ts = (struct timespec){ .tv_sec = (time_t)(clock_ns / SECOND),
				 .tv_nsec = (long)(clock_ns % SECOND) };
	return 0;
}

static void use_own_clock(uint64_t plain)
{
	tester = pthread_self();
	plain_ns = plain;
	own_clock = true;
}

ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset);

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (own_clock)
		clock_ns += plain_ns - TICK_NS; /* the look after it counts, too */
	__atomic_fetch_add(&plain_calls, 1, __ATOMIC_ACQ_REL);
	if (get_meanwhile() == ASKED) {
		set_meanwhile(CALLED);
		mock_wait_until(get_meanwhile() == GONE_ON);
	}
	return __real_preadv(fd, iov, count, offset);
}

/* Each kind once requests have long been alone: also what cannot be done by one plain call. */
START_TEST(requests_that_are_alone)
{
	struct engine_way way = engine_way(_i);
	struct mock_blk req;

	use_own_clock(0);
	rig_init_file(&r, way.ops, 16, way.direct);
	rig_start(&r);
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t heap = m->heap;
		uint32_t type = i % 5 == 4   ? VIRTIO_BLK_T_FLUSH
				: i % 5 == 3 ? VIRTIO_BLK_T_OUT
					     : VIRTIO_BLK_T_IN;
		uint32_t len;

		mock_forget(m);
		mock_alloc(m, 1 + i % 3, 1); /* so that not all buffers are aligned */
		mock_blk(m, &req, type, i, type == VIRTIO_BLK_T_FLUSH ? 0 : 4096);
		if (type == VIRTIO_BLK_T_OUT)
			image_peek(&r.image, mock_ptr(m, req.data), i * 512, 4096);
		ck_assert_uint_eq(mock_do(m, &req, &len), VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(len, type == VIRTIO_BLK_T_IN ? 4097 : 1);
		if (type == VIRTIO_BLK_T_IN)
			ck_assert(image_is_fresh(mock_ptr(m, req.data), i * 512, 4096));
		m->heap = heap;
	}
	rig_fini(&r);
}
END_TEST

/* So many reads, each alone; how many of them were plain calls? */
static unsigned int plain_ones(unsigned int n)
{
	unsigned int before = __atomic_load_n(&plain_calls, __ATOMIC_ACQUIRE);

	while (n--) {
		uint64_t heap = m->heap;
		struct mock_blk req;

		mock_forget(m);
		mock_blk(m, &req, VIRTIO_BLK_T_IN, 8, 512);
		ck_assert_uint_eq(mock_do(m, &req, NULL), VIRTIO_BLK_S_OK);
		m->heap = heap;
	}
	return __atomic_load_n(&plain_calls, __ATOMIC_ACQUIRE) - before;
}

/* After 32 that were alone, and the first, which came after nothing; if the call had to wait, not
 * again before twice as many. */
START_TEST(plain_calls_that_wait_are_tried_ever_more_rarely)
{
	use_own_clock(10001);
	rig_init_file(&r, &ioengine_libaio, 16, false);
	rig_start(&r);
	ck_assert_uint_eq(plain_ones(1 + 32), 0);
	ck_assert_uint_eq(plain_ones(1), 1);
	for (unsigned int wait = 64; wait <= 1024; wait *= 2) {
		ck_assert_uint_eq(plain_ones(wait), 0);
		ck_assert_uint_eq(plain_ones(1), 1);
	}
	rig_stop(&r);
	plain_ns = 10000;
	mock_ring(m, 16, false, true);
	rig_start(&r);
	ck_assert_uint_eq(plain_ones(1 + 32), 0);
	ck_assert_uint_eq(plain_ones(100), 100);
	rig_fini(&r);
}
END_TEST

/* So many reads one after the other, on the two rings in turn. */
static unsigned int plain_ones_in_turn(unsigned int n)
{
	unsigned int before = __atomic_load_n(&plain_calls, __ATOMIC_ACQUIRE);

	while (n--) {
		struct mockdrv *d = n % 2 ? &other.m : m;
		uint64_t heap = d->heap;
		struct mock_blk req;

		mock_forget(d);
		mock_blk(d, &req, VIRTIO_BLK_T_IN, 8, 512);
		ck_assert_uint_eq(mock_do(d, &req, NULL), VIRTIO_BLK_S_OK);
		d->heap = heap;
	}
	return __atomic_load_n(&plain_calls, __ATOMIC_ACQUIRE) - before;
}

/* A thread's other rings are in nobody's way while they are silent. */
START_TEST(plain_calls_beside_other_rings)
{
	use_own_clock(0);
	rig_init_file(&r, &ioengine_libaio, 16, false);
	rig_init_file(&other, &ioengine_libaio, 16, false);
	other.config.thread = r.thread;
	rig_start(&r);
	rig_start(&other);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_uint_eq(plain_ones_in_turn(100), 0);
		/* The last of these was m's. */
		ck_assert_uint_eq(plain_ones(32), 0);
		ck_assert_uint_eq(plain_ones(10), 10);
	}
	rig_stop(&other);
	rig_fini(&other);
	rig_fini(&r);
}
END_TEST

/* Requests that are alone, until one of them is with the host by a plain call. */
static void until_plain_call(struct mock_blk *req)
{
	struct vring_used_elem elem;

	set_meanwhile(ASKED);
	for (unsigned int i = 0;; i++) {
		uint64_t heap = m->heap;

		mock_forget(m);
		mock_blk(m, req, VIRTIO_BLK_T_IN, i % 1024, 512);
		mock_offer(m, req->head);
		mock_wait_until(get_meanwhile() == CALLED || mock_used_index(m) != m->used_idx);
		if (get_meanwhile() == CALLED)
			return;
		mock_wait_used(m, &elem);
		m->heap = heap;
	}
}

/* It comes while the only one is done by a plain call. Nobody rings. */
START_TEST(company_during_a_plain_call)
{
	struct mock_blk req, second;
	struct vring_used_elem elem;

	rig_init_file(&r, &ioengine_libaio, 16, false);
	rig_start(&r);
	for (unsigned int round = 0; round < 2; round++) {
		uint64_t heap = m->heap;

		until_plain_call(&req);
		mock_blk(m, &second, VIRTIO_BLK_T_IN, 2, 512);
		mock_stage(m, second.head);
		mock_show(m);
		set_meanwhile(GONE_ON);
		mock_wait_used(m, &elem);
		ck_assert_uint_eq(elem.id, req.head);
		mock_wait_used(m, &elem);
		ck_assert_uint_eq(elem.id, second.head);
		ck_assert(image_is_fresh(mock_ptr(m, second.data), 2 * 512, 512));
		m->heap = heap;
	}
	rig_fini(&r);
}
END_TEST

/* Suddenly there are more, and all are served. */
START_TEST(company_after_a_long_time_alone)
{
	struct engine_way way = engine_way(_i);
	struct mock_blk req[5];

	rig_init_file(&r, way.ops, 16, way.direct);
	rig_start(&r);
	for (unsigned int round = 0; round < 3; round++) {
		uint64_t heap = m->heap;

		for (unsigned int i = 0; i < 40; i++) {
			mock_forget(m);
			mock_blk(m, &req[0], VIRTIO_BLK_T_IN, i, 512);
			ck_assert_uint_eq(mock_do(m, &req[0], NULL), VIRTIO_BLK_S_OK);
			m->heap = heap;
		}
		mock_forget(m);
		for (unsigned int i = 0; i < 5; i++) {
			mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i, 512);
			mock_stage(m, req[i].head);
		}
		mock_show(m);
		mock_kick(m);
		for (unsigned int i = 0; i < 5; i++) {
			struct vring_used_elem elem;

			mock_wait_used(m, &elem);
		}
		for (unsigned int i = 0; i < 5; i++)
			ck_assert(image_is_fresh(mock_ptr(m, req[i].data), i * 512, 512));
		m->heap = heap;
	}
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_inline_io");
	TCase *t = tcase_create("blkplane_alone");
	const int n = engine_ways();

	tcase_add_loop_test(t, requests_that_are_alone, 0, n);
	tcase_add_test(t, plain_calls_that_wait_are_tried_ever_more_rarely);
	tcase_add_test(t, plain_calls_beside_other_rings);
	tcase_add_test(t, company_during_a_plain_call);
	tcase_add_loop_test(t, company_after_a_long_time_alone, 0, n);
	suite_add_tcase(s, t);
	return s;
}
