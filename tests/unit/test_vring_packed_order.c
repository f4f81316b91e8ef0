/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of memory ordering of packed rings, as in test_vring_order.c: by a fault, by the thread
 * sanitizer and by the CPU.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

/* ---- a batch before its first flags, seen by a fault ---- */

#define FAULT_AT 300 /* its descriptor is in the ring's second page */

static void *volatile locked_page;
static volatile int flags_at_fault = -1;

static void on_fault(int sig)
{
	(void)sig;
	flags_at_fault = READ_ONCE(m.packed[0].flags);
	mprotect(locked_page, MOCK_PAGE, PROT_READ | PROT_WRITE);
}

START_TEST(wart_packed_batch_visible_before_its_last_element)
{
	struct sigaction sa = { .sa_handler = on_fault };
	struct vring_used_elem elem;

	mock_init(&m, 1000, false, false);
	mock_ring_packed(&m, 1000, false, false);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	for (uint16_t i = 0; i <= FAULT_AT; i++) {
		mock_desc(&m, i, MOCK_FAR, 1, 0, 0);
		mock_stage(&m, i);
	}
	mock_show(&m);
	for (uint16_t i = 0; i <= FAULT_AT; i++)
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	for (uint16_t i = 0; i < FAULT_AT; i++)
		vring_push(&vr, i, i);

	locked_page = (char *)vr.ring.desc + MOCK_PAGE;
	ck_assert_int_eq(sigaction(SIGSEGV, &sa, NULL), 0);
	ck_assert_int_eq(mprotect(locked_page, MOCK_PAGE, PROT_READ), 0);
	vring_push(&vr, FAULT_AT, FAULT_AT);
	signal(SIGSEGV, SIG_DFL);
	ck_assert_int_eq(flags_at_fault, mock_packed_avail(true));
	ck_assert(!mock_used(&m, &elem));
	vring_publish(&vr);
	for (uint16_t i = 0; i <= FAULT_AT; i++) {
		ck_assert(mock_used(&m, &elem));
		ck_assert_uint_eq(elem.id, i);
	}
	mock_fini(&m);
}
END_TEST

/* ---- acquire and release, seen by the thread sanitizer ---- */

#define ROUNDS	  2000
#define RING	  3
#define RING_BASE 0x10000

/* One mapping for both sides: the driver's other accesses are plain, ordered by the flags alone. */
static uint8_t one[4096] __attribute__((aligned(4096)));

#define ONE_DRIVER 1024
#define ONE_DEVICE 2048
#define ONE_DATA   3072

static void setup_one(void)
{
	static struct hostmem mem;
	struct vring_config config = {
		.size = RING,
		.desc = RING_BASE,
		.avail = RING_BASE + ONE_DRIVER,
		.used = RING_BASE + ONE_DEVICE,
		.packed = true,
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
			for (unsigned int i = 0; i < chain.in_count; i++) {
				uint32_t *data = iov[i].iov_base;

				*data = ~*data;
			}
			vring_push(&vr, chain.head, 4);
			served++;
		}
		vring_publish(&vr);
		mock_yield(end);
	}
	return arg;
}

START_TEST(packed_order_of_flags_and_what_they_stand_for)
{
	struct vring_packed_desc *desc = (struct vring_packed_desc *)one;
	uint32_t *data = (uint32_t *)(one + ONE_DATA);
	pthread_t device;
	bool wrap = true;
	uint16_t at = 0;

	setup_one();
	ck_assert_int_eq(pthread_create(&device, NULL, echo, NULL), 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint16_t first = at, id = (uint16_t)(i % RING);
		uint16_t avail[2], used = mock_packed_used_flags(wrap) | WRITE;

		/* Two descriptors, the flags of the first one last. */
		for (unsigned int k = 0; k < 2; k++) {
			data[k] = i + k;
			desc[at].addr = RING_BASE + ONE_DATA + 4 * k;
			desc[at].len = 4;
			desc[at].id = id;
			avail[k] = (uint16_t)(mock_packed_avail(wrap) | WRITE | (k ? 0 : NEXT));
			/* The device may look at it from the chain before on. */
			if (k)
				WRITE_ONCE(desc[at].flags, avail[k]);
			if (++at == RING) {
				at = 0;
				wrap = !wrap;
			}
		}
		STORE_RELEASE(desc[first].flags, avail[0]);
		mock_wait_until(LOAD_ACQUIRE(desc[first].flags) == used);
		ck_assert_uint_eq(desc[first].id, id);
		ck_assert_uint_eq(desc[first].len, 4);
		ck_assert_uint_eq(data[0], ~i);
		ck_assert_uint_eq(data[1], ~(i + 1));
	}
	pthread_join(device, NULL);
}
END_TEST

/* ---- full barriers, seen by the processor ---- */

#define DUELS 25000

