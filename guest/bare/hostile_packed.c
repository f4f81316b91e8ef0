/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile packed rings: rows 2, 3, 10, 16 and 20 (tests/rows). */
#include "guest/bare/hostile.h"

static void begin_packed(uint16_t size, uint64_t features)
{
	device_find(&d, 0);
	device_negotiate(&d, 0);
	if (!(d.offered & PACKED))
		bare_skip("this disk offers no packed rings");
	device_start(&d, size, PACKED | features);
}

/* Puts a device-readable buffer of sixteen bytes into the ring. */
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

/* The guest sets every event value. It may miss interrupts, but its requests are served. */
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

static bool ring_is_taken(uint32_t size, uint64_t ring, uint64_t driver, uint64_t device)
{
	device_negotiate(&d, PACKED);
	return device_set_queue(&d, size, ring, driver, device);
}

/* Valid rings have a size up to the maximum (2.8), alignments of 16 and 4 bytes, and are in RAM. */
TEST(row20_packed_rings_that_cannot_be)
{
	static const uint32_t sizes[] = { 0, 257, 0x8000, 0x8001, 0x10000, 0xffffffff };
	const uint64_t outside[] = { ram_end, arch_irqchip, 1ull << 52, 0xfffffffffffffff0ull };
	uint64_t at = (uintptr_t)page_alloc(4 * PAGE), driver = at + 2 * PAGE, device = driver + 4;

	begin_packed(8, 0);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check(!ring_is_taken(sizes[i], at, driver, device));
	for (unsigned int i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		check(!ring_is_taken(7, outside[i], driver, device));
		check(!ring_is_taken(7, at, outside[i], device));
		check(!ring_is_taken(7, at, driver, outside[i]));
	}
	check(!ring_is_taken(7, at + 8, driver, device));
	check(!ring_is_taken(7, at, driver + 2, device));
	check(!ring_is_taken(7, at, driver, device + 2));
	check(!ring_is_taken(8, ram_end - 7 * 16, driver, device));
	check(ring_is_taken(7, ram_end - 7 * 16, driver, ram_end - 4));
	check(ring_is_taken(QUEUE_MAX, at + 16, driver, device));
	device_check_alive(&d);
}
