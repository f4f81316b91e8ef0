/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the map of written blocks: runs, claims, waiting, and threads that race for claims. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/base.h"
#include "dataplane/overlay.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

#define BLOCKS 1000u

static struct overlay *o;
static struct evloop loop[2];
static bool no_map, no_memory;

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return no_map ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, offset);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

static void setup(void)
{
	ck_assert_int_eq(overlay_create(&o, BLOCKS * OVERLAY_BLOCK), 0);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(evloop_init(&loop[i], EVLOOP_EPOLL), 0);
		overlay_attach(o, i, &loop[i]);
	}
}

static void teardown(void)
{
	overlay_destroy(o);
	for (unsigned int i = 0; i < 2; i++)
		evloop_destroy(&loop[i]);
}

static void write_blocks(uint64_t first, unsigned int count)
{
	while (count) {
		unsigned int n = overlay_claim(o, first, count);

		ck_assert_uint_gt(n, 0);
		overlay_end_claim(o, first, n, true);
		first += n;
		count -= n;
	}
}

static void expect_run(uint64_t first, unsigned int most, bool written, unsigned int count)
{
	bool is;

	ck_assert_uint_eq(overlay_run(o, first, most, &is), count);
	ck_assert_int_eq(is, written);
}

/* Returns how often the loop has been woken since the last call. */
static uint64_t woken(unsigned int i)
{
	static uint64_t before[2];
	uint64_t now = eventfd_count(loop[i].wake_fd), n = now - before[i];

	before[i] = now;
	return n;
}

START_TEST(no_memory_for_the_map)
{
	struct overlay *none = NULL;

	no_memory = true;
	ck_assert_int_eq(overlay_create(&none, 4096), -ENOMEM);
	no_memory = false;
	no_map = true;
	ck_assert_int_eq(overlay_create(&none, 4096), -ENOMEM);
	no_map = false;
	overlay_destroy(none);
}
END_TEST

START_TEST(runs_end_where_the_file_changes)
{
	expect_run(0, 1, false, 1);
	expect_run(0, BLOCKS, false, BLOCKS);
	write_blocks(5, 1);
	expect_run(0, 10, false, 5);
	expect_run(0, 3, false, 3);
	expect_run(5, 10, true, 1);
	expect_run(6, 10, false, 10);
	/* Runs and claims cross the words of the map. */
	write_blocks(31, 66);
	expect_run(6, 100, false, 25);
	expect_run(31, 100, true, 66);
	expect_run(32, 100, true, 65);
	expect_run(63, 2, true, 2);
	expect_run(97, 2, false, 2);
	write_blocks(128, 32);
	expect_run(127, 100, false, 1);
	expect_run(128, 100, true, 32);
	expect_run(128, 32, true, 32);
}
END_TEST

START_TEST(blocks_beyond_the_base_are_written)
{
	struct overlay *odd;
	bool written;

	expect_run(BLOCKS - 1, 2, false, 1);
	expect_run(BLOCKS, 7, true, 7);
	expect_run(UINT64_MAX / OVERLAY_BLOCK, 1, true, 1);
	ck_assert_uint_eq(overlay_claim(o, BLOCKS - 3, 10), 3);
	/* The last block of a base is a block even if it is incomplete. */
	ck_assert_int_eq(overlay_create(&odd, 4096 + 512), 0);
	ck_assert_uint_eq(overlay_run(odd, 1, 5, &written), 1);
	ck_assert(!written);
	overlay_destroy(odd);
}
END_TEST

