/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows 26, 29, 33, 37 and 38, discards and zeroes: the whole disk, over every engine. Linked with
 * --wrap: what the image's file is asked to do comes by here, and is held up where a test wants it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
void __real_ioengine_cancel_ranges(struct ioengine *engine);
void __wrap_ioengine_cancel_ranges(struct ioengine *engine);

#define SECTORS (DISK_BYTES / 512)
#define BOTH	(BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES))
#define RANGES	(DISK_FEATURES | DISK_RING | BOTH)
#define WCE	(VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce))
#define UNMAP	VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

enum { DISCARD = VIRTIO_BLK_T_DISCARD, ZEROES = VIRTIO_BLK_T_WRITE_ZEROES };
enum { OK = VIRTIO_BLK_S_OK, IOERR = VIRTIO_BLK_S_IOERR, UNSUPP = VIRTIO_BLK_S_UNSUPP };

typedef struct virtio_blk_discard_write_zeroes segment;

static struct disk d;
static struct mockdrv *const m = &d.m;
static bool held; /* who calls fallocate waits for `go` */
static sem_t arrived, go;
static unsigned int punched, zeroed; /* atomic, as what follows */
static unsigned int flushes;
static bool cancels;

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	__atomic_fetch_add(mode & FALLOC_FL_PUNCH_HOLE ? &punched : &zeroed, 1, __ATOMIC_SEQ_CST);
	if (READ_ONCE(held)) {
		sem_post(&arrived);
		while (sem_wait(&go))
			;
	}
	return __real_fallocate(fd, mode, offset, len);
}

int __wrap_fdatasync(int fd)
{
	__atomic_fetch_add(&flushes, 1, __ATOMIC_SEQ_CST);
	return __real_fdatasync(fd);
}

void __wrap_ioengine_cancel_ranges(struct ioengine *engine)
{
	__real_ioengine_cancel_ranges(engine);
	WRITE_ONCE(cancels, true);
}

static void hold(void)
{
	sem_init(&arrived, 0, 0);
	sem_init(&go, 0, 0);
	WRITE_ONCE(held, true);
}

static void let_go(void)
{
	WRITE_ONCE(held, false);
	sem_post(&go);
}

static void begin(int way, uint64_t features)
{
	rows_init(&d, way);
	disk_open(&d);
	rows_recover(&d, ROWS_RING, features);
}

static void lay_out(struct mock_blk *req, uint32_t type, const segment *seg, unsigned int count)
{
	mock_blk(m, req, type, ~0ull, count * (uint32_t)sizeof(*seg));
	memcpy(mock_ptr(m, req->data), seg, count * sizeof(*seg));
}

static uint8_t change(uint32_t type, const segment *seg, unsigned int count)
{
	struct mock_blk req;
	uint32_t used;
	uint8_t status;

	mock_forget(m);
	lay_out(&req, type, seg, count);
	status = mock_do(m, &req, &used);
	ck_assert_uint_eq(used, 1);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	return status;
}

static blkcnt_t blocks(void)
{
	struct stat st;

	ck_assert_int_eq(fsync(d.image.fd), 0);
	ck_assert_int_eq(fstat(d.image.fd, &st), 0);
	return st.st_blocks;
}

static void expect_zeros(uint64_t sector, uint32_t sectors)
{
	static uint8_t bytes[65536];

	image_peek(&d.image, bytes, sector * 512, sectors * 512);
	ck_assert(all_bytes(bytes, 0, sectors * 512));
	image_peek(&d.image, bytes, sector * 512 - 512, 512);
	ck_assert(image_is_fresh(bytes, sector * 512 - 512, 512));
	image_peek(&d.image, bytes, (sector + sectors) * 512, 512);
	ck_assert(image_is_fresh(bytes, (sector + sectors) * 512, 512));
}

