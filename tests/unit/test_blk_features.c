/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver accepts is what it gets, each feature by itself; and a host without AIO.
 *
 * The test replaces io_submit and io_setup by functions that record what the device asks for and
 * pass it to the kernel.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <libaio.h>

#include "tests/lib/disk.h"
#include "tests/lib/suite.h"

static struct disk d;
static struct mockdrv *const m = &d.m;
static int write_flags[64]; /* of each write submitted; atomic, as what follows */
static unsigned int writes;
static bool no_aio;
static unsigned int setups;

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *cbs[]);
int __wrap_io_setup(int maxevents, io_context_t *ctx);

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *cbs[])
{
	long n;

	for (long i = 0; i < nr; i++) {
		unsigned int at = READ_ONCE(writes);

		if (cbs[i]->aio_lio_opcode != IO_CMD_PWRITEV || at == ARRAY_SIZE(write_flags))
			continue;
		WRITE_ONCE(write_flags[at], (int)cbs[i]->aio_rw_flags);
		WRITE_ONCE(writes, at + 1);
	}
	n = syscall(SYS_io_submit, ctx, nr, cbs);
	return n < 0 ? -errno : (int)n;
}

int __wrap_io_setup(int maxevents, io_context_t *ctx)
{
	setups++;
	if (no_aio)
		return -EAGAIN;
	return syscall(SYS_io_setup, maxevents, ctx) ? -errno : 0;
}

static unsigned int write_count(void)
{
	return READ_ONCE(writes);
}

static void begin(uint64_t features)
{
	disk_init(&d, BLK_ENGINE_LIBAIO);
	disk_open(&d);
	reg_bring_up(&d.mmio, m, 64, features);
}

/* A GET_ID behind an indirect descriptor: answered, or the end of the queue. */
static bool indirect_works(void)
{
	struct mock_blk req;
	uint16_t head;

	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	head = mock_chain_indirect(m, 0,
				   (struct mock_piece[]){ { req.header, 16, false },
							  { req.data, 20, true },
							  { req.status, 1, true } },
				   3);
	mock_stage(m, head);
	mock_show(m);
	mock_kick(m);
	mock_wait_until(mock_status(m, &req) != 0xff || reg_status(&d.mmio) & ST_NEEDS_RESET);
	return mock_status(m, &req) == VIRTIO_BLK_S_OK;
}

/* Three requests one after the other, with a used_event that asks for the third only. */
static bool event_idx_works(void)
{
	struct mock_blk req;

	m->avail->flags = 0;
	WRITE_ONCE(*mock_used_event(m), 2);
	/* A mark that only a device with EVENT_IDX overwrites. */
	WRITE_ONCE(*(uint16_t *)&m->used->ring[64], 0x5a5a);
	for (unsigned int i = 0; i < 3; i++)
		disk_do(&d, VIRTIO_BLK_T_GET_ID, 0, 20, &req, NULL);
	wait_idle_thread();
	uint64_t irqs = mock_irqs(m);
	bool avail_event = mock_avail_event(m) != 0x5a5a;

	/* All of the feature, or nothing of it. */
	ck_assert_uint_eq(irqs, avail_event ? 1 : 3);
	return avail_event;
}

START_TEST(wart_features_by_bit_number_instead_of_mask)
{
	const uint64_t indirect = BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	const uint64_t event_idx = BIT64(VIRTIO_RING_F_EVENT_IDX);
	/* 28 and 29 taken for masks are made of bits 2, 3 and 4, and 0: SEG_MAX would do. */
	const uint64_t all_but_ring = DISK_FEATURES | BIT64(VIRTIO_BLK_F_SEG_MAX) |
				      BIT64(VIRTIO_BLK_F_BLK_SIZE) | BIT64(VIRTIO_BLK_F_TOPOLOGY);
	static const struct {
		bool indirect, event_idx, rest;
	} cases[] = {
		{ false, false, true }, { false, false, false }, { true, false, true },
		{ true, false, false }, { false, true, true },	 { false, true, false },
		{ true, true, true },	{ true, true, false },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		begin((cases[i].rest ? all_but_ring : DISK_PLAIN) |
		      (cases[i].indirect ? indirect : 0) | (cases[i].event_idx ? event_idx : 0));
		ck_assert_int_eq(event_idx_works(), cases[i].event_idx);
		ck_assert_int_eq(indirect_works(), cases[i].indirect);
		disk_fini(&d);
	}
}
END_TEST

/* 5.2.6.2: who cannot flush must not lose what was answered. */
START_TEST(flush_not_accepted_makes_writes_stable)
{
	/* Bits 0 and 3 of 9 taken as a mask are not offered; the others must not look like it. */
	static const struct {
		uint64_t features;
		int flags;
	} cases[] = {
		{ DISK_PLAIN, RWF_DSYNC },
		{ DISK_PLAIN | DISK_RING | BIT64(VIRTIO_BLK_F_SEG_MAX), RWF_DSYNC },
		{ DISK_FEATURES, 0 },
		{ DISK_FEATURES | DISK_RING, 0 },
	};
	struct mock_blk req;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(cases[i].features);
		WRITE_ONCE(writes, 0);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 0, 4096, &req, NULL),
				  VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(write_count(), 1);
		ck_assert_int_eq(READ_ONCE(write_flags[0]), cases[i].flags);
		/* The next driver decides anew. */
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 0, 4096, &req, NULL),
				  VIRTIO_BLK_S_OK);
		ck_assert_int_eq(READ_ONCE(write_flags[1]), 0);
		disk_fini(&d);
	}
}
END_TEST

/* Also through bounce buffers (with O_DIRECT), and each of the segments. */
START_TEST(stable_writes_in_segments)
{
	struct mock_blk req;

	begin(DISK_PLAIN);
	mock_blk(m, &req, VIRTIO_BLK_T_OUT, 0, 200 << 10);
	m->desc[req.head + 1].addr = req.data = mock_alloc(m, 200 << 10, 512) + 1;
	m->heap++;
	ck_assert_uint_eq(mock_do(m, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_ge(write_count(), 1);
	for (unsigned int i = 0; i < write_count(); i++)
		ck_assert_int_eq(READ_ONCE(write_flags[i]), RWF_DSYNC);
	disk_fini(&d);
}
END_TEST

START_TEST(host_refuses_aio_fall_back_to_sync)
{
	struct mock_blk req;

	no_aio = true;
	begin(DISK_FEATURES);
	ck_assert_uint_eq(setups, 1);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 8, 4096, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 8, 4096, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(write_count(), 0);
	disk_fini(&d);
}
END_TEST

/* io_setup costs a system call and memory: not before a driver is there, and once. */
START_TEST(engine_is_made_at_the_first_activation)
{
	struct mock_blk req;

	disk_init(&d, BLK_ENGINE_LIBAIO);
	disk_open(&d);
	ck_assert_uint_eq(setups, 0);
	for (unsigned int i = 0; i < 3; i++) {
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL),
				  VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_eq(setups, 1);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_features");
	TCase *t = tcase_create("blk_features");

	tcase_add_test(t, wart_features_by_bit_number_instead_of_mask);
	tcase_add_test(t, flush_not_accepted_makes_writes_stable);
	tcase_add_test(t, stable_writes_in_segments);
	tcase_add_test(t, host_refuses_aio_fall_back_to_sync);
	tcase_add_test(t, engine_is_made_at_the_first_activation);
	suite_add_tcase(s, t);
	return s;
}
