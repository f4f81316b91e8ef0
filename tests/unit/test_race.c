/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Concurrent access to a whole disk, through its registers: vCPUs start and reset it, notify, write
 * any register, write anything into the rings, read and acknowledge, while the host fails.
 * ThreadSanitizer checks the device's own threads: the device and the drivers use two mappings of
 * guest memory, which it does not relate. Drivers write guest memory only by single atomic stores,
 * as vCPUs do.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/rows.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

#define RING	   16u
#define LIVES	   ROUNDS(500, 200, 200)
#define RIG_LIVES  ROUNDS(10000, 500, 1000)
#define HEAP_BYTES (64u << 10)

static struct disk d;
static bool over; /* atomic */
static unsigned int lives;
static unsigned int odds; /* atomic; number of impossible observations */

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static void odd(const char *what)
{
	if (__atomic_fetch_add(&odds, 1, __ATOMIC_RELAXED) < 10)
		fprintf(stderr, "odd: %s\n", what);
}

/* Returns the next number of a generator, so that each run does the same steps. */
static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

#define SEED(arg) ((uint32_t)(uintptr_t)(arg)*2654435761u + 1)

/* ---- vCPUs ---- */

static struct vring_config layout; /* position of the ring; constant while threads run */
static uint64_t heap;		   /* guest memory for headers and data */

static void lay_queue(struct virtio_mmio *mmio, uint32_t size)
{
	struct vring_config ring = layout;

	ring.size = (uint16_t)size;
	reg_queue(mmio, &ring);
}

/* Performs all steps to DRIVER_OK, even if other threads disturb them. */
static void *start_and_reset(void *arg)
{
	uint32_t state = SEED(arg);

	for (unsigned int i = 0; i < lives; i++) {
		uint64_t features = DISK_FEATURES | (i % 2 ? DISK_RING : 0) |
				    (i % 3 ? BIT64(VIRTIO_F_RING_RESET) : 0);

		reg_set_status(&d.mmio, 0);
		reg_negotiate(&d.mmio, features);
		lay_queue(&d.mmio, i % 5 ? RING : 4);
		/*
		 * Clears flags and index, because otherwise most rings would be broken from the
		 * start.
		 */
		WRITE_ONCE(*(uint32_t *)mock_ptr(&d.m, layout.avail), 0);
		reg_set_status(&d.mmio, ST_DRIVER_OK);
		for (uint32_t n = next(&state) % 8; n; n--)
			sched_yield();
	}
	return arg;
}

static void *ring_always(void *arg)
{
	uint32_t state = SEED(arg);

	while (!is_over()) {
		if (next(&state) % 2)
			mock_kick(&d.m);
		else
			reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, next(&state) % 3);
		mock_pester();
	}
	return arg;
}

static uint64_t some_address(uint32_t *state)
{
	switch (next(state) % 8) {
	case 0:
		return MOCK_HOLE;
	case 1:
		return layout.used;
	case 2:
		return layout.desc;
	default:
		return heap + next(state) % HEAP_BYTES;
	}
}

static void *write_registers(void *arg)
{
	uint32_t state = SEED(arg);

	while (!is_over()) {
		uint32_t offset = next(&state) % 0x120 & ~3u, value = next(&state);
		uint8_t bytes[8] = { 0 };

		switch (next(&state) % 5) {
		case 4: /* resets a queue, and may set it up again */
			reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, value % 3);
			reg_set(&d.mmio, 0x0c0, 1); /* QueueReset */
			if (value % 2)
				lay_queue(&d.mmio, RING);
			break;
		case 0: /* a status step, forwards or backwards */
			reg_set_status(&d.mmio, value % 256);
			break;
		case 1:
			reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, value % 2);
			break;
		case 2:
			reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_DESC_LOW + 4 * (value % 16),
				(uint32_t)some_address(&state) & ~15u);
			break;
		default:
			memcpy(bytes, &value, sizeof(value));
			if (offset != VIRTIO_MMIO_STATUS || value % 4)
				virtio_mmio_write(&d.mmio, offset, bytes, 1u << value % 4);
			break;
		}
		mock_pester();
	}
	return arg;
}

static void *read_registers(void *arg)
{
	const uint64_t capacity = DISK_BYTES / 512;
	uint32_t state = SEED(arg);

	while (!is_over()) {
		uint64_t seen = 0;
		uint8_t bytes[8];

		virtio_mmio_read(&d.mmio, VIRTIO_MMIO_CONFIG, (uint8_t *)&seen, sizeof(seen));
		if (seen != capacity)
			odd("another capacity");
		if (reg_status(&d.mmio) & ~(uint32_t)(ST_DRIVER_OK | ST_NEEDS_RESET | ST_FAILED))
			odd("a status bit that does not exist");
		uint32_t irq = reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS);
		if (irq & ~(IRQLINE_USED_RING | IRQLINE_CONFIG))
			odd("an interrupt bit that does not exist");
		reg_set(&d.mmio, VIRTIO_MMIO_INTERRUPT_ACK, irq);
		mock_irqs(&d.m);
		virtio_mmio_read(&d.mmio, next(&state) % 0x240, bytes, 1u << next(&state) % 4);
		mock_pester();
	}
	return arg;
}

