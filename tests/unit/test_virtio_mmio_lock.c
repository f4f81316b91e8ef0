/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of an operator's access to a device whose driver writes registers continuously. Linked with
 * --wrap: the operator's lock of the device's mutex passes through the test.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <linux/virtio_ids.h>

#include "tests/lib/files.h"
#include "tests/lib/regs.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

#define VCPUS 2u

static struct mockdrv m;
static struct virtio_device dev;
static struct virtio_mmio mmio;
static const struct virtio_ops ops;
static __thread bool operates;
static uint64_t before;	       /* number of writes when the operator locked the mutex */
static uint64_t writes[VCPUS]; /* atomic */
static bool over;	       /* atomic */

static uint64_t sum(void)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < VCPUS; i++)
		all += __atomic_load_n(&writes[i], __ATOMIC_SEQ_CST);
	return all;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (operates)
		before = sum();
	return __real_pthread_mutex_lock(mutex);
}

static void *write_all_the_time(void *arg)
{
	uint64_t *count = arg;

	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		reg_set(&mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
		__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
	}
	return arg;
}

/* The operator waits only for the current access of each vCPU, not for later ones. */
START_TEST(operator_is_not_delayed_by_a_driver_that_always_writes)
{
	pthread_t vcpu[VCPUS];

	mock_init(&m, 16, false, false);
	dev = (struct virtio_device){ .id = VIRTIO_ID_BLOCK, .irq.fd = m.irq_fd, .ops = &ops };
	reg_open(&dev, "", 1);
	virtio_mmio_init(&mmio, &dev);
	for (unsigned int i = 0; i < VCPUS; i++)
		ck_assert_int_eq(pthread_create(&vcpu[i], NULL, write_all_the_time, &writes[i]), 0);
	operates = true;
	for (unsigned int i = 0; i < ROUNDS(200u, 50u, 50u); i++) {
		uint64_t held;

		virtio_mmio_lock(&mmio);
		held = sum();
		must(held - before <= VCPUS);
		if (i % 8 == 0)
			sched_yield();
		/* Each vCPU adds at most the write that it was completing. */
		must(sum() - before <= VCPUS);
		virtio_mmio_unlock(&mmio);
		mock_wait_until(sum() > held);
	}
	operates = false;
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < VCPUS; i++)
		pthread_join(vcpu[i], NULL);
	virtio_mmio_destroy(&mmio);
	reg_close(&dev);
	mock_fini(&m);
}
END_TEST

static void *write_once(void *arg)
{
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	return arg;
}

/* The test is the operator: it has announced itself, and the mutex is free. */
START_TEST(write_waits_for_an_operator_that_came_first)
{
	pthread_t vcpu;

	mock_init(&m, 16, false, false);
	dev = (struct virtio_device){ .id = VIRTIO_ID_BLOCK, .irq.fd = m.irq_fd, .ops = &ops };
	reg_open(&dev, "", 1);
	virtio_mmio_init(&mmio, &dev);
	over = false;
	mmio.wanted = 1;
	ck_assert_int_eq(pthread_create(&vcpu, NULL, write_once, NULL), 0);
	mock_wait_until(thread_sleeps_in(0, SYS_futex));
	ck_assert(!__atomic_load_n(&over, __ATOMIC_ACQUIRE));
	ck_assert_int_eq(pthread_mutex_lock(&mmio.lock), 0);
	virtio_mmio_unlock(&mmio);
	pthread_join(vcpu, NULL);
	ck_assert(__atomic_load_n(&over, __ATOMIC_ACQUIRE));
	virtio_mmio_destroy(&mmio);
	reg_close(&dev);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_mmio_lock");
	TCase *t = tcase_create("virtio_mmio_lock");

	tcase_add_test(t, operator_is_not_delayed_by_a_driver_that_always_writes);
	tcase_add_test(t, write_waits_for_an_operator_that_came_first);
	suite_add_tcase(s, t);
	return s;
}
