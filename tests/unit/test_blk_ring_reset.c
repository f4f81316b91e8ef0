/* SPDX-License-Identifier: BSD-3-Clause */
/* VIRTIO_F_RING_RESET (2.6.1): one queue stops, changes and starts again, while the others go on. */
#include <errno.h>
#include <string.h>

#include "dataplane/blkplane.h"
#include "tests/lib/disk.h"
#include "tests/lib/engines.h"
#include "tests/lib/suite.h"

#define QUEUES	    2u
#define RING	    16u
#define QUEUE_RESET 0x0c0

static struct disk d;
static struct mockdrv q[QUEUES];

#define FEATURES (DISK_FEATURES | DISK_RING | BIT64(VIRTIO_BLK_F_MQ))

/* ---- a start that fails ---- */

static int start_error;

int __real_blkplane_start(struct blkplane **plane, const struct blkplane_config *config);
int __wrap_blkplane_start(struct blkplane **plane, const struct blkplane_config *config);

int __wrap_blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	return start_error ? start_error : __real_blkplane_start(plane, config);
}

/* ---- a driver ---- */

static void lay_out(unsigned int queue, uint16_t size)
{
	if (queue)
		mock_beside(&q[queue], &d.m, queue, size, true, true);
	else
		mock_ring(&q[0], size, true, true);
	q[queue].kick_fd = d.dev->queue[queue].kick_fd;
}

static void begin(int engine, uint64_t features)
{
	disk_init(&d, engine_way(2 * engine).engine);
	d.config.queues = QUEUES;
	d.config.iothreads = 1 + (unsigned int)engine % 2;
	disk_open(&d);
	ck_assert(reg_negotiate(&d.mmio, features));
	q[0] = d.m;
	for (unsigned int i = 0; i < QUEUES; i++) {
		lay_out(i, RING);
		ck_assert(reg_queue_n(&d.mmio, i, &q[i].ring));
	}
	reg_set_status(&d.mmio, ST_DRIVER_OK);
}

static void reset_queue(unsigned int queue)
{
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, queue);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	/* A write returns when it is done. */
	ck_assert_uint_eq(reg_get(&d.mmio, QUEUE_RESET), 0);
}

static bool is_ready(unsigned int queue)
{
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, queue);
	return reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_READY);
}

static void offer_read(unsigned int queue, struct mock_blk *req, uint64_t sector)
{
	mock_forget(&q[queue]);
	mock_blk(&q[queue], req, VIRTIO_BLK_T_IN, sector, 4096);
	mock_stage(&q[queue], req->head);
	mock_show(&q[queue]);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void read_on(unsigned int queue)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	offer_read(queue, &req, 8);
	mock_wait_used(&q[queue], &elem);
	ck_assert_uint_eq(elem.id, req.head);
	ck_assert_uint_eq(mock_status(&q[queue], &req), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(&q[queue], req.data), 8 * 512, 4096));
	q[queue].heap = req.header;
}

/* A bigger or smaller ring each time; what was in flight is drained before the write returns. */
START_TEST(one_queue_is_reset_and_laid_out_anew)
{
	static const uint16_t sizes[] = { 64, 4, 32, 16 };
	struct mock_blk req[5];

	begin(_i, FEATURES | BIT64(VIRTIO_F_RING_RESET));
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned int n = i % QUEUES;
		uint16_t used;

		read_on(0);
		read_on(1);
		mock_forget(&q[n]);
		for (unsigned int k = 0; k < 5 && 3 * k + 3 <= q[n].ring.size; k++) {
			mock_blk(&q[n], &req[k], VIRTIO_BLK_T_IN, k, 512);
			mock_stage(&q[n], req[k].head);
		}
		mock_show(&q[n]);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, n);
		reset_queue(n);
		used = mock_used_index(&q[n]);
		ck_assert(!is_ready(n));
		ck_assert_uint_eq(d.dev->queue[n].size, 0);
		ck_assert_uint_eq(d.dev->queue[n].desc | d.dev->queue[n].avail |
					  d.dev->queue[n].used,
				  0);
		ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), 64);
		/* It is quiet, whoever rings; and the other one is not. */
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, n);
		for (unsigned int k = 0; k < 3; k++)
			read_on(1 - n);
		ck_assert_uint_eq(mock_used_index(&q[n]), used);
		lay_out(n, sizes[i]);
		ck_assert(reg_queue_n(&d.mmio, n, &q[n].ring));
		ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	}
	read_on(0);
	read_on(1);
	reg_bring_up(&d.mmio, &d.m, RING, DISK_FEATURES);
	disk_fini(&d);
}
END_TEST

/* Without the feature, before it is settled, and with other values: nothing happens. */
START_TEST(row21_queue_reset_that_is_not_one)
{
	begin(_i, FEATURES);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	ck_assert(is_ready(0));
	read_on(0);

	reg_set_status(&d.mmio, 0);
	reg_set_status(&d.mmio, ST_ACK);
	reg_set_status(&d.mmio, ST_DRIVER);
	reg_accept(&d.mmio, FEATURES | BIT64(VIRTIO_F_RING_RESET));
	lay_out(0, RING);
	ck_assert(reg_queue(&d.mmio, &q[0].ring));
	reg_set(&d.mmio, QUEUE_RESET, 1);
	ck_assert(is_ready(0));
	reg_set_status(&d.mmio, ST_FEATURES_OK);
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	reg_set(&d.mmio, QUEUE_RESET, 0);
	reg_set(&d.mmio, QUEUE_RESET, 2);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, QUEUES);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	ck_assert(is_ready(0));
	read_on(0);
	disk_fini(&d);
}
END_TEST