/* ---- guest memory ---- */

static void put_desc(uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t to)
{
	struct vring_desc *desc = (struct vring_desc *)mock_ptr(&d.m, layout.desc) + i;

	WRITE_ONCE(desc->addr, addr);
	WRITE_ONCE(desc->len, len);
	WRITE_ONCE(desc->flags, flags);
	WRITE_ONCE(desc->next, to);
}

/* Returns the address of a header; there is one for each kind at the start of the heap. */
static uint64_t header_at(unsigned int kind)
{
	return heap + kind * 16;
}

static void lay_headers(void)
{
	static const struct virtio_blk_outhdr header[] = {
		{ .type = VIRTIO_BLK_T_IN, .sector = 8 },
		{ .type = VIRTIO_BLK_T_OUT, .sector = 16 },
		{ .type = VIRTIO_BLK_T_FLUSH },
		{ .type = VIRTIO_BLK_T_GET_ID },
		{ .type = VIRTIO_BLK_T_IN, .sector = DISK_BYTES / 512 - 1 },
		{ .type = VIRTIO_BLK_T_OUT, .sector = DISK_BYTES / 512 },
		{ .type = 99 },
		{ .type = VIRTIO_BLK_T_OUT, .sector = DISK_BYTES / 512 - 8 },
	};

	memcpy(mock_ptr(&d.m, heap), header, sizeof(header));
}

/* Writes mostly valid chains of three descriptors; about one in eleven violates a rule. */
static void *lay_chains(void *arg)
{
	struct vring_avail *avail = mock_ptr(&d.m, layout.avail);
	uint32_t state = SEED(arg);

	while (!is_over()) {
		uint32_t n = next(&state), bad = n % 64;
		uint16_t head = (uint16_t)(n / 64 % 5 * 3);
		unsigned int kind = next(&state) % 8;
		uint64_t data = heap + 4096 + next(&state) % 4 * 8192;
		bool write = kind % 4 == 1 || kind == 5;

		put_desc(head, header_at(kind), bad == 1 ? 15 : 16, NEXT,
			 bad == 2 ? 77 : (uint16_t)(head + 1));
		put_desc((uint16_t)(head + 1), bad == 3 ? some_address(&state) : data + n % 3,
			 n % 2 ? 512 : 4096,
			 (uint16_t)((kind % 4 != 2 ? NEXT : NEXT | INDIRECT * (bad == 4)) |
				    (write ? 0 : WRITE)),
			 (uint16_t)(head + 2));
		put_desc((uint16_t)(head + 2), heap + 200 + head, 1, WRITE, 0);
		WRITE_ONCE(avail->ring[next(&state) % RING], bad == 0 ? RING : head);
		__atomic_fetch_add(&avail->idx, bad == 5 ? 99 : 1, __ATOMIC_RELEASE);
		/* Lets the device process some of them. */
		if (n % 4 == 0)
			mock_pester();
	}
	return arg;
}

/* ---- the host ---- */

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	must(!getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = bytes;
	must(!setrlimit(RLIMIT_FSIZE, &limit));
}

static void *make_the_host_fail(void *arg)
{
	uint32_t state = SEED(arg);
	struct stat st;

	while (!is_over()) {
		bool limited = next(&state) % 2;

		limit_file_size(limited ? 64 << 10 : RLIM_INFINITY);
		if (!limited)
			must(!ftruncate(d.image.fd, next(&state) % DISK_BYTES));
		if (fstat(d.image.fd, &st) || st.st_size > DISK_BYTES)
			odd("an image that has grown");
		mock_pester();
	}
	limit_file_size(RLIM_INFINITY);
	return arg;
}

static const char *way_name(int i)
{
	static char name[48];

	snprintf(name, sizeof(name), "%s%s", engine_way_name(i % engine_ways()),
		 i < engine_ways() ? "" : ", ephemeral");
	return name;
}

