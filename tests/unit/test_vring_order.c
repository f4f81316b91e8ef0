/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of memory ordering. Where both sides use one mapping, the thread sanitizer knows the memory
 * that guest and device share, and reports a missing acquire or release; where they use two, the
 * CPU itself is tested.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

/* ---- elements before the index, seen by a fault ---- */

#define FAULT_AT 600 /* its element is in the used ring's second page */

static void *volatile locked_page;
static volatile int index_at_fault = -1;

static void on_fault(int sig)
{
	(void)sig;
	index_at_fault = READ_ONCE(m.used->idx);
	mprotect(locked_page, MOCK_PAGE, PROT_READ | PROT_WRITE);
}

START_TEST(wart_used_index_published_before_the_elements)
{
	struct sigaction sa = { .sa_handler = on_fault };
	struct vring_used_elem elem;

	mock_init(&m, 1024, false, false);
	ck_assert_uint_eq(m.ring.used % MOCK_PAGE, 0);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	for (uint16_t i = 0; i < FAULT_AT; i++)
		vring_push(&vr, i, i);
	vring_publish(&vr);

	locked_page = (char *)vr.used + MOCK_PAGE;
	ck_assert_int_eq(sigaction(SIGSEGV, &sa, NULL), 0);
	ck_assert_int_eq(mprotect(locked_page, MOCK_PAGE, PROT_READ), 0);
	vring_push(&vr, 7, 77);
	vring_publish(&vr);
	signal(SIGSEGV, SIG_DFL);

	ck_assert_int_eq(index_at_fault, FAULT_AT);
	ck_assert_uint_eq(mock_used_index(&m), FAULT_AT + 1);
	m.used_idx = FAULT_AT;
	ck_assert(mock_used(&m, &elem));
	ck_assert_uint_eq(elem.id, 7);
	ck_assert_uint_eq(elem.len, 77);
	mock_fini(&m);
}
END_TEST

/* ---- acquire and release, seen by the thread sanitizer ---- */

#define ROUNDS	  2000
#define RING	  8
#define RING_BASE 0x10000

/* One mapping for both sides: the driver uses plain accesses, ordered by the indices alone. */
static uint8_t one[4096] __attribute__((aligned(4096)));

#define ONE_AVAIL 1024
#define ONE_USED  2048
#define ONE_DATA  3072

static void setup_one(void)
{
	static struct hostmem mem;
	struct vring_config config = {
		.size = RING,
		.desc = RING_BASE,
		.avail = RING_BASE + ONE_AVAIL,
		.used = RING_BASE + ONE_USED,
	};

	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(hostmem_add(&mem, RING_BASE, sizeof(one), one, false), 0);
	ck_assert_int_eq(vring_setup(&vr, &mem, &config), 0);
}

/* The device: each request's data is answered by its complement. */
static void *echo(void *arg)
{
	int64_t end = mock_deadline();
	unsigned int served = 0;

	while (served < ROUNDS) {
		while (vring_pop(&vr, &chain) == 1) {
			uint32_t *data = iov[0].iov_base;

			*data = ~*data;
			vring_push(&vr, chain.head, 4);
			served++;
		}
		vring_publish(&vr);
		mock_yield(end);
	}
	return arg;
}

START_TEST(order_of_index_and_what_it_stands_for)
{
	struct vring_desc *desc = (struct vring_desc *)one;
	struct vring_avail *avail = (struct vring_avail *)(one + ONE_AVAIL);
	struct vring_used *used = (struct vring_used *)(one + ONE_USED);
	uint32_t *data = (uint32_t *)(one + ONE_DATA);
	pthread_t device;

	setup_one();
	ck_assert_int_eq(pthread_create(&device, NULL, echo, NULL), 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint16_t head = (uint16_t)(i * 3 % RING);

		data[head] = i;
		desc[head] = (struct vring_desc){
			.addr = RING_BASE + ONE_DATA + 4u * head,
			.len = 4,
			.flags = WRITE,
		};
		avail->ring[i % RING] = head;
		STORE_RELEASE(avail->idx, (uint16_t)(i + 1));
		mock_wait_until(LOAD_ACQUIRE(used->idx) == (uint16_t)(i + 1));
		ck_assert_uint_eq(used->ring[i % RING].id, head);
		ck_assert_uint_eq(data[head], ~i);
	}
	pthread_join(device, NULL);
}
END_TEST

