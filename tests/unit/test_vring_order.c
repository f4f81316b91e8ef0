/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of memory ordering, in both ring formats: _i is 0 for split, 1 for packed.
 *
 * Where driver and device use the same mapping, the thread sanitizer knows the memory that they
 * share, and reports a missing acquire or release. Where they use two mappings, the CPU itself is
 * tested.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

/* ---- used elements are stored before they are published, tested by a page fault ---- */

#define FAULT_AT 600 /* number of the used element that is not in the first page */

static void *volatile locked_page;
static volatile int published_at_fault = -1;

/* Returns the word that publishes a batch: used.idx, or the flags of the first used element. */
static uint16_t publishing_word(void)
{
	return m.ring.packed ? READ_ONCE(m.packed[0].flags) : READ_ONCE(m.used->idx);
}

static void on_fault(int sig)
{
	(void)sig;
	published_at_fault = publishing_word();
	mprotect(locked_page, MOCK_PAGE, PROT_READ | PROT_WRITE);
}

START_TEST(batch_is_published_before_its_last_element)
{
	struct sigaction sa = { .sa_handler = on_fault };
	uint16_t unpublished;
	uintptr_t element;

	chains_begin(_i, _i ? 1000 : 1024, 0);
	chains_fill_table();
	for (uint16_t i = 0; i <= FAULT_AT; i++)
		mock_stage(&m, i);
	for (uint16_t i = 0; i <= FAULT_AT; i++)
		chains_expect_pop(i);
	unpublished = publishing_word();
	for (uint16_t i = 0; i < FAULT_AT; i++)
		vring_push(&vr, i, i);

	element = _i ? (uintptr_t)&vr.ring.desc[FAULT_AT] : (uintptr_t)&vr.used->ring[FAULT_AT];
	locked_page = (void *)(element / MOCK_PAGE * MOCK_PAGE);
	ck_assert_int_eq(sigaction(SIGSEGV, &sa, NULL), 0);
	ck_assert_int_eq(mprotect(locked_page, MOCK_PAGE, PROT_READ), 0);
	vring_push(&vr, FAULT_AT, FAULT_AT);
	vring_publish(&vr);
	signal(SIGSEGV, SIG_DFL);

	ck_assert_int_eq(published_at_fault, unpublished);
	for (uint16_t i = 0; i <= FAULT_AT; i++)
		chains_expect_used(i, i);
	chains_expect_no_used();
	mock_fini(&m);
}
END_TEST

/* ---- acquire and release, tested by the thread sanitizer ---- */

#define ROUNDS	  2000
#define RING_BASE 0x10000

/* Memory of a ring that driver and device access by the same mapping. The driver orders its plain
 * accesses by index or flags alone. */
static uint8_t one[4096] __attribute__((aligned(4096)));

#define ONE_DRIVER 1024
#define ONE_DEVICE 2048
#define ONE_DATA   3072

static void setup_one(bool packed, uint16_t size)
{
	static struct hostmem mem;
	struct vring_config config = {
		.size = size,
		.desc = RING_BASE,
		.avail = RING_BASE + ONE_DRIVER,
		.used = RING_BASE + ONE_DEVICE,
		.packed = packed,
	};

	memset(&mem, 0, sizeof(mem));
	chain.capacity = ARRAY_SIZE(iov);
	ck_assert_int_eq(hostmem_add(&mem, RING_BASE, sizeof(one), one, false), 0);
	ck_assert_int_eq(vring_setup(&vr, &mem, &config), 0);
}

/* The device: replaces the data of each request by its complement. */
static void *complement(void *arg)
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

#define SPLIT_RING 8