START_TEST(race_of_everything_on_every_engine)
{
	void *(*const run[])(void *) = {
		ring_always, write_registers, read_registers, lay_chains, make_the_host_fail,
	};
	pthread_t starter[2], other[ARRAY_SIZE(run)];

	int way = _i % engine_ways();

	/* With O_DIRECT each stop may wait some milliseconds for a busy device. */
	lives = engine_way(way).direct ? LIVES / 5 : LIVES;
	signal(SIGXFSZ, SIG_IGN);
	rows_init(&d, way);
	d.config.ephemeral = _i != way;
	d.config.queues = d.config.iothreads = 2;
	disk_open(&d);
	/* Threads and engines are created once, and reused. */
	rows_recover(&d, RING, DISK_FEATURES);
	reg_set_status(&d.mmio, 0);
	unsigned int fds = count_fds(), threads = count_threads();

	mock_ring(&d.m, RING, false, false);
	layout = d.m.ring;
	heap = mock_alloc(&d.m, HEAP_BYTES + 8192, 4096);
	lay_headers();
	for (uintptr_t i = 0; i < ARRAY_SIZE(run); i++)
		must(!pthread_create(&other[i], NULL, run[i], (void *)(i + 10)));
	for (uintptr_t i = 0; i < 2; i++)
		must(!pthread_create(&starter[i], NULL, start_and_reset, (void *)i));
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(starter[i], NULL);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(other[i], NULL);
	ck_assert_uint_eq(__atomic_load_n(&odds, __ATOMIC_RELAXED), 0);

	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(reg_status(&d.mmio), 0);
	ck_assert_uint_eq(count_fds(), fds);
	mock_wait_until(count_threads() <= threads + 1);
	struct mock_blk req;
	reg_bring_up(&d.mmio, &d.m, ROWS_RING, DISK_FEATURES | DISK_RING);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 8, 4096, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 8, 4096, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert(all_bytes(mock_ptr(&d.m, req.data), 0xee, 4096));
	disk_fini(&d);
}
END_TEST

/* ---- engine errors ---- */

static struct rig r;
static struct mockdrv *const m = &r.m;

#define REQUESTS 5u

static void *answer_anything(void *arg)
{
	static const int64_t answer[] = { SCRIPTED_ALL, -5,	   512, -28,	     1, 0,
					  -11,		1ll << 40, -4,	SCRIPTED_ALL };
	uint32_t state = SEED(arg);

	while (!is_over()) {
		scripted_accept(r.engine, 1 + next(&state) % 4);
		scripted_complete_all(r.engine, answer[next(&state) % ARRAY_SIZE(answer)]);
		mock_pester();
	}
	return arg;
}

static void *ring_the_rig(void *arg)
{
	while (!is_over()) {
		mock_kick(m);
		mock_irqs(m);
		__atomic_fetch_and(&r.irq_status, ~IRQLINE_USED_RING, __ATOMIC_SEQ_CST);
		mock_pester();
	}
	return arg;
}

/*
 * Each request that was popped is completed exactly once, and others are not. Some rings are
 * broken.
 */
START_TEST(race_of_engine_errors_kicks_and_broken_rings_with_stop)
{
	pthread_t host, guest;
	uint32_t state = 7;

	rig_init(&r, RING, false, false, RING);
	must(!pthread_create(&host, NULL, answer_anything, (void *)1));
	must(!pthread_create(&guest, NULL, ring_the_rig, NULL));
	unsigned int fds = count_fds(), threads = count_threads();
	for (unsigned int i = 0; i < RIG_LIVES; i++) {
		struct mock_blk req[REQUESTS];
		struct vring_used_elem elem;
		bool breaks = i % 4 == 0;
		unsigned int seen = 0;

		mock_ring(m, RING, i % 2, false);
		__atomic_store_n(&r.status, VIRTIO_CONFIG_S_DRIVER_OK, __ATOMIC_SEQ_CST);
		for (unsigned int k = 0; k < REQUESTS; k++) {
			mock_blk(m, &req[k], k % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, k, 4096);
			mock_stage(m, req[k].head);
		}
		if (breaks)
			mock_stage(m, RING);
		mock_show(m);
		rig_start(&r);
		for (uint32_t n = next(&state) % 8; n; n--)
			sched_yield();
		rig_stop(&r);
		while (mock_used(m, &elem)) {
			must(elem.id % 3 == 0 && elem.id / 3 < REQUESTS);
			must(!(seen >> elem.id / 3 & 1));
			seen |= 1u << elem.id / 3;
		}
		for (unsigned int k = 0; k < REQUESTS; k++)
			must((mock_status(m, &req[k]) != 0xff) == (seen >> k & 1));
		must(scripted_held(r.engine) == 0 && r.engine->in_flight == 0);
		must(breaks || !rig_is_broken(&r));
	}
	ck_assert_uint_eq(count_fds(), fds);
	mock_wait_until(count_threads() <= threads + 1);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(host, NULL);
	pthread_join(guest, NULL);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("race");
	TCase *t = tcase_create("race");

	tcase_add_named_test(t, race_of_everything_on_every_engine, 2 * engine_ways(), way_name);
	tcase_add_test(t, race_of_engine_errors_kicks_and_broken_rings_with_stop);
	suite_add_tcase(s, t);
	return s;
}