/*
 * Each duel: the driver stores X and looks at Y while the device stores Y and looks at X. Before it,
 * the driver has read both: a store to what the other side has, too, takes longer than a load.
 */
static struct {
	unsigned int go;   /* odd: read; even: the duel */
	unsigned int done; /* the last of them */
	bool driver_saw;
	bool (*driver)(void);
} duel;

static struct mock_place place; /* of the descriptor it is about */

static void driver_waits_for(unsigned int step)
{
	for (unsigned int spins = 0; __atomic_load_n(&duel.go, __ATOMIC_ACQUIRE) != step;)
		if (++spins % 200 == 0)
			sched_yield();
}

static void *driver_main(void *arg)
{
	for (unsigned int i = 1; i < 2 * DUELS; i += 2) {
		driver_waits_for(i);
		(void)READ_ONCE(m.packed[place.at].flags);
		(void)READ_ONCE(*m.device_event);
		(void)READ_ONCE(*m.driver_event);
		__atomic_store_n(&duel.done, i, __ATOMIC_RELEASE);
		driver_waits_for(i + 1);
		duel.driver_saw = duel.driver();
		__atomic_store_n(&duel.done, i + 1, __ATOMIC_RELEASE);
	}
	return arg;
}

static void wait_for_driver(unsigned int step)
{
	for (unsigned int spins = 0; __atomic_load_n(&duel.done, __ATOMIC_ACQUIRE) != step;)
		if (++spins % 200 == 0)
			sched_yield();
}

/* `prepare` runs before each, while the driver waits. */
static void fight(bool (*driver)(void), void (*prepare)(void), bool (*device)(void))
{
	unsigned int lost = 0;
	pthread_t thread;

	mock_init(&m, 5, true, false);
	mock_ring_packed(&m, 5, true, false);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	m.length[0] = 1;
	duel.driver = driver;
	duel.go = duel.done = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, driver_main, NULL), 0);
	for (unsigned int i = 1; i < 2 * DUELS; i += 2) {
		prepare();
		__atomic_store_n(&duel.go, i, __ATOMIC_RELEASE);
		wait_for_driver(i);
		__atomic_store_n(&duel.go, i + 1, __ATOMIC_RELEASE);
		/* Meet the driver at different moments. */
		for (unsigned int spin = i % 128; spin; spin--)
			__asm__ volatile("");
		bool device_saw = device();
		wait_for_driver(i + 1);
		lost += !device_saw && !duel.driver_saw;
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(lost, 0);
	mock_fini(&m);
}

/* What the driver added last is through; the next one is laid out but for its flags. */
static void serve_all(void)
{
	if (vring_pop(&vr, &chain) == 1)
		vring_push(&vr, chain.head, 0);
	vring_publish(&vr);
	vring_disable_notify(&vr);
	place = m.put;
	mock_packed_put(&m, MOCK_FAR, 1, 0, 0);
}

/* Add a chain, then see whether the device wants to hear of it. */
static bool driver_adds(void)
{
	mock_show(&m);
	return READ_ONCE(*m.device_event) == mock_packed_event(place);
}

static bool device_arms(void)
{
	return vring_enable_notify(&vr);
}

START_TEST(packed_barrier_between_arming_and_looking_again)
{
	fight(driver_adds, serve_all, device_arms);
}
END_TEST

/* One chain is popped; no interrupt is asked for. */
static void take_one(void)
{
	struct vring_used_elem elem;

	mock_used(&m, &elem);
	WRITE_ONCE(*m.driver_event, (uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16);
	mock_packed_put(&m, MOCK_FAR, 1, 0, 0);
	mock_show(&m);
	must(vring_pop(&vr, &chain) == 1);
	place = m.take;
}

/* Ask for an interrupt, then see whether the element is there already. */
static bool driver_asks(void)
{
	WRITE_ONCE(*m.driver_event, mock_packed_event(place));
	full_barrier();
	return (READ_ONCE(m.packed[place.at].flags) & MOCK_BOTH) ==
	       mock_packed_used_flags(place.wrap);
}

static bool device_publishes(void)
{
	vring_push(&vr, 0, 0);
	vring_publish(&vr);
	return vring_should_notify(&vr);
}

START_TEST(packed_barrier_between_publishing_and_the_decision_to_interrupt)
{
	fight(driver_asks, take_one, device_publishes);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_packed_order");
	TCase *t = tcase_create("vring_packed_order");

	tcase_add_test(t, wart_packed_batch_visible_before_its_last_element);
	tcase_add_test(t, packed_order_of_flags_and_what_they_stand_for);
	tcase_add_test(t, packed_barrier_between_arming_and_looking_again);
	tcase_add_test(t, packed_barrier_between_publishing_and_the_decision_to_interrupt);
	suite_add_tcase(s, t);
	return s;
}
