/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/irqline.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct irqline line;

static uint32_t bits(void)
{
	return __atomic_load_n(&line.status, __ATOMIC_SEQ_CST);
}

static uint64_t take(void)
{
	uint64_t n = 0;

	return read(line.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

START_TEST(each_raise_sets_bits_and_writes_once)
{
	line = (struct irqline){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	irqline_raise(&line, IRQLINE_USED_RING);
	ck_assert_uint_eq(bits(), 1);
	ck_assert_uint_eq(take(), 1);
	/* Not acknowledged: raised all the same. */
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

/* The eventfd is full, so the write waits for us: the bit must be there before it. */
START_TEST(wart_status_bit_not_set_before_the_irqfd_fires)
{
	uint64_t full = UINT64_MAX - 1;
	pthread_t thread;

	line = (struct irqline){ .fd = eventfd(0, EFD_CLOEXEC) };
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

static unsigned int acknowledged[2]; /* per bit; atomic */

static unsigned int acks(unsigned int bit)
{
	return __atomic_load_n(&acknowledged[bit], __ATOMIC_SEQ_CST);
}

/* Raise a bit, wait until the driver has seen it, again. */
static void *raise_often(void *arg)
{
	unsigned int bit = (unsigned int)(uintptr_t)arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		irqline_raise(&line, 1u << bit);
		mock_wait_until(acks(bit) > i);
	}
	return NULL;
}

/*
 * Two threads raise a bit each, a vCPU acknowledges what it sees: no raise is undone by the other
 * thread's or by an acknowledge, and none is seen twice.
 */
START_TEST(row28_acknowledge_races_with_raise)
{
	unsigned int raised = 0;
	pthread_t thread[2];

	line = (struct irqline){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	for (uintptr_t bit = 0; bit < 2; bit++)
		ck_assert_int_eq(pthread_create(&thread[bit], NULL, raise_often, (void *)bit), 0);
	for (int64_t end = mock_deadline(); acks(0) < ROUNDS || acks(1) < ROUNDS;) {
		uint32_t seen = irqline_read(&line);

		raised += (unsigned int)take();
		if (!seen) {
			mock_yield(end + 50);
			continue;
		}
		irqline_acknowledge(&line, seen);
		for (unsigned int bit = 0; bit < 2; bit++)
			__atomic_fetch_add(&acknowledged[bit], seen >> bit & 1, __ATOMIC_SEQ_CST);
	}
	for (unsigned int bit = 0; bit < 2; bit++)
		pthread_join(thread[bit], NULL);
	ck_assert_uint_eq(raised + take(), 2 * ROUNDS);
	ck_assert_uint_eq(acks(0), ROUNDS);
	ck_assert_uint_eq(acks(1), ROUNDS);
	ck_assert_uint_eq(bits(), 0);
	close(line.fd);
}
END_TEST

/* What the word says, and what may be acknowledged. */
START_TEST(late_acknowledgement_takes_what_was_read_and_nothing_else)
{
	line = (struct irqline){ .fd = -1 };
	irqline_raise(&line, IRQLINE_USED_RING);
	irqline_acknowledge(&line, 3);
	ck_assert_uint_eq(irqline_read(&line), 1);
	ck_assert_uint_eq(irqline_read(&line), 1);
	irqline_raise(&line, IRQLINE_USED_RING | IRQLINE_CONFIG);
	irqline_acknowledge(&line, IRQLINE_USED_RING);
	ck_assert_uint_eq(irqline_read(&line), 3);
	irqline_acknowledge(&line, IRQLINE_CONFIG);
	ck_assert_uint_eq(irqline_read(&line), 1);
	irqline_acknowledge(&line, 0xffffffff);
	ck_assert_uint_eq(irqline_read(&line), 0);
	irqline_raise(&line, IRQLINE_CONFIG);
	irqline_read(&line);
	irqline_raise(&line, IRQLINE_USED_RING);
	irqline_clear(&line);
	ck_assert_uint_eq(irqline_read(&line), 0);
}
END_TEST

static uint32_t rounds_done; /* atomic */

/* A second vCPU that reads what the first resets. */
static void *read_often(void *arg)
{
	while (__atomic_load_n(&rounds_done, __ATOMIC_SEQ_CST) < ROUNDS)
		irqline_read(&line);
	return arg;
}

START_TEST(no_bit_outlives_a_reset_that_races_with_a_read)
{
	unsigned int outlived = 0;
	pthread_t thread[2];

	line = (struct irqline){ .fd = -1 };
	rounds_done = 0;
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, read_often, NULL), 0);
	while (__atomic_add_fetch(&rounds_done, 1, __ATOMIC_SEQ_CST) < ROUNDS) {
		irqline_raise(&line, IRQLINE_USED_RING);
		irqline_clear(&line);
		for (unsigned int i = 0; i < 20; i++)
			outlived += irqline_read(&line);
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(outlived, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("irqline");
	TCase *t = tcase_create("irqline");

	tcase_add_test(t, each_raise_sets_bits_and_writes_once);
	tcase_add_test(t, wart_status_bit_not_set_before_the_irqfd_fires);
	tcase_add_test(t, row28_acknowledge_races_with_raise);
	tcase_add_test(t, late_acknowledgement_takes_what_was_read_and_nothing_else);
	tcase_add_test(t, no_bit_outlives_a_reset_that_races_with_a_read);
	suite_add_tcase(s, t);
	return s;
}