/* Its registers are open from its reset until it is ready, and no longer. */
START_TEST(row21_registers_of_a_queue_that_was_reset)
{
	begin(_i, FEATURES | BIT64(VIRTIO_F_RING_RESET));
	for (unsigned int round = 0; round < 2; round++) {
		reset_queue(0);
		reset_queue(0);
		lay_out(0, RING);
		/* Row 20: not with a ring that cannot be used, and after that with a good one. */
		q[0].ring.size = 12;
		ck_assert(!reg_queue(&d.mmio, &q[0].ring));
		q[0].ring.size = RING;
		q[0].ring.desc += 8;
		ck_assert(!reg_queue(&d.mmio, &q[0].ring));
		q[0].ring.desc -= 8;
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 0);
		ck_assert(reg_queue(&d.mmio, &q[0].ring));

		struct virtio_queue before = d.dev->queue[0];
		for (uint64_t offset = VIRTIO_MMIO_QUEUE_DESC_LOW; offset < 0xb0; offset += 4)
			reg_set(&d.mmio, offset, 0x1000);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NUM, 4);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 0);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 1);
		ck_assert_mem_eq(&before, &d.dev->queue[0], sizeof(before));
		read_on(0);
		read_on(1);
	}
	disk_fini(&d);
}
END_TEST

/* Reset before DRIVER_OK, and one that is started late. */
START_TEST(reset_before_the_device_runs)
{
	begin(_i, FEATURES | BIT64(VIRTIO_F_RING_RESET));
	reg_set_status(&d.mmio, 0);
	ck_assert(reg_negotiate(&d.mmio, FEATURES | BIT64(VIRTIO_F_RING_RESET)));
	for (unsigned int i = 0; i < QUEUES; i++) {
		lay_out(i, RING);
		ck_assert(reg_queue_n(&d.mmio, i, &q[i].ring));
		reset_queue(i);
		ck_assert(!is_ready(i));
	}
	ck_assert(reg_queue(&d.mmio, &q[0].ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	/* The one that is running has no second start. */
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	read_on(0);
	ck_assert(reg_queue_n(&d.mmio, 1, &q[1].ring));
	read_on(1);
	disk_fini(&d);
}
END_TEST

/* The queue works again; that the device needs a reset has been said and is not taken back. */
START_TEST(reset_of_a_broken_queue)
{
	begin(_i, FEATURES | BIT64(VIRTIO_F_RING_RESET));
	for (unsigned int i = 0; i < 3; i++) {
		mock_stage(&q[0], RING);
		mock_show(&q[0]);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		mock_wait_until(reg_status(&d.mmio) & ST_NEEDS_RESET);
		reset_queue(0);
		lay_out(0, RING);
		ck_assert(reg_queue(&d.mmio, &q[0].ring));
		read_on(0);
		read_on(1);
	}
	ck_assert(reg_status(&d.mmio) & ST_NEEDS_RESET);
	disk_fini(&d);
}
END_TEST

START_TEST(host_that_cannot_start_the_queue_again)
{
	begin(_i, FEATURES | BIT64(VIRTIO_F_RING_RESET));
	reset_queue(0);
	lay_out(0, RING);
	start_error = -ENOMEM;
	reg_queue(&d.mmio, &q[0].ring);
	start_error = 0;
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	ck_assert(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS) & IRQLINE_CONFIG);
	read_on(1);
	/* Once more. */
	reset_queue(0);
	lay_out(0, RING);
	ck_assert(reg_queue(&d.mmio, &q[0].ring));
	read_on(0);
	disk_fini(&d);
}
END_TEST

/* Its failure takes back what the others had begun. */
START_TEST(host_that_cannot_start_one_of_the_queues)
{
	disk_init(&d, engine_way(2 * _i).engine);
	d.config.queues = QUEUES;
	disk_open(&d);
	for (unsigned int i = 0; i <= QUEUES; i++) {
		reg_set_status(&d.mmio, 0);
		ck_assert(reg_negotiate(&d.mmio, FEATURES));
		q[0] = d.m;
		for (unsigned int n = 0; n < QUEUES; n++) {
			lay_out(n, RING);
			ck_assert(reg_queue_n(&d.mmio, n, &q[n].ring));
		}
		/* Its memory goes between ready and DRIVER_OK, as far as the plane can tell. */
		if (i < QUEUES)
			d.dev->queue[i].used = MOCK_HOLE;
		reg_set_status(&d.mmio, ST_DRIVER_OK);
		ck_assert_uint_eq(reg_status(&d.mmio),
				  ST_DRIVER_OK | (i < QUEUES ? ST_NEEDS_RESET : 0));
	}
	read_on(0);
	read_on(1);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_ring_reset");
	TCase *t = tcase_create("blk_ring_reset");
	const int n = engine_ways() / 2;

	tcase_add_loop_test(t, one_queue_is_reset_and_laid_out_anew, 0, n);
	tcase_add_loop_test(t, row21_queue_reset_that_is_not_one, 0, n);
	tcase_add_loop_test(t, row21_registers_of_a_queue_that_was_reset, 0, n);
	tcase_add_loop_test(t, reset_before_the_device_runs, 0, n);
	tcase_add_loop_test(t, reset_of_a_broken_queue, 0, n);
	tcase_add_loop_test(t, host_that_cannot_start_the_queue_again, 0, n);
	tcase_add_loop_test(t, host_that_cannot_start_one_of_the_queues, 0, n);
	suite_add_tcase(s, t);
	return s;
}
