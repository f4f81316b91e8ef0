/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of rings whose parts overlap, so that the device's writes change what it reads. No layout
 * may keep the dataplane thread busy while the driver does nothing.
 */
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#define SIZE	    4u
#define DESC_BYTES  (16 * SIZE)
#define AVAIL_BYTES (6 + 2 * SIZE)
#define USED_BYTES  (6 + 8 * SIZE)
#define EVENT_BYTES 4u

static struct rig r;
static struct mockdrv *const m = &r.m;

/* Tells the mock driver where the parts of its ring are. */
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

/* Offers a request, and waits until the thread has seen the notification and sleeps again. */
static void offer_and_wait_for_sleep(struct mockdrv *drv, uint16_t head)
{
	uint64_t before = kicks();

	mock_offer(drv, head);
	mock_wait_until(kicks() != before);
	wait_idle_thread();
}

/* Offers a request that needs no I/O and one that does. The thread must sleep after each. */
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

/* Lays out an empty ring. */
static void lay_out(bool packed, bool event_idx)
{
	(packed ? mock_ring_packed : mock_ring)(m, SIZE, event_idx, true);
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

	/* A reset with a valid layout recovers the queue. */
	rig_stop(&r);
	r.status = r.irq_status = 0;
	lay_out(false, false);
	mock_blk(m, &id, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	ck_assert_uint_eq(mock_do(m, &id, NULL), VIRTIO_BLK_S_OK);
	ck_assert(!rig_is_broken(&r));
	rig_fini(&r);
}
END_TEST

/* Turns in which the limit allows no pop count as well. */
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
	const char *name;
	bool packed;
	unsigned int fixed, moved; /* bytes of both parts */
	unsigned int align;	   /* alignment of the part that is moved, the device area */
	bool on_avail;		   /* true: over the driver area; false: over the descriptors */
} overlaps[] = {
	{ "split, over the driver area", false, AVAIL_BYTES, USED_BYTES, 4, true },
	{ "split, over the descriptors", false, DESC_BYTES, USED_BYTES, 4, false },
	{ "packed, over the driver area", true, EVENT_BYTES, EVENT_BYTES, 4, true },
	{ "packed, over the descriptors", true, DESC_BYTES, EVENT_BYTES, 4, false },
};

static const char *overlap_name(int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s%s", overlaps[i / 2].name, i & 1 ? ", EVENT_IDX" : "");
	return name;
}

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

			lay_out(packed, event_idx);
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

/* The second queue, on the same thread. */
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

/* Both queues get one request. The queue that starts last is served first in a turn. */
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

static const char *pair_name(int i)
{
	static const char *const bits[][2] = { { "", "EVENT_IDX" },
					       { "", "EVENT_IDX of the second" },
					       { "first", "second" } };
	static char name[64];

	snprintf(name, sizeof(name), "%s queue first", case_bits(i, bits, ARRAY_SIZE(bits)));
	return name;
}

/* The used ring of one queue lies over the avail ring of the other. */
START_TEST(row01_rings_of_two_queues_that_overlap_at_every_distance)
{
	struct ioengine_config engine = { .depth = SIZE, .direct_align = 1 };
	int kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	rig_init_file(&r, &ioengine_sync, SIZE, false);
	engine.fd = r.image.fd;
	engine.loop = &r.thread->loop;
	ck_assert_int_eq(ioengine_create(&other.engine, &ioengine_sync, &engine), 0);
	for (int distance = -(int)USED_BYTES; distance <= (int)AVAIL_BYTES; distance += 2) {
		lay_out(false, _i & 1);
		/* The used ring must be aligned to 4. */
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
	tcase_add_named_test(tc, row01_rings_that_overlap_at_every_distance,
			     2 * (int)ARRAY_SIZE(overlaps), overlap_name);
	tcase_add_named_test(tc, row01_rings_of_two_queues_that_overlap_at_every_distance, 8,
			     pair_name);
	suite_add_tcase(suite, tc);
	return suite;
}