static void drive_split(void)
{
	struct vring_desc *desc = (struct vring_desc *)one;
	struct vring_avail *avail = (struct vring_avail *)(one + ONE_DRIVER);
	struct vring_used *used = (struct vring_used *)(one + ONE_DEVICE);
	uint32_t *data = (uint32_t *)(one + ONE_DATA);

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint16_t head = (uint16_t)(i * 3 % SPLIT_RING);

		data[head] = i;
		desc[head] = (struct vring_desc){
			.addr = RING_BASE + ONE_DATA + 4u * head,
			.len = 4,
			.flags = WRITE,
		};
		avail->ring[i % SPLIT_RING] = head;
		STORE_RELEASE(avail->idx, (uint16_t)(i + 1));
		mock_wait_until(LOAD_ACQUIRE(used->idx) == (uint16_t)(i + 1));
		ck_assert_uint_eq(used->ring[i % SPLIT_RING].id, head);
		ck_assert_uint_eq(data[head], ~i);
	}
}

#define PACKED_RING 3

static void drive_packed(void)
{
	struct vring_packed_desc *desc = (struct vring_packed_desc *)one;
	uint32_t *data = (uint32_t *)(one + ONE_DATA);
	bool wrap = true;
	uint16_t at = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint16_t first = at, id = (uint16_t)(i % PACKED_RING);
		uint16_t avail[2], used = mock_packed_used_flags(wrap) | WRITE;

		/* The chain has two descriptors. The flags of the first one are stored last. */
		for (unsigned int k = 0; k < 2; k++) {
			data[k] = i + k;
			desc[at].addr = RING_BASE + ONE_DATA + 4 * k;
			desc[at].len = 4;
			desc[at].id = id;
			avail[k] = (uint16_t)(mock_packed_avail(wrap) | WRITE | (k ? 0 : NEXT));
			/* The device may already read these flags, after the previous chain. */
			if (k)
				WRITE_ONCE(desc[at].flags, avail[k]);
			if (++at == PACKED_RING) {
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
}

START_TEST(acquire_and_release_order_entries_and_data)
{
	pthread_t device;

	setup_one(_i, _i ? PACKED_RING : SPLIT_RING);
	ck_assert_int_eq(pthread_create(&device, NULL, complement, NULL), 0);
	if (_i)
		drive_packed();
	else
		drive_split();
	pthread_join(device, NULL);
}
END_TEST

/* ---- full barriers, tested on the CPU ---- */

/* On a busy machine, where each race may take a time slice of both threads, fewer have to do. */
#define RACES	  25000
#define FEW_RACES 1000
#define RACES_S	  20

/*
 * In each race, the driver stores X and loads Y while the device stores Y and loads X. Without a
 * full barrier on both sides, both may load the old value, and a notification is lost. The driver
 * loads both words before the race: a store to a cache line that another CPU has takes longer than
 * a load, so that a missing barrier shows more often.
 */
static struct {
	unsigned int go;   /* atomic; odd: the driver loads both words; even: the race begins */
	unsigned int done; /* atomic; the last value of `go` that the driver has acted on */
	bool last;	   /* set before the last race begins */
	bool driver_saw;
	bool (*driver)(void);
} race;

static struct mock_place place; /* of the descriptor that the race is about, in a packed ring */

static void wait_for(const unsigned int *step, unsigned int value)
{
	for (unsigned int spins = 0; __atomic_load_n(step, __ATOMIC_ACQUIRE) != value;)
		if (++spins % 200 == 0)
			sched_yield();
}

static void load_both_words(void)
{
	if (m.ring.packed) {
		(void)READ_ONCE(m.packed[place.at].flags);
		(void)READ_ONCE(*m.device_event);
		(void)READ_ONCE(*m.driver_event);
	} else {
		(void)READ_ONCE(m.used->idx);
		(void)READ_ONCE(m.avail->idx);
		(void)mock_avail_event(&m);
		(void)READ_ONCE(*mock_used_event(&m));
	}
}

static void *driver_main(void *arg)
{
	bool last = false;

	for (unsigned int i = 1; !last; i += 2) {
		wait_for(&race.go, i);
		load_both_words();
		last = race.last;
		__atomic_store_n(&race.done, i, __ATOMIC_RELEASE);
		wait_for(&race.go, i + 1);
		race.driver_saw = race.driver();
		__atomic_store_n(&race.done, i + 1, __ATOMIC_RELEASE);
	}
	return arg;
}

/* Runs the races. While the driver waits, prepare() is called before each of them. */
static void run_races(bool packed, bool (*driver)(void), void (*prepare)(void),
		      bool (*device)(void))
{
	uint64_t enough = monotonic_ns() + RACES_S * 1000000000ull;
	unsigned int lost = 0;
	pthread_t thread;

	chains_begin(packed, packed ? 5 : 8, CHAINS_EVENT_IDX);
	chains_fill_table();
	race.driver = driver;
	race.go = race.done = 0;
	race.last = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, driver_main, NULL), 0);
	for (unsigned int i = 1; !race.last; i += 2) {
		prepare();
		race.last = i / 2 + 1 == RACES || (i / 2 >= FEW_RACES && monotonic_ns() > enough);
		__atomic_store_n(&race.go, i, __ATOMIC_RELEASE);
		wait_for(&race.done, i);
		__atomic_store_n(&race.go, i + 1, __ATOMIC_RELEASE);
		/* The delay varies, so that the device races with each step of the driver. */
		for (unsigned int spin = i % 128; spin; spin--)
			__asm__ volatile("");
		bool device_saw = device();
		wait_for(&race.done, i + 1);
		lost += !device_saw && !race.driver_saw;
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(lost, 0);
	mock_fini(&m);
}

/* Completes the chain of the previous race, disables notifications and stages the next chain. */
static void disable_and_stage(void)
{
	if (vring_pop(&vr, &chain) == 1)
		vring_push(&vr, chain.head, 0);
	vring_publish(&vr);
	vring_disable_notify(&vr);
	place = m.put;
	mock_stage(&m, 0);
}

/* Makes a chain available. Returns whether the device requests a notification. */
static bool driver_adds(void)
{
	mock_show(&m);
	if (m.ring.packed)
		return READ_ONCE(*m.device_event) == mock_packed_event(place);
	return vring_need_event(mock_avail_event(&m), m.avail_idx, (uint16_t)(m.avail_idx - 1));
}

static bool device_enables(void)
{
	return vring_enable_notify(&vr);
}

START_TEST(full_barrier_between_enabling_notifications_and_checking_the_ring)
{
	run_races(_i, driver_adds, disable_and_stage, device_enables);
}
END_TEST

/* Makes a chain available and pops it, while the driver requests no interrupt. */
static void disable_and_pop(void)
{
	struct vring_used_elem elem;

	mock_used(&m, &elem);
	if (m.ring.packed)
		WRITE_ONCE(*m.driver_event, (uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16);
	else
		chains_set_event(-1);
	mock_stage(&m, 0);
	chains_expect_pop(0);
	place = m.take;
}

/* Requests an interrupt. Returns whether the used element is already there. */
static bool driver_requests(void)
{
	chains_set_event(0);
	full_barrier();
	return mock_has_used(&m);
}

static bool device_publishes(void)
{
	vring_push(&vr, 0, 0);
	vring_publish(&vr);
	return vring_should_notify(&vr);
}

START_TEST(full_barrier_between_publishing_and_the_decision_to_interrupt)
{
	run_races(_i, driver_requests, disable_and_pop, device_publishes);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_order");
	TCase *t = tcase_create("vring_order");

	tcase_add_named_test(t, batch_is_published_before_its_last_element, 2, mock_format_name);
	tcase_add_named_test(t, acquire_and_release_order_entries_and_data, 2, mock_format_name);
	tcase_add_named_test(t, full_barrier_between_enabling_notifications_and_checking_the_ring,
			     2, mock_format_name);
	tcase_add_named_test(t, full_barrier_between_publishing_and_the_decision_to_interrupt, 2,
			     mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
