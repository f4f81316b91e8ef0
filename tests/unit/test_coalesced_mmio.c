/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/kvm/coalesced_mmio.h"

#define PAGE 4096
#define MANY 100000

static union {
	struct kvm_coalesced_mmio_ring ring;
	uint8_t bytes[PAGE];
} page;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct coalesced_mmio coalesced_mmio;
static struct bus bus;
static unsigned int done;
static uint32_t wrong; /* atomic */

/* Each write contains its number. */
static void count(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	uint32_t value;

	(void)dev;
	memcpy(&value, data, sizeof(value));
	if (value != done || len != 4 || offset != value % 0x1000)
		__atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
	done++;
}

static const struct bus_ops ops = { .name = "count", .write = count };

static void setup(void)
{
	memset(&page, 0, sizeof(page));
	memset(&bus, 0, sizeof(bus));
	done = wrong = 0;
	coalesced_mmio = (struct coalesced_mmio){ &page.ring, coalesced_mmio_entries(PAGE), &lock };
	ck_assert_int_eq(bus_add(&bus, 0xd0000000, 0x2000, &ops, NULL), 0);
}

/* Queues a write as KVM does. Returns false if the ring is full. */
static bool queue_write(uint32_t number)
{
	uint32_t last = page.ring.last, next = (last + 1) % coalesced_mmio.entries;

	if (next == LOAD_ACQUIRE(page.ring.first))
		return false;
	page.ring.coalesced_mmio[last].phys_addr = 0xd0000000 + number % 0x1000;
	page.ring.coalesced_mmio[last].len = 4;
	memcpy(page.ring.coalesced_mmio[last].data, &number, sizeof(number));
	STORE_RELEASE(page.ring.last, next);
	return true;
}

START_TEST(writes_are_executed_once_and_in_order)
{
	uint32_t number = 0;

	ck_assert_uint_ge(coalesced_mmio.entries, 100);
	ck_assert_uint_le(sizeof(page.ring) +
				  coalesced_mmio.entries * sizeof(struct kvm_coalesced_mmio),
			  PAGE);
	for (unsigned int round = 0; round < 500; round++) {
		for (unsigned int i = 0; i < round % coalesced_mmio.entries; i++)
			ck_assert(queue_write(number++));
		coalesced_mmio_flush(&coalesced_mmio, &bus);
		ck_assert_uint_eq(done, number);
		ck_assert_uint_eq(page.ring.first, page.ring.last);
		coalesced_mmio_flush(&coalesced_mmio, &bus);
		ck_assert_uint_eq(done, number);
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(flush_without_a_ring_does_nothing)
{
	coalesced_mmio.ring = NULL;
	coalesced_mmio_flush(&coalesced_mmio, &bus);
	ck_assert_uint_eq(done, 0);
}
END_TEST

/* A device whose handler makes the vCPU queue another write. */
static void endless(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	(void)dev;
	(void)offset;
	(void)data;
	(void)len;
	done++;
	queue_write(0);
}

START_TEST(writes_queued_during_a_flush_wait_for_the_next)
{
	static const struct bus_ops more = { .name = "more", .write = endless };

	bus.slot[0].ops = &more;
	for (uint32_t i = 0; i < 10; i++)
		queue_write(i);
	coalesced_mmio_flush(&coalesced_mmio, &bus);
	ck_assert_uint_eq(done, 10);
	coalesced_mmio_flush(&coalesced_mmio, &bus);
	ck_assert_uint_eq(done, 20);
}
END_TEST

static uint32_t ended; /* atomic */

static void *vcpu(void *arg)
{
	(void)arg;
	while (!LOAD_ACQUIRE(ended))
		coalesced_mmio_flush(&coalesced_mmio, &bus);
	coalesced_mmio_flush(&coalesced_mmio, &bus);
	return NULL;
}

START_TEST(several_vcpus_execute_each_write_once)
{
	pthread_t thread[3];

	ended = 0;
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, vcpu, NULL), 0);
	for (uint32_t i = 0; i < MANY;) {
		if (queue_write(i))
			i++;
		else
			coalesced_mmio_flush(&coalesced_mmio, &bus);
	}
	STORE_RELEASE(ended, 1);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(done, MANY);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("coalesced_mmio");
	TCase *tc = tcase_create("coalesced_mmio");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, writes_are_executed_once_and_in_order);
	tcase_add_test(tc, flush_without_a_ring_does_nothing);
	tcase_add_test(tc, writes_queued_during_a_flush_wait_for_the_next);
	tcase_add_test(tc, several_vcpus_execute_each_write_once);
	suite_add_tcase(suite, tc);
	return suite;
}