START_TEST(discard_and_zeroes_on_every_engine)
{
	static const segment seg[] = { { .sector = 64, .num_sectors = 16 },
				       { .sector = 1024, .num_sectors = 8 },
				       { .sector = 99, .num_sectors = 0 },
				       { .sector = 129, .num_sectors = 1 } };
	static const segment unmap[] = { { 1200, 32, UNMAP }, { 1600, 32, 0 } };
	blkcnt_t before;

	begin(_i, RANGES);
	before = blocks();
	ck_assert_uint_eq(change(ZEROES, seg, 4), OK);
	ck_assert_uint_eq(READ_ONCE(zeroed), 3);
	expect_zeros(64, 16);
	expect_zeros(1024, 8);
	expect_zeros(129, 1);
	ck_assert_int_ge(blocks(), before);
	ck_assert_uint_eq(change(ZEROES, unmap, 2), OK);
	ck_assert_uint_eq(READ_ONCE(zeroed), 4);
	expect_zeros(1200, 32);
	expect_zeros(1600, 32);
	ck_assert_int_lt(blocks(), before);
	before = blocks();
	ck_assert_uint_eq(change(DISCARD, (segment[]){ { 512, 64, 0 } }, 1), OK);
	ck_assert_uint_eq(READ_ONCE(punched), 2);
	ck_assert_int_lt(blocks(), before);
	rows_end(&d, true);
}
END_TEST

/* discard=off: the driver is not offered it, and what it says of zeroes is not heeded. */
START_TEST(discard_off_keeps_all_blocks_on_every_engine)
{
	const struct virtio_blk_config *space;
	blkcnt_t before;

	rows_init(&d, _i);
	d.config.discard = false;
	disk_open(&d);
	space = (const struct virtio_blk_config *)d.dev->regpage->config;
	ck_assert_uint_eq(reg_offered(&d.mmio) & BOTH, BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	ck_assert_uint_eq(space->max_discard_sectors, 0);
	ck_assert_uint_eq(space->write_zeroes_may_unmap, 0);
	rows_recover(&d, ROWS_RING, DISK_FEATURES | BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	before = blocks();
	ck_assert_uint_eq(change(ZEROES, (segment[]){ { 64, 64, UNMAP } }, 1), OK);
	expect_zeros(64, 64);
	ck_assert_uint_eq(change(DISCARD, (segment[]){ { 256, 64, 0 } }, 1), UNSUPP);
	ck_assert_uint_eq(READ_ONCE(punched), 0);
	ck_assert_int_ge(blocks(), before);
	rows_end(&d, true);
}
END_TEST

START_TEST(row33_discard_and_zeroes_on_a_read_only_disk_on_every_engine)
{
	rows_init(&d, _i);
	d.config.readonly = true;
	disk_open(&d);
	ck_assert_uint_eq(reg_offered(&d.mmio) & BOTH, 0);
	rows_recover(&d, ROWS_RING, DISK_FEATURES);
	ck_assert_uint_eq(change(ZEROES, (segment[]){ { 64, 64, 0 } }, 1), IOERR);
	ck_assert_uint_eq(change(DISCARD, (segment[]){ { 64, 64, 0 } }, 1), IOERR);
	ck_assert_uint_eq(READ_ONCE(punched) + READ_ONCE(zeroed), 0);
	rows_end(&d, false);
}
END_TEST

START_TEST(row37_segments_against_the_rules_on_every_engine)
{
	static const struct {
		segment seg;
		uint8_t discard, zeroes; /* status */
	} cases[] = {
		{ { SECTORS, 1, 0 }, IOERR, IOERR },	 { { SECTORS - 1, 2, 0 }, IOERR, IOERR },
		{ { 0, SECTORS + 1, 0 }, IOERR, IOERR }, { { 0, (1u << 22) + 1, 0 }, IOERR, IOERR },
		{ { 0, ~0u, 0 }, IOERR, IOERR },	 { { ~0ull, 1, 0 }, IOERR, IOERR },
		{ { ~0ull - 6, 8, 0 }, IOERR, IOERR },	 { { 1ull << 55, 8, 0 }, IOERR, IOERR },
		{ { 64, 8, 2 }, UNSUPP, UNSUPP },	 { { 64, 8, 0x80000000 }, UNSUPP, UNSUPP },
		{ { 64, 8, 3 }, UNSUPP, UNSUPP },	 { { SECTORS, 0, UNMAP }, UNSUPP, OK },
	};
	static const uint32_t lengths[] = { 0, 1, 15, 17, 31, 16 * 16 + 1, 17 * 16, 4096 };
	segment seg[16];
	uint32_t used;
	struct mock_blk req;

	begin(_i, RANGES);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		/* The last of many, of which the others would do. */
		for (unsigned int k = 0; k < 15; k++)
			seg[k] = (segment){ 64 + 8 * k, 8, 0 };
		seg[15] = cases[i].seg;
		ck_assert_uint_eq(change(DISCARD, seg, 16), cases[i].discard);
		ck_assert_uint_eq(change(ZEROES, &seg[15], 1), cases[i].zeroes);
		if (cases[i].zeroes != OK)
			ck_assert_uint_eq(change(ZEROES, seg, 16), cases[i].zeroes);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (unsigned int t = 0; t < 2; t++) {
			mock_forget(m);
			mock_blk(m, &req, t ? DISCARD : ZEROES, 0, lengths[i]);
			memset(mock_ptr(m, req.data), 0, lengths[i]);
			ck_assert_uint_eq(mock_do(m, &req, &used), IOERR);
			ck_assert_uint_eq(used, 1);
		}
	}
	ck_assert_uint_eq(READ_ONCE(punched) + READ_ONCE(zeroed), 0);
	rows_end(&d, false);
}
END_TEST

/* The host takes its time over zeroes; reads, writes and flushes do not notice. */
START_TEST(row38_zeroes_that_take_long_on_every_engine)
{
	enum { OTHERS = 30 };
	struct mock_blk slow, req[OTHERS];
	struct vring_used_elem elem;

	begin(_i, RANGES);
	hold();
	mock_forget(m);
	lay_out(&slow, ZEROES, (segment[]){ { 64, 64, 0 } }, 1);
	mock_offer(m, slow.head);
	while (sem_wait(&arrived))
		;
	for (unsigned int round = 0; round < 8; round++) {
		m->next_desc = 3;
		for (unsigned int i = 0; i < OTHERS / 2; i++) {
			static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
							  VIRTIO_BLK_T_FLUSH };

			mock_blk(m, &req[i], types[i % 3], 512 + i * 8, i % 3 == 2 ? 0 : 4096);
			mock_stage(m, req[i].head);
		}
		mock_show(m);
		mock_kick(m);
		for (unsigned int i = 0; i < OTHERS / 2; i++) {
			mock_wait_used(m, &elem);
			must(elem.id != slow.head);
		}
		for (unsigned int i = 0; i < OTHERS / 2; i++)
			ck_assert_uint_eq(mock_status(m, &req[i]), OK);
	}
	ck_assert_uint_eq(mock_status(m, &slow), 0xff);
	let_go();
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, slow.head);
	ck_assert_uint_eq(mock_status(m, &slow), OK);
	expect_zeros(64, 64);
	rows_end(&d, true);
}
END_TEST

