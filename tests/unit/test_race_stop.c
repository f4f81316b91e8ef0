/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests that bound the work of a stop while the guest floods: the number of requests that are
 * popped after it was requested. Linked with --wrap: the guest is infinitely fast. It sees each
 * status byte at once and offers the head again, on the device's own thread, before the device has
 * published it, so the ring is never empty, not even within a batch. A packed ring has no free
 * descriptor until then, so there the head is offered again at the publication, and the device
 * never finds the ring empty.
 */
#include "dataplane/evloop.h"
#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

int __real_vring_pop(struct vring_dev *vr, struct vring_chain *chain);
int __wrap_vring_pop(struct vring_dev *vr, struct vring_chain *chain);
void __real_vring_push(struct vring_dev *vr, uint16_t head, uint32_t written);
void __wrap_vring_push(struct vring_dev *vr, uint16_t head, uint32_t written);
bool __real_vring_publish(struct vring_dev *vr);
bool __wrap_vring_publish(struct vring_dev *vr);
void __real_evloop_wake(struct evloop *loop);
void __wrap_evloop_wake(struct evloop *loop);

#define RING 32u
/* Number of requests after which the flood ends, so that the test fails instead of hanging. */
#define TOO_MANY (100u * RING)

static struct disk d;
static struct mockdrv *const m = &d.m;
static bool flooding, stopping;
static unsigned int taken;    /* atomic: number of requests popped */
static uint16_t pushed[RING]; /* heads of a packed ring pushed and not published yet */
static unsigned int pushed_count;
static unsigned int asked; /* atomic: `taken` when the stop was requested; 0: not yet */

static unsigned int get(const unsigned int *n)
{
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

int __wrap_vring_pop(struct vring_dev *vr, struct vring_chain *chain)
{
	int got = __real_vring_pop(vr, chain);

	if (got > 0)
		__atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
	return got;
}

void __wrap_vring_push(struct vring_dev *vr, uint16_t head, uint32_t written)
{
	__real_vring_push(vr, head, written);
	if (!flooding || (get(&asked) && get(&taken) - get(&asked) > TOO_MANY))
		return;
	if (vr->packed) {
		must(pushed_count < RING);
		pushed[pushed_count++] = head;
		return;
	}
	mock_stage(m, head);
	mock_show(m);
	mock_kick(m);
}

bool __wrap_vring_publish(struct vring_dev *vr)
{
	bool any = __real_vring_publish(vr);

	if (!pushed_count)
		return any;
	for (unsigned int i = 0; i < pushed_count; i++)
		mock_stage(m, pushed[i]);
	pushed_count = 0;
	mock_show(m);
	mock_kick(m);
	return any;
}

void __wrap_evloop_wake(struct evloop *loop)
{
	__real_evloop_wake(loop);
	/* From here on, the dataplane thread can see the call. */
	if (stopping)
		__atomic_store_n(&asked, get(&taken), __ATOMIC_SEQ_CST);
}

/* The kinds of floods. */
enum { READS, MIXED, IDS };

/* Fills the ring with requests of one descriptor each. In a mixed flood, one in four is a read. */
static void fill_ring(unsigned int kind)
{
	for (unsigned int i = 0; i < RING; i++) {
		bool read = kind == READS || (kind == MIXED && i % 4 == 0);
		const struct mock_piece piece[] = {
			{ mock_header(m, read ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_GET_ID, i), 16,
			  false },
			{ mock_alloc(m, 512, 512), 512, true },
			{ mock_alloc(m, 1, 1), 1, true },
		};

		mock_stage(m, mock_chain_indirect(m, 0, piece, 3));
	}
	mock_show(m);
}

static void flood_and_stop(int way, unsigned int kind)
{
	uint64_t features;

	rows_begin(&d, way);
	features = DISK_FEATURES | DISK_RING | d.format;
	reg_set_status(&d.mmio, 0);
	reg_ring(m, RING, features);
	fill_ring(kind);
	flooding = true;
	taken = asked = pushed_count = 0;
	ck_assert(reg_negotiate(&d.mmio, features));
	ck_assert(reg_queue(&d.mmio, &m->ring));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	mock_wait_until(get(&taken) > 10 * RING);
	stopping = true;
	reg_set_status(&d.mmio, 0);
	flooding = stopping = false;

	ck_assert_uint_ne(asked, 0);
	/* The device may pop the rest of the batch during which the stop came. */
	ck_assert_uint_le(taken - asked, RING);
	rows_end(&d, false);
}

START_TEST(row17_stop_under_a_flood_of_reads_pops_a_ring_full_at_most_on_every_engine)
{
	flood_and_stop(_i, READS);
}
END_TEST

START_TEST(row17_stop_under_a_mixed_flood_pops_a_ring_full_at_most_on_every_engine)
{
	flood_and_stop(_i, MIXED);
}
END_TEST

START_TEST(row17_stop_under_a_flood_of_ids_pops_a_ring_full_at_most_on_every_engine)
{
	flood_and_stop(_i, IDS);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("race_stop");
	TCase *t = tcase_create("race_stop");
	const int n = rows_ways();

	tcase_add_named_test(
		t, row17_stop_under_a_flood_of_reads_pops_a_ring_full_at_most_on_every_engine, n,
		rows_way_name);
	tcase_add_named_test(
		t, row17_stop_under_a_mixed_flood_pops_a_ring_full_at_most_on_every_engine, n,
		rows_way_name);
	tcase_add_named_test(
		t, row17_stop_under_a_flood_of_ids_pops_a_ring_full_at_most_on_every_engine, n,
		rows_way_name);
	suite_add_tcase(s, t);
	return s;
}
