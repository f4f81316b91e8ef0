/* SPDX-License-Identifier: BSD-3-Clause */
/* A hostile guest's packed rings: rows 2, 3, 10 and 16 (tests/rows). */
#include "guest/bare/hostile.h"

static void begin_packed(uint16_t size, uint64_t features)
{
	device_find(&d, 0);
	device_negotiate(&d, 0);
	if (!(d.offered & PACKED))
		bare_skip("this disk offers no packed rings");
	device_start(&d, size, PACKED | features);
}

/* A readable buffer of sixteen bytes. */
static void put(uint16_t id, uint16_t flags)
{
	struct vring_desc desc = { .addr = (uintptr_t)page_alloc(16), .len = 16 };

	packed_put(&d, &desc, id, flags);
}

static void expect_broken(void)
{
	ring_show(&d);
	kick(&d);
	device_wait_broken(&d);
	device_check_alive(&d);
}

TEST(row02_packed_id_beyond_the_ring)
{
	begin_packed(7, 0);
	put(7, 0);
	expect_broken();
	begin_packed(7, 0);
	put(0xffff, 0);
	expect_broken();
}

TEST(row03_packed_chain_into_nothing)
{
	begin_packed(8, 0);
	put(0, NEXT);
	put(0, NEXT);
	expect_broken();
}

TEST(row03_packed_chain_round_the_whole_ring)
{
	begin_packed(7, 0);
	for (unsigned int i = 0; i < 7; i++)
		put(0, NEXT);
	expect_broken();
}

TEST(row10_packed_table_in_a_chain_or_in_a_table)
{
	struct vring_desc table = { .addr = (uintptr_t)page_alloc(PAGE), .len = 48 };
	struct vring_packed_desc *entry = (void *)(uintptr_t)table.addr;

	begin_packed(8, INDIRECTION);
	put(0, NEXT);
	packed_put(&d, &table, 0, INDIRECT);
	expect_broken();
	begin_packed(8, INDIRECTION);
	packed_put(&d, &table, 0, INDIRECT | NEXT);
	put(0, 0);
	expect_broken();
	begin_packed(8, INDIRECTION);
	entry[0] = (struct vring_packed_desc){ table.addr, 48, 0, INDIRECT };
	packed_put(&d, &table, 0, INDIRECT);
	expect_broken();
	begin_packed(8, 0);
	packed_put(&d, &table, 0, INDIRECT);
	expect_broken();
}

/* Any event there is: this guest may wait for an interrupt in vain, and is served all the same. */
TEST(row16_packed_events_of_any_kind)
{
	struct request r = request(SECTOR);

	begin_packed(5, EVENT_IDX);
	for (unsigned int i = 0; i < rounds(2000); i++) {
		uint64_t x = random64();

		memcpy(d.ring.driver_event, &x, sizeof(*d.ring.driver_event));
		check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	}
	device_reset(&d);
}