/* ---- full barriers, seen by the processor ---- */

#define DUELS 50000

/*
 * Each duel: the driver stores X and looks at Y while the device stores Y and looks at X. Without
 * a full barrier on both sides both may see the old value, and a wake-up is lost.
 */
static struct {
	unsigned int go;     /* the duel the driver may fight */
	unsigned int fought; /* the last one it did */
	bool driver_saw;
	bool (*driver)(uint16_t idx);
} duel;

static void *driver_main(void *arg)
{
	for (unsigned int i = 1; i <= DUELS; i++) {
		for (unsigned int spins = 0; __atomic_load_n(&duel.go, __ATOMIC_ACQUIRE) != i;)
			if (++spins % 200 == 0)
				sched_yield();
		duel.driver_saw = duel.driver((uint16_t)i);
		__atomic_store_n(&duel.fought, i, __ATOMIC_RELEASE);
	}
	return arg;
}

static void fight(bool (*driver)(uint16_t), bool (*device)(uint16_t))
{
	unsigned int lost = 0;
	pthread_t thread;

	duel.driver = driver;
	duel.go = duel.fought = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, driver_main, NULL), 0);
	for (unsigned int i = 1; i <= DUELS; i++) {
		__atomic_store_n(&duel.go, i, __ATOMIC_RELEASE);
		/* Meet the driver at different moments. */
		for (unsigned int spin = i % 64; spin; spin--)
			__asm__ volatile("");
		bool device_saw = device((uint16_t)i);
		for (unsigned int spins = 0; __atomic_load_n(&duel.fought, __ATOMIC_ACQUIRE) != i;)
			if (++spins % 200 == 0)
				sched_yield();
		lost += !device_saw && !duel.driver_saw;
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(lost, 0);
}

/* Add an entry, then see whether the device wants to hear of it. */
static bool driver_adds(uint16_t idx)
{
	WRITE_ONCE(m.avail->idx, idx);
	full_barrier();
	return m.ring.event_idx ? vring_need_event(mock_avail_event(&m), idx, (uint16_t)(idx - 1))
				: !(READ_ONCE(m.used->flags) & VRING_USED_F_NO_NOTIFY);
}

static bool device_arms(uint16_t idx)
{
	vr.last_avail = vr.avail_idx = (uint16_t)(idx - 1);
	return vring_enable_notify(&vr);
}

START_TEST(barrier_between_arming_and_looking_again)
{
	mock_init(&m, 8, true, false);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	fight(driver_adds, device_arms);
	mock_fini(&m);
}
END_TEST

/* Ask for an interrupt, then see whether the element is there already. */
static bool driver_asks(uint16_t idx)
{
	WRITE_ONCE(*mock_used_event(&m), (uint16_t)(idx - 1));
	full_barrier();
	return mock_used_index(&m) == idx;
}

static bool device_publishes(uint16_t idx)
{
	vr.used_next = idx;
	vring_publish(&vr);
	return vring_should_notify(&vr);
}

START_TEST(barrier_between_publishing_and_the_decision_to_interrupt)
{
	mock_init(&m, 8, true, false);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	fight(driver_asks, device_publishes);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_order");
	TCase *t = tcase_create("vring_order");

	tcase_add_test(t, wart_used_index_published_before_the_elements);
	tcase_add_test(t, order_of_index_and_what_it_stands_for);
	tcase_add_test(t, barrier_between_arming_and_looking_again);
	tcase_add_test(t, barrier_between_publishing_and_the_decision_to_interrupt);
	suite_add_tcase(s, t);
	return s;
}