START_TEST(claim_ends_before_a_written_or_claimed_block)
{
	write_blocks(40, 1);
	ck_assert_uint_eq(overlay_claim(o, 10, 100), 30);
	ck_assert_uint_eq(overlay_claim(o, 39, 1), 0);
	ck_assert_uint_eq(overlay_claim(o, 40, 1), 0);
	ck_assert_uint_eq(overlay_claim(o, 0, 64), 10);
	ck_assert_uint_eq(overlay_claim(o, 41, 100), 100);
	ck_assert_uint_eq(overlay_claim(o, 141, 19), 19);
	/* Reads do not see claims. */
	expect_run(0, 64, false, 40);
	/* A change that failed leaves the blocks as they were. */
	overlay_end_claim(o, 10, 30, false);
	expect_run(0, 64, false, 40);
	ck_assert_uint_eq(overlay_claim(o, 20, 2), 2);
	overlay_end_claim(o, 20, 2, true);
	expect_run(20, 64, true, 2);
	expect_run(10, 64, false, 10);
	overlay_end_claim(o, 41, 100, true);
	expect_run(40, 200, true, 101);
}
END_TEST

START_TEST(end_of_a_claim_wakes_those_who_wait_and_no_others)
{
	ck_assert_uint_eq(overlay_claim(o, 7, 1), 1);
	ck_assert(!overlay_wait(o, 1, 7));
	ck_assert(overlay_wait(o, 1, 7));
	ck_assert_uint_eq(woken(1), 0);
	ck_assert(overlay_waits(o, 1) && !overlay_waits(o, 0));
	overlay_end_claim(o, 7, 1, true);
	ck_assert(!overlay_waits(o, 1));
	ck_assert_uint_eq(woken(0), 0);
	ck_assert_uint_eq(woken(1), 1);
	/* There is no waiter any more. */
	ck_assert_uint_eq(overlay_claim(o, 8, 1), 1);
	overlay_end_claim(o, 8, 1, false);
	ck_assert_uint_eq(woken(0) + woken(1), 0);
	/* A claim that has ended meanwhile wakes the waiter itself. */
	overlay_wait(o, 0, 8);
	ck_assert_uint_eq(woken(0), 1);
	ck_assert(!overlay_waits(o, 0));
	ck_assert_uint_eq(overlay_claim(o, 9, 1), 1);
	overlay_wait(o, 0, 9);
	overlay_wait(o, 1, 9);
	overlay_end_claim(o, 9, 1, false);
	ck_assert_uint_eq(woken(0), 1);
	ck_assert_uint_eq(woken(1), 1);
}
END_TEST

START_TEST(lost_claims_end_all_waits)
{
	ck_assert_uint_eq(overlay_claim(o, 7, 1), 1);
	overlay_wait(o, 0, 7);
	ck_assert(!overlay_lost(o));
	overlay_lose_claims(o);
	ck_assert(overlay_lost(o));
	ck_assert_uint_eq(woken(0), 1);
	overlay_wait(o, 1, 7);
	ck_assert_uint_eq(woken(1), 1);
}
END_TEST

/* ---- threads ---- */

#define RACERS	    3u
#define RACE_BLOCKS 200u
#define RACE_ROUNDS ROUNDS(300, 60, 60)

static unsigned int owner[RACE_BLOCKS]; /* changed by the holder of the claim only */
static unsigned int writes[RACE_BLOCKS];

/* Claims all blocks in runs from a place of its own on, fails every third change, and retries. */
static void *race(void *arg)
{
	unsigned int self = (unsigned int)(uintptr_t)arg, tries = 0;
	bool written;

	for (unsigned int k = 0; k < RACE_BLOCKS;) {
		unsigned int first = (k + self * 67) % RACE_BLOCKS;
		unsigned int most = 1 + (k + self) % 40, n;

		if (most > RACE_BLOCKS - first)
			most = RACE_BLOCKS - first;
		n = overlay_claim(o, first, most);
		for (unsigned int i = 0; i < n; i++) {
			owner[first + i] = self;
			writes[first + i] += !(tries % 3 == 2);
		}
		for (unsigned int i = 0; i < n; i++)
			must(owner[first + i] == self);
		if (n)
			overlay_end_claim(o, first, n, !(tries % 3 == 2));
		tries += n > 0;
		overlay_run(o, first, 1, &written);
		/* What a written block contains can be seen by every thread. */
		if (written)
			must(writes[first] == 1);
		k += written;
		if (!n)
			mock_pester();
	}
	return NULL;
}

