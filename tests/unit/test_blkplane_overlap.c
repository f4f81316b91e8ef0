/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of rings whose parts overlap, so that the device's writes change what it reads: no layout
 * keeps the dataplane thread busy once the driver is silent.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#define SIZE	    4u
#define DESC_BYTES  (16 * SIZE)
#define AVAIL_BYTES (6 + 2 * SIZE)
#define USED_BYTES  (6 + 8 * SIZE)
#define EVENT_BYTES 4u

static struct rig r;
static struct mockdrv *const m = &r.m;

/* Tell the mock driver where the parts of its ring are. */
static void place(struct mockdrv *drv)
{
	if (drv->ring.packed) {
		drv->driver_event = mock_ptr(drv, drv->ring.avail);
		drv->device_event = mock_ptr(drv, drv->ring.used);
		return;
	}
	drv->avail = mock_ptr(drv, drv->ring.avail);
	drv->used = mock_ptr(drv, drv->ring.used);
}

static uint64_t kicks(void)
{
	return READ_ONCE(r.stats.kicks);
}

/* Offer a request, and wait until the thread has seen its doorbell and sleeps again. */
static void offer_and_wait_for_sleep(struct mockdrv *drv, uint16_t head)
{
	uint64_t before = kicks();

	mock_offer(drv, head);
	mock_wait_until(kicks() != before);
	wait_idle_thread();
}

