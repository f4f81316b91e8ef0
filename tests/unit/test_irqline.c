/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the interrupt status and the irqfd, with an eventfd in place of the irqfd. */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/irqline.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static uint32_t word;
static struct irqline line = { .status = &word };

static void begin(int fd)
{
	word = 0;
	line = (struct irqline){ .status = &word, .fd = fd };
}

static uint32_t bits(void)
{
	return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
}

/* Returns the number of interrupts since the last call. */
static uint64_t take(void)
{
	uint64_t n = 0;

	return read(line.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

START_TEST(each_raise_sets_bits_and_writes_once)
{
	begin(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	irqline_raise(&line, IRQLINE_USED_RING);
	ck_assert_uint_eq(bits(), 1);
	ck_assert_uint_eq(take(), 1);
	/* An interrupt is raised also when the one before it is not acknowledged yet. */
	irqline_raise(&line, IRQLINE_USED_RING);
	irqline_raise(&line, IRQLINE_CONFIG);
	ck_assert_uint_eq(bits(), 3);
	ck_assert_uint_eq(take(), 2);
	close(line.fd);
}
END_TEST

static void *raise_it(void *arg)
{
	irqline_raise(&line, IRQLINE_USED_RING);
	return arg;
}

/* The counter of the eventfd is full, so that the write blocks: the bit must be set before it. */
START_TEST(status_bit_is_set_after_the_irqfd_fires)
{
	uint64_t full = UINT64_MAX - 1;
	pthread_t thread;

	begin(eventfd(0, EFD_CLOEXEC));
	ck_assert_int_eq(write(line.fd, &full, sizeof(full)), sizeof(full));
	ck_assert_int_eq(pthread_create(&thread, NULL, raise_it, NULL), 0);
	mock_wait_until(bits() == IRQLINE_USED_RING);
	ck_assert_uint_eq(take(), full);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(take(), 1);
	close(line.fd);
}
END_TEST

#define ROUNDS 20000

static unsigned int acknowledged; /* atomic */

static unsigned int acks(void)
{
	return __atomic_load_n(&acknowledged, __ATOMIC_SEQ_CST);
}

/* Raises configuration changes, each one after the one before it was acknowledged. */
static void *change_often(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		irqline_raise(&line, IRQLINE_CONFIG);
		mock_wait_until(acks() > i);
	}
	return arg;
}

static void *complete_often(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS; i++)
		irqline_raise(&line, IRQLINE_USED_RING);
	return arg;
}

/*
 * Two threads raise a bit each, and a vCPU acknowledges the bits that it reads. Neither a raise of
 * the other thread nor an acknowledgement may clear a raised bit, and no change may be seen twice.
 */
START_TEST(row28_acknowledge_races_with_raise)
{
	pthread_t changer, completer;
	uint64_t raised = 0;

	begin(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	ck_assert_int_eq(pthread_create(&changer, NULL, change_often, NULL), 0);
	ck_assert_int_eq(pthread_create(&completer, NULL, complete_often, NULL), 0);
	for (int64_t end = mock_deadline(); acks() < ROUNDS;) {
		uint32_t seen = bits();

		raised += take();
		irqline_acknowledge(&line, seen);
		if (seen & IRQLINE_CONFIG)
			__atomic_fetch_add(&acknowledged, 1, __ATOMIC_SEQ_CST);
		else
			mock_yield(end + 50);
	}
	pthread_join(changer, NULL);
	pthread_join(completer, NULL);
	ck_assert_uint_eq(raised + take(), 2 * ROUNDS);
	ck_assert_uint_eq(acks(), ROUNDS);
	ck_assert_uint_eq(bits(), IRQLINE_USED_RING);
	close(line.fd);
}
END_TEST

START_TEST(used_ring_bit_stays_set_until_a_reset)
{
	begin(-1);
	irqline_acknowledge(&line, 0xffffffff);
	ck_assert_uint_eq(bits(), 0);
	irqline_raise(&line, IRQLINE_USED_RING);
	irqline_acknowledge(&line, 3);
	ck_assert_uint_eq(bits(), 1);
	irqline_raise(&line, IRQLINE_USED_RING | IRQLINE_CONFIG);
	irqline_acknowledge(&line, IRQLINE_USED_RING);
	ck_assert_uint_eq(bits(), 3);
	irqline_acknowledge(&line, IRQLINE_CONFIG);
	ck_assert_uint_eq(bits(), 1);
	irqline_acknowledge(&line, 0xffffffff);
	ck_assert_uint_eq(bits(), 1);
	irqline_clear(&line);
	ck_assert_uint_eq(bits(), 0);
	irqline_raise(&line, IRQLINE_USED_RING);
	ck_assert_uint_eq(bits(), 1);
}
END_TEST

static unsigned int completed; /* atomic; number of used elements */

static void *complete_one_by_one(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		__atomic_fetch_add(&completed, 1, __ATOMIC_SEQ_CST);
		irqline_raise(&line, IRQLINE_USED_RING);
	}
	return arg;
}

/*
 * A driver acknowledges an interrupt after it has handled it (4.2.3.4). For an element that was
 * used in between there is a further interrupt, after which the status must not be 0.
 */
START_TEST(driver_that_acknowledges_last_misses_a_completion)
{
	unsigned int handled = 0;
	pthread_t thread;

	begin(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	ck_assert_int_eq(pthread_create(&thread, NULL, complete_one_by_one, NULL), 0);
	for (int64_t end = mock_deadline(); handled < ROUNDS;) {
		uint32_t seen;

		ck_assert(mock_seconds() <= end);
		if (!take()) {
			mock_yield(end + 50);
			continue;
		}
		seen = bits();
		if (seen & IRQLINE_USED_RING)
			handled = __atomic_load_n(&completed, __ATOMIC_SEQ_CST);
		irqline_acknowledge(&line, seen);
	}
	pthread_join(thread, NULL);
	close(line.fd);
}
END_TEST

/* A write without a change would take the cache line from the vCPU; here it would fault. */
START_TEST(status_is_written_only_when_it_changes)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t *page =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(page, MAP_FAILED);
	line = (struct irqline){ .status = page, .fd = -1 };
	irqline_raise(&line, IRQLINE_USED_RING);
	ck_assert_int_eq(mprotect(page, size, PROT_READ), 0);
	irqline_raise(&line, IRQLINE_USED_RING);
	irqline_acknowledge(&line, IRQLINE_USED_RING);
	ck_assert_uint_eq(*page, IRQLINE_USED_RING);
	munmap(page, size);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("irqline");
	TCase *t = tcase_create("irqline");

	tcase_add_test(t, each_raise_sets_bits_and_writes_once);
	tcase_add_test(t, status_bit_is_set_after_the_irqfd_fires);
	tcase_add_test(t, row28_acknowledge_races_with_raise);
	tcase_add_test(t, used_ring_bit_stays_set_until_a_reset);
	tcase_add_test(t, driver_that_acknowledges_last_misses_a_completion);
	tcase_add_test(t, status_is_written_only_when_it_changes);
	suite_add_tcase(s, t);
	return s;
}