static bool is_reset; /* atomic */

static void *reset(void *arg)
{
	reg_set_status(&d.mmio, 0);
	__atomic_store_n(&is_reset, true, __ATOMIC_SEQ_CST);
	return arg;
}

/* The one with the host is waited for, the others are given up. */
START_TEST(row26_reset_with_many_zeroes_in_flight_on_every_engine)
{
	struct mock_blk req[16];
	pthread_t vcpu;

	begin(_i, RANGES);
	hold();
	mock_forget(m);
	for (unsigned int i = 0; i < 16; i++) {
		lay_out(&req[i], ZEROES, (segment[]){ { 64 + 8 * i, 8, 0 }, { 512, 8, 0 } }, 2);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	mock_kick(m);
	while (sem_wait(&arrived))
		;
	ck_assert_int_eq(pthread_create(&vcpu, NULL, reset, NULL), 0);
	mock_wait_until(READ_ONCE(cancels));
	ck_assert(!__atomic_load_n(&is_reset, __ATOMIC_SEQ_CST));
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	let_go();
	pthread_join(vcpu, NULL);
	ck_assert_uint_eq(reg_status(&d.mmio), 0);
	ck_assert_uint_eq(READ_ONCE(zeroed), 1);

	/* Nothing of it is left over for the next driver. */
	memset(mock_ptr(m, m->ring.desc), 0x77, m->heap - m->ring.desc);
	for (unsigned int i = 0; i < 100; i++)
		mock_kick(m);
	ck_assert(all_bytes(mock_ptr(m, m->ring.desc), 0x77, m->heap - m->ring.desc));
	rows_recover(&d, ROWS_RING, RANGES);
	ck_assert_uint_eq(change(ZEROES, (segment[]){ { 64, 64, 0 } }, 1), OK);
	expect_zeros(64, 64);
	rows_end(&d, true);
}
END_TEST

/* Who changes the cache does not wait for zeroes: they fit in. */
START_TEST(row29_cache_changed_beside_zeroes_that_take_long_on_every_engine)
{
	struct mock_blk slow;
	struct vring_used_elem elem;
	uint8_t byte = 0;

	begin(_i, RANGES | BIT64(VIRTIO_BLK_F_CONFIG_WCE));
	hold();
	mock_forget(m);
	lay_out(&slow, ZEROES, (segment[]){ { 64, 64, 0 } }, 1);
	mock_offer(m, slow.head);
	while (sem_wait(&arrived))
		;
	for (unsigned int i = 0; i < 21; i++) {
		byte = i & 1;
		virtio_mmio_write(&d.mmio, WCE, &byte, 1);
	}
	ck_assert_uint_eq(READ_ONCE(flushes), 11);
	ck_assert_uint_eq(mock_status(m, &slow), 0xff);
	let_go();
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &slow), OK);
	ck_assert_uint_eq(READ_ONCE(flushes), 12);
	rows_end(&d, true);
}
END_TEST