/* The driver offers a request that needs no I/O, then one that does, and leaves the ring alone. */
static void check_layout(struct mockdrv *drv)
{
	struct mock_blk id, data;

	place(drv);
	mock_blk(drv, &id, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	offer_and_wait_for_sleep(drv, id.head);
	if (!rig_is_broken(&r)) {
		drv->next_desc = 0;
		mock_blk(drv, &data, VIRTIO_BLK_T_IN, 0, 512);
		offer_and_wait_for_sleep(drv, data.head);
	}
	rig_stop(&r);
	r.status = r.irq_status = 0;
	mock_irqs(m);
}

/* An empty ring of that format; `features`: bit 0 EVENT_IDX, bit 1 packed. */
static void lay_out(int features)
{
	(features & 2 ? mock_ring_packed : mock_ring)(m, SIZE, features & 1, true);
}

/* Lays used.flags, which the device clears and sets, over avail.idx, and offers one request. */
static void expect_device_area_on_avail_idx_breaks(struct mock_blk *id)
{
	m->ring.avail += 2;
	m->ring.used = m->ring.avail + 2;
	place(m);
	mock_blk(m, id, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	mock_offer(m, id->head);
	rig_wait_broken(&r);
	wait_idle_thread();
}

START_TEST(row01_device_area_on_avail_idx_keeps_the_thread_busy)
{
	struct mock_blk id;

	rig_init(&r, SIZE, false, true, SIZE);
	expect_device_area_on_avail_idx_breaks(&id);
	ck_assert_uint_eq(mock_status(m, &id), VIRTIO_BLK_S_OK);

	/* A reset and a ring that is laid out well recover it. */
	rig_stop(&r);
	r.status = r.irq_status = 0;
	lay_out(0);
	mock_blk(m, &id, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	ck_assert_uint_eq(mock_do(m, &id, NULL), VIRTIO_BLK_S_OK);
	ck_assert(!rig_is_broken(&r));
	rig_fini(&r);
}
END_TEST

/* The same while the disk's limit lets nothing pass: turns that may not pop are turns, too. */
START_TEST(row01_device_area_on_avail_idx_of_a_throttled_disk)
{
	struct blklimit_rates slow = { .iops = 1, .iops_burst = 1 };
	struct blklimit limit = { 0 };
	struct mock_blk id;

	rig_init(&r, SIZE, false, true, SIZE);
	ck_assert(blklimit_fill_defaults(&slow));
	blklimit_set(&limit, &slow, monotonic_ns());
	r.config.limit = &limit;
	expect_device_area_on_avail_idx_breaks(&id);
	rig_fini(&r);
}
END_TEST

static const struct {
	bool packed;
	unsigned int fixed, moved; /* bytes of each */
	unsigned int align;	   /* of the part that is moved */
	bool on_avail;		   /* it is moved over the driver area, else over the descriptors */
} overlaps[] = {
	{ false, AVAIL_BYTES, USED_BYTES, 4, true },
	{ false, DESC_BYTES, USED_BYTES, 4, false },
	{ true, EVENT_BYTES, EVENT_BYTES, 4, true },
	{ true, DESC_BYTES, EVENT_BYTES, 4, false },
};

/* Which of them, with and without EVENT_IDX. */
START_TEST(row01_rings_that_overlap_at_every_distance)
{
	const bool event_idx = _i & 1, packed = overlaps[_i / 2].packed;
	const unsigned int align = overlaps[_i / 2].align;
	int first = -(int)overlaps[_i / 2].moved, last = (int)overlaps[_i / 2].fixed;

	rig_init_file(&r, &ioengine_sync, SIZE, false);
	/* The driver area of a split ring is aligned to 2, so that each distance has two phases. */
	for (unsigned int phase = 0; phase < (packed ? 1 : 2); phase++) {
		for (int distance = first; distance <= last; distance++) {
			uint64_t over;

			lay_out((event_idx ? 1 : 0) | (packed ? 2 : 0));
			m->ring.avail += 64 + 2 * phase;
			over = overlaps[_i / 2].on_avail ? m->ring.avail : m->ring.desc;
			m->ring.used = over + (uint64_t)distance;
			if (m->ring.used % align == 0)
				check_layout(m);
		}
	}
	rig_fini(&r);
}
END_TEST

/* A second queue, on the same thread. */
static struct {
	struct mockdrv m;
	struct ioengine *engine;
	struct blkplane_stats stats;
	struct blkplane *plane;
} other;

static void start_other(void)
{
	struct blkplane_config config = r.config;

	config.ring = other.m.ring;
	config.engine = other.engine;
	config.kick_fd = other.m.kick_fd;
	config.stats = &other.stats;
	ck_assert_int_eq(blkplane_start(&other.plane, &config), 0);
}

/* Both offer one request. Each queue is once the first to be served in a turn. */
static void check_pair(bool other_first)
{
	struct mock_blk req, other_req;

	place(m);
	place(&other.m);
	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	mock_blk(&other.m, &other_req, VIRTIO_BLK_T_GET_ID, 0, 20);
	if (other_first)
		rig_start(&r);
	start_other();
	if (!other_first)
		rig_start(&r);
	mock_offer(&other.m, other_req.head);
	offer_and_wait_for_sleep(m, req.head);
	rig_stop(&r);
	blkplane_stop(other.plane);
	r.status = r.irq_status = 0;
	mock_irqs(m);
}

/* The used ring of one queue over the avail ring of the other. */
START_TEST(row01_rings_of_two_queues_that_overlap_at_every_distance)
{
	struct ioengine_config engine = { .depth = SIZE, .direct_align = 1 };
	int kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	rig_init_file(&r, &ioengine_sync, SIZE, false);
	engine.fd = r.image.fd;
	engine.loop = &r.thread->loop;
	ck_assert_int_eq(ioengine_create(&other.engine, &ioengine_sync, &engine), 0);
	for (int distance = -(int)USED_BYTES; distance <= (int)AVAIL_BYTES; distance += 2) {
		lay_out(_i & 1);
		/* So that the used ring is aligned to 4. */
		m->ring.avail += 64 + (distance & 2);
		mock_beside(&other.m, m, 1);
		mock_ring(&other.m, SIZE, _i & 2, true);
		other.m.kick_fd = kick_fd;
		other.m.ring.used = m->ring.avail + (uint64_t)distance;
		check_pair(_i & 4);
	}
	ioengine_destroy(other.engine);
	rig_fini(&r);
	close(kick_fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("blkplane_overlap");
	TCase *tc = tcase_create("overlap");

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, row01_device_area_on_avail_idx_keeps_the_thread_busy);
	tcase_add_test(tc, row01_device_area_on_avail_idx_of_a_throttled_disk);
	tcase_add_loop_test(tc, row01_rings_that_overlap_at_every_distance, 0,
			    2 * (int)ARRAY_SIZE(overlaps));
	tcase_add_loop_test(tc, row01_rings_of_two_queues_that_overlap_at_every_distance, 0, 8);
	suite_add_tcase(suite, tc);
	return suite;
}
