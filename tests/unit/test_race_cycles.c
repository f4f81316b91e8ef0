/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ten thousand starts and stops of a disk under load with every engine (fewer with sanitizers, and
 * a tenth with io_uring's other rings). Requests are in flight, doorbells ring all the time, each
 * stop comes at another moment, and the ring formats alternate. test_race.c does the same with a
 * scripted engine.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/lib/rows.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

#define CYCLES ROUNDS(10000u, 500u, 1000u)
/* With O_DIRECT a stop waits for the device, which other processes may keep busy. */
#define DIRECT	 ROUNDS(500u, 100u, 100u)
#define REQUESTS 5u
#define LEN	 1024u

static struct disk d;
static struct mockdrv *const m = &d.m;
static bool over; /* atomic */

static void *ring_always(void *arg)
{
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		mock_pester();
	}
	return arg;
}

/* Offers three reads, a write, and one request that needs no engine. */
static void offer(struct mock_blk *req)
{
	for (unsigned int i = 0; i < REQUESTS; i++) {
		uint32_t type = i == 3	 ? VIRTIO_BLK_T_OUT
				: i == 4 ? VIRTIO_BLK_T_GET_ID
					 : VIRTIO_BLK_T_IN;

		mock_blk(m, &req[i], type, i * 8, LEN);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
}

/* Each request was completed once, with its data and status, or had no effect. */
static void judge(const struct mock_blk *req)
{
	struct vring_used_elem elem;
	unsigned int seen = 0;

	while (mock_used(m, &elem)) {
		must(elem.id % 3 == 0 && elem.id / 3 < REQUESTS);
		must(!(seen >> elem.id / 3 & 1));
		seen |= 1u << elem.id / 3;
	}
	for (unsigned int i = 0; i < REQUESTS; i++) {
		const void *data = mock_ptr(m, req[i].data);
		bool done = seen >> i & 1;

		must(mock_status(m, &req[i]) == (done ? VIRTIO_BLK_S_OK : 0xff));
		if (!done)
			must(all_bytes(data, 0xee, LEN));
		else if (i < 3)
			must(image_is_fresh(data, i * 4096, LEN));
	}
}

/* Returns the size and start of the driver's memory that the device may write. */
static uint64_t used_memory(uint8_t **from)
{
	/* The ring's writable part comes first, then headers, data and status bytes. */
	uint64_t begin = m->ring.packed ? m->ring.desc : m->ring.used;

	*from = mock_ptr(m, begin);
	return m->heap - begin;
}

START_TEST(row26_row27_ten_thousand_starts_and_stops_under_load_on_every_engine)
{
	const unsigned int cycles = engine_rounds(_i, engine_way(_i).direct ? DIRECT : CYCLES);
	static uint8_t expected[128 << 10];
	struct mock_blk req[REQUESTS];
	pthread_t guest;
	uint8_t *memory = NULL;
	uint64_t len = 0;

	rows_init(&d, _i);
	d.config.packed = true;
	rows_open(&d);
	reg_set_status(&d.mmio, 0);
	must(!pthread_create(&guest, NULL, ring_always, NULL));
	unsigned int fds = count_fds(), threads = count_threads();
	for (unsigned int i = 0; i < cycles; i++) {
		uint64_t features = DISK_FEATURES | (i % 2 ? DISK_RING : 0) |
				    (i / 4 % 2 ? BIT64(VIRTIO_F_RING_PACKED) : 0);

		reg_ring(m, 16, features);
		offer(req);
		must(reg_negotiate(&d.mmio, features));
		must(reg_queue(&d.mmio, &m->ring));
		reg_set_status(&d.mmio, ST_DRIVER_OK);
		must(reg_status(&d.mmio) == ST_DRIVER_OK);
		if (i % 4 == 1)
			mock_wait_until(mock_has_used(m));
		for (unsigned int n = i % 4 == 2 ? i / 4 % 8 : 0; n; n--)
			sched_yield();
		reg_set_status(&d.mmio, 0);
		must(reg_status(&d.mmio) == 0);

		/* From here on the device must not write memory or send an interrupt. */
		mock_irqs(m);
		len = used_memory(&memory);
		must(len <= sizeof(expected));
		memcpy(expected, memory, len);
		judge(req);
		must(!memcmp(expected, memory, len));
		must(!reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS) && !mock_irqs(m));
	}
	ck_assert_uint_eq(count_fds(), fds);
	mock_wait_until(count_threads() <= threads + 1);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(guest, NULL);
	ck_assert(!memcmp(expected, memory, len));
	rows_end(&d, true);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("race_cycles");
	TCase *t = tcase_create("race_cycles");

	tcase_add_loop_test(t, row26_row27_ten_thousand_starts_and_stops_under_load_on_every_engine,
			    0, engine_ways());
	suite_add_tcase(s, t);
	return s;
}