/* 5.2.6.2, as for a write. */
START_TEST(zeroes_and_discards_are_stable_without_a_flush_on_every_engine)
{
	const segment seg = { 64, 64, 0 };

	begin(_i, RANGES & ~BIT64(VIRTIO_BLK_F_FLUSH));
	ck_assert_uint_eq(change(ZEROES, &seg, 1), OK);
	ck_assert_uint_eq(change(DISCARD, &seg, 1), OK);
	ck_assert_uint_eq(READ_ONCE(flushes), 2);
	/* The next driver flushes itself. */
	rows_recover(&d, ROWS_RING, RANGES);
	ck_assert_uint_eq(change(ZEROES, &seg, 1), OK);
	ck_assert_uint_eq(READ_ONCE(flushes), 2);
	rows_end(&d, true);
}
END_TEST

/* ---- all at once ---- */

#define ROUNDS 100

static void *toggle(void *arg)
{
	for (uint8_t i = 0; i < ROUNDS; i++)
		virtio_mmio_write(&d.mmio, WCE, &i, 1);
	return arg;
}

static void *live(void *arg)
{
	struct vring_config ring = m->ring;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		reg_set_status(&d.mmio, 0);
		reg_negotiate(&d.mmio, RANGES | BIT64(VIRTIO_BLK_F_CONFIG_WCE));
		reg_queue(&d.mmio, &ring);
		reg_set_status(&d.mmio, ST_DRIVER_OK);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	}
	return arg;
}

START_TEST(row27_ranges_toggles_resets_and_kicks_on_every_engine)
{
	pthread_t vcpu[2];
	struct mock_blk req;

	begin(_i, RANGES);
	reg_bring_up(&d.mmio, m, ROWS_RING, RANGES);
	for (unsigned int i = 0; i < 20; i++) {
		if (i % 4 == 3)
			mock_blk(m, &req, VIRTIO_BLK_T_OUT, 64 + i, 512);
		else
			lay_out(&req, i % 2 ? DISCARD : ZEROES,
				(segment[]){ { 256 + 8 * i, 8, 0 }, { 1024, 8, 0 } }, 2);
		mock_stage(m, req.head);
	}
	mock_show(m);
	ck_assert_int_eq(pthread_create(&vcpu[0], NULL, toggle, NULL), 0);
	ck_assert_int_eq(pthread_create(&vcpu[1], NULL, live, NULL), 0);
	for (unsigned int i = 0; i < 300; i++)
		mock_kick(m);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(vcpu[i], NULL);
	rows_end(&d, true);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("rows_engines_ranges");
	TCase *t = tcase_create("ranges");
	const int n = engine_ways();

	tcase_add_loop_test(t, discard_and_zeroes_on_every_engine, 0, n);
	tcase_add_loop_test(t, discard_off_keeps_all_blocks_on_every_engine, 0, n);
	tcase_add_loop_test(t, row33_discard_and_zeroes_on_a_read_only_disk_on_every_engine, 0, n);
	tcase_add_loop_test(t, row37_segments_against_the_rules_on_every_engine, 0, n);
	tcase_add_loop_test(t, row38_zeroes_that_take_long_on_every_engine, 0, n);
	tcase_add_loop_test(t, row26_reset_with_many_zeroes_in_flight_on_every_engine, 0, n);
	tcase_add_loop_test(t, row29_cache_changed_beside_zeroes_that_take_long_on_every_engine, 0,
			    n);
	tcase_add_loop_test(t, zeroes_and_discards_are_stable_without_a_flush_on_every_engine, 0,
			    n);
	tcase_add_loop_test(t, row27_ranges_toggles_resets_and_kicks_on_every_engine, 0, n);
	suite_add_tcase(s, t);
	return s;
}