START_TEST(each_block_is_written_once_by_racing_threads)
{
	for (unsigned int round = 0; round < RACE_ROUNDS; round++) {
		pthread_t thread[RACERS];

		teardown();
		setup();
		memset(writes, 0, sizeof(writes));
		for (unsigned int i = 0; i < RACERS; i++)
			ck_assert_int_eq(pthread_create(&thread[i], NULL, race,
							(void *)(uintptr_t)(i + 1)),
					 0);
		for (unsigned int i = 0; i < RACERS; i++)
			pthread_join(thread[i], NULL);
		expect_run(0, RACE_BLOCKS, true, RACE_BLOCKS);
		for (unsigned int i = 0; i < RACE_BLOCKS; i++)
			must(writes[i] == 1);
	}
}
END_TEST

#define TIGHT_ROUNDS ROUNDS(200000, 100000, 20000)

/* Claims and releases a block of its own, in the same word of the map as that of another thread. */
static void *claim_one(void *arg)
{
	uint64_t block = (uintptr_t)arg;

	for (unsigned int i = 0; i < TIGHT_ROUNDS; i++) {
		must(overlay_claim(o, block, 1) == 1);
		overlay_end_claim(o, block, 1, false);
	}
	return NULL;
}

START_TEST(claims_of_neighbours_do_not_disturb_each_other)
{
	pthread_t thread[RACERS];

	for (uintptr_t i = 0; i < RACERS; i++)
		must(!pthread_create(&thread[i], NULL, claim_one, (void *)i));
	for (unsigned int i = 0; i < RACERS; i++)
		pthread_join(thread[i], NULL);
	expect_run(0, BLOCKS, false, BLOCKS);
	ck_assert_uint_eq(overlay_claim(o, 0, RACERS), RACERS);
}
END_TEST

/* A thread that waits is woken, whenever the other one ends its claim. */
static void *wait_and_claim(void *arg)
{
	int64_t end = mock_deadline();

	for (uint64_t b = 0; b < BLOCKS; b++) {
		uint64_t before = eventfd_count(loop[1].wake_fd);

		while (!overlay_claim(o, b, 1)) {
			overlay_wait(o, 1, b);
			while (eventfd_count(loop[1].wake_fd) == before)
				mock_yield(end);
			before = eventfd_count(loop[1].wake_fd);
		}
		overlay_end_claim(o, b, 1, true);
	}
	return arg;
}

START_TEST(no_wake_up_is_lost)
{
	pthread_t thread;

	ck_assert_uint_eq(overlay_claim(o, 0, 1), 1);
	must(!pthread_create(&thread, NULL, wait_and_claim, NULL));
	for (uint64_t b = 1; b < BLOCKS; b++) {
		bool mine = overlay_claim(o, b, 1);

		if (b % 3 == 0)
			mock_pester();
		overlay_end_claim(o, b - 1, 1, false);
		/* The other thread has run ahead. */
		while (!mine && b < BLOCKS - 1)
			mine = overlay_claim(o, ++b, 1);
		if (!mine)
			break;
		if (b == BLOCKS - 1)
			overlay_end_claim(o, b, 1, false);
	}
	pthread_join(thread, NULL);
	expect_run(0, BLOCKS, true, BLOCKS);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("overlay");
	TCase *t = tcase_create("overlay");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, no_memory_for_the_map);
	tcase_add_test(t, runs_end_where_the_file_changes);
	tcase_add_test(t, blocks_beyond_the_base_are_written);
	tcase_add_test(t, claim_ends_before_a_written_or_claimed_block);
	tcase_add_test(t, end_of_a_claim_wakes_those_who_wait_and_no_others);
	tcase_add_test(t, lost_claims_end_all_waits);
	tcase_add_test(t, each_block_is_written_once_by_racing_threads);
	tcase_add_test(t, claims_of_neighbours_do_not_disturb_each_other);
	tcase_add_test(t, no_wake_up_is_lost);
	suite_add_tcase(s, t);
	return s;
}
