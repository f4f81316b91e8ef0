/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of inline I/O, with a driver at queue depth 1. Linked with --wrap=preadv,clock_gettime. */
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r, other;
static struct mockdrv *const m = &r.m;

#define SECOND	1000000000ull
#define TICK_NS 1000u

/* A test can block the next preadv: it sets BLOCK, waits for BLOCKED and sets UNBLOCK. */
enum { RUN, BLOCK, BLOCKED, UNBLOCK };
static unsigned int state; /* atomic */

static unsigned int get_state(void)
{
	return __atomic_load_n(&state, __ATOMIC_ACQUIRE);
}

static void set_state(unsigned int to)
{
	__atomic_store_n(&state, to, __ATOMIC_RELEASE);
}

/*
 * A simulated clock, if the test uses it: for each dataplane thread, it advances at each read, and
 * by the duration of each preadv.
 */
static pthread_t tester;
static bool own_clock;
static __thread uint64_t clock_ns = SECOND;
static uint64_t preadv_ns;	  /* duration of a preadv */
static unsigned int inline_calls; /* atomic: number of preadv calls */

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

/* Starts the simulated clock. */
static void use_own_clock(uint64_t duration)
{
	tester = pthread_self();
	preadv_ns = duration;
	own_clock = true;
}

ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset);

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (own_clock)
		clock_ns += preadv_ns - TICK_NS; /* the read after it adds a tick */
	__atomic_fetch_add(&inline_calls, 1, __ATOMIC_ACQ_REL);
	if (get_state() == BLOCK) {
		set_state(BLOCKED);
		mock_wait_until(get_state() == UNBLOCK);
	}
	return __real_preadv(fd, iov, count, offset);
}

/* The requests include those that cannot be served by one preadv or pwritev. */
START_TEST(requests_of_each_type_at_queue_depth_1)
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
		mock_alloc(m, 1 + i % 3, 1); /* some buffers are not aligned */
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

/* Makes n reads, one after the other, alternately on two rings, which may be the same. Returns how
 * many of them were inline. */
static unsigned int inline_reads(unsigned int n, struct mockdrv *even, struct mockdrv *odd)
{
	unsigned int before = __atomic_load_n(&inline_calls, __ATOMIC_ACQUIRE);

	while (n--) {
		struct mockdrv *d = n % 2 ? odd : even;
		uint64_t heap = d->heap;
		struct mock_blk req;

		mock_forget(d);
		mock_blk(d, &req, VIRTIO_BLK_T_IN, 8, 512);
		ck_assert_uint_eq(mock_do(d, &req, NULL), VIRTIO_BLK_S_OK);
		d->heap = heap;
	}
	return __atomic_load_n(&inline_calls, __ATOMIC_ACQUIRE) - before;
}

/* Inline I/O begins after 32 requests at queue depth 1 that follow another one. After a preadv that
 * had to wait, the number of requests before the next attempt doubles. */
START_TEST(preadv_that_waits_makes_inline_io_rare)
{
	use_own_clock(10001);
	rig_init_file(&r, &ioengine_libaio, 16, false);
	rig_start(&r);
	ck_assert_uint_eq(inline_reads(1 + 32, m, m), 0);
	ck_assert_uint_eq(inline_reads(1, m, m), 1);
	for (unsigned int wait = 64; wait <= 1024; wait *= 2) {
		ck_assert_uint_eq(inline_reads(wait, m, m), 0);
		ck_assert_uint_eq(inline_reads(1, m, m), 1);
	}
	rig_stop(&r);
	preadv_ns = 10000;
	mock_ring(m, 16, false, true);
	rig_start(&r);
	ck_assert_uint_eq(inline_reads(1 + 32, m, m), 0);
	ck_assert_uint_eq(inline_reads(100, m, m), 100);
	rig_fini(&r);
}
END_TEST

/* Another ring of the thread prevents inline I/O only while it has requests. */
START_TEST(inline_io_beside_other_rings)
{
	use_own_clock(0);
	rig_init_file(&r, &ioengine_libaio, 16, false);
	rig_init_file(&other, &ioengine_libaio, 16, false);
	other.config.thread = r.thread;
	rig_start(&r);
	rig_start(&other);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_uint_eq(inline_reads(100, m, &other.m), 0);
		/* The last of these reads was on ring m. */
		ck_assert_uint_eq(inline_reads(32, m, m), 0);
		ck_assert_uint_eq(inline_reads(10, m, m), 10);
	}
	rig_stop(&other);
	rig_fini(&other);
	rig_fini(&r);
}
END_TEST

/* Makes reads at queue depth 1 until one of them is blocked in preadv. */
static void read_until_inline(struct mock_blk *req)
{
	struct vring_used_elem elem;

	set_state(BLOCK);
	for (unsigned int i = 0;; i++) {
		uint64_t heap = m->heap;

		mock_forget(m);
		mock_blk(m, req, VIRTIO_BLK_T_IN, i % 1024, 512);
		mock_offer(m, req->head);
		mock_wait_until(get_state() == BLOCKED || mock_used_index(m) != m->used_idx);
		if (get_state() == BLOCKED)
			return;
		mock_wait_used(m, &elem);
		m->heap = heap;
	}
}

/* No notification comes with the second request. */
START_TEST(request_added_during_inline_io_is_served)
{
	struct mock_blk req, second;
	struct vring_used_elem elem;

	rig_init_file(&r, &ioengine_libaio, 16, false);
	rig_start(&r);
	for (unsigned int round = 0; round < 2; round++) {
		uint64_t heap = m->heap;

		read_until_inline(&req);
		mock_blk(m, &second, VIRTIO_BLK_T_IN, 2, 512);
		mock_stage(m, second.head);
		mock_show(m);
		set_state(UNBLOCK);
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

START_TEST(batch_after_many_requests_at_queue_depth_1_is_served)
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
	TCase *t = tcase_create("blkplane_inline_io");
	const int n = engine_ways();

	tcase_add_named_test(t, requests_of_each_type_at_queue_depth_1, n, engine_way_name);
	tcase_add_test(t, preadv_that_waits_makes_inline_io_rare);
	tcase_add_test(t, inline_io_beside_other_rings);
	tcase_add_test(t, request_added_during_inline_io_is_served);
	tcase_add_named_test(t, batch_after_many_requests_at_queue_depth_1_is_served, n,
			     engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
