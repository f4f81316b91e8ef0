/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile indices, loops, addresses and floods: rows 1 to 9, 17 and 19 (tests/rows). */
#include "guest/bare/hostile.h"

#define FOUR_GIB (1ull << 32)

/* A second disk, which has to work while the first is attacked. */
static struct device other;

/* ---- 1 and 2: indices ---- */

TEST(row01_avail_index_ahead_of_the_ring)
{
	split_only();
	begin(8, 0);
	__atomic_store_n(&d.ring.avail->idx, 9, __ATOMIC_RELEASE);
	kick(&d);
	check_broken();
}

TEST(row01_avail_index_goes_backwards)
{
	struct request r = request(SECTOR);

	split_only();
	begin(8, 0);
	for (unsigned int i = 0; i < 5; i++)
		check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	__atomic_store_n(&d.ring.avail->idx, 4, __ATOMIC_RELEASE);
	kick(&d);
	device_wait_broken(&d);
	check(ring_used_index(&d) == 5);
	check_broken();
}

TEST(row02_head_beyond_the_ring)
{
	begin(8, 0);
	offer(&d, 8);
	check_broken();
	begin(8, 0);
	offer(&d, 0xffff);
	check_broken();
}

TEST(row02_next_beyond_the_ring)
{
	struct request r = request(SECTOR);

	begin(8, 0);
	request_chain(&d, &r);
	desc(1)->next = 8;
	offer(&d, r.head);
	check_broken();
}

TEST(row02_next_beyond_the_indirect_table)
{
	struct vring_desc *table = page_alloc(PAGE);
	struct request r = request(SECTOR);

	split_only();
	begin(8, INDIRECTION);
	desc_set(&table[0], (uintptr_t)r.header, 16, NEXT, 2);
	desc_set(&table[1], (uintptr_t)r.status, 1, WRITE, 0);
	desc_set(&table[2], (uintptr_t)r.status, 1, WRITE, 0);
	desc_set(desc(0), (uintptr_t)table, 32, INDIRECT, 0);
	offer(&d, 0);
	check_broken();
	check(*r.status == NO_STATUS);
}

/* ---- 3: loops ---- */

static void loop_of(unsigned int count, unsigned int back_to)
{
	struct request r = request(SECTOR);

	begin(8, 0);
	for (unsigned int i = 0; i < count; i++)
		desc_set(desc(i), (uintptr_t)r.header, 16, NEXT, (uint16_t)(i + 1));
	desc(count - 1)->next = (uint16_t)back_to;
	offer(&d, 0);
	check_broken();
}

TEST(row03_loops_of_one_two_and_rho)
{
	loop_of(1, 0);
	loop_of(2, 0);
	loop_of(3, 1);
	loop_of(8, 7);
}

TEST(row03_loop_in_an_indirect_table)
{
	struct vring_desc *table = page_alloc(PAGE);
	struct request r = request(SECTOR);

	begin(8, INDIRECTION);
	for (unsigned int i = 0; i < 256; i++)
		desc_set(&table[i], (uintptr_t)r.header, 16, NEXT, (uint16_t)((i + 1) % 256));
	desc_set(desc(0), (uintptr_t)table, PAGE, INDIRECT, 0);
	offer(&d, 0);
	check_broken();
}

TEST(row03_longer_than_the_ring_by_normal_and_indirect)
{
	struct vring_desc *table = page_alloc(PAGE);
	struct request r = request(SECTOR);

	begin(8, INDIRECTION);
	desc_set(desc(0), (uintptr_t)r.header, 16, NEXT, 1);
	desc_set(desc(1), (uintptr_t)table, 8 * 16, INDIRECT, 0);
	for (unsigned int i = 0; i < 8; i++)
		desc_set(&table[i], (uintptr_t)r.data, 64, i < 7 ? NEXT | WRITE : WRITE,
			 (uint16_t)(i + 1));
	offer(&d, 0);
	check_broken();
}

/* ---- 4 to 6 ---- */

TEST(row04_head_in_flight_twice)
{
	struct request r = request(16 * PAGE);

	begin(8, 0);
	request_chain(&d, &r);
	ring_stage(&d, r.head);
	ring_stage(&d, r.head);
	ring_show(&d);
	kick(&d);
	device_wait_broken(&d);
	check(used_count() <= 1);
	check_broken();
}

TEST(row05_two_heads_share_tail_and_buffers)
{
	struct request r = request(SECTOR);
	struct vring_used_elem a, b;

	begin(8, 0);
	desc_set(desc(0), (uintptr_t)r.header, 16, NEXT, 2);
	desc_set(desc(1), (uintptr_t)r.header, 16, NEXT, 2);
	desc_set(desc(2), (uintptr_t)r.data, SECTOR, NEXT | WRITE, 3);
	desc_set(desc(3), (uintptr_t)r.status, 1, WRITE, 0);
	ring_stage(&d, 0);
	ring_stage(&d, 1);
	ring_show(&d);
	kick(&d);
	ring_wait_used(&d, &a);
	ring_wait_used(&d, &b);
	check(a.id + b.id == 1 && a.len == SECTOR + 1 && b.len == SECTOR + 1);
	check(*r.status == VIRTIO_BLK_S_OK);
	device_check_alive(&d);
}

TEST(row06_zero_length_descriptors)
{
	struct request r = request(SECTOR);
	struct piece piece[] = {
		{ (uintptr_t)r.header, 0, false }, { (uintptr_t)r.header, 16, false },
		{ (uintptr_t)r.data, 0, true },	   { (uintptr_t)r.data, SECTOR, true },
		{ (uintptr_t)r.data, 0, true },	   { (uintptr_t)r.status, 1, true },
	};
	struct vring_used_elem elem;

	begin(8, 0);
	offer(&d, chain(&d, piece, 6));
	ring_wait_used(&d, &elem);
	check(elem.len == SECTOR + 1 && *r.status == VIRTIO_BLK_S_OK);
	d.ring.next_desc = 0;
	for (unsigned int i = 0; i < 6; i++)
		piece[i].len = 0;
	offer(&d, chain(&d, piece, 6));
	check_broken();
}

/* ---- 7 to 9: addresses ---- */

/* A read into [gpa, gpa + len): the queue breaks, and no data is read. */
static void bad_buffer(uint64_t gpa, uint32_t len)
{
	struct request r = request(SECTOR);

	begin(8, 0);
	request_chain(&d, &r);
	desc(1)->addr = gpa;
	desc(1)->len = len;
	offer(&d, r.head);
	check_broken();
	check(*r.status == NO_STATUS);
}

TEST(row07_lengths_that_wrap)
{
	struct request r = request(SECTOR);

	bad_buffer((uintptr_t)r.data, 0xffffffff);
	bad_buffer(0xfffffffffffffe00ull, 0x400);
	bad_buffer(0xffffffffffffffffull, 1);
	bad_buffer(0xfffffffffffff000ull, 0xffffffff);
}

TEST(row07_total_above_4_gib)
{
	struct vring_desc *table = page_alloc(PAGE);
	struct request r = request(SECTOR);
	uint64_t ram = ram_end - ram_start;
	uint32_t most = (uint32_t)(ram < FOUR_GIB / 2 ? ram : FOUR_GIB / 2) & ~(PAGE - 1);
	unsigned int count = (unsigned int)(FOUR_GIB / most) + 1;

	if (count > 250)
		bare_skip("too little memory to say it in one chain");
	begin(256, INDIRECTION);
	table_set(table, 0, (uintptr_t)r.header, 16, NEXT, 1);
	for (unsigned int i = 1; i <= count; i++)
		table_set(table, i, ram_start, most, NEXT | WRITE, (uint16_t)(i + 1));
	table_set(table, count + 1, (uintptr_t)r.status, 1, WRITE, 0);
	desc_set(desc(0), (uintptr_t)table, (count + 2) * 16, INDIRECT, 0);
	offer(&d, 0);
	check_broken();
}

TEST(row08_buffers_outside_ram)
{
	bad_buffer(d.base, SECTOR); /* the device's own registers */
	bad_buffer(arch_irqchip, SECTOR);
	bad_buffer(ram_end, SECTOR);		  /* directly above RAM */
	bad_buffer(ram_end - SECTOR + 1, SECTOR); /* only the last byte is above */
	bad_buffer(ram_end - 1, 2 * SECTOR);
	bad_buffer(1ull << 52, SECTOR);
	if (ram_high_end || ram_end < FOUR_GIB)
		bad_buffer(ram_high_end ? ram_high_end : FOUR_GIB, SECTOR);
}

TEST(row08_buffer_ends_with_ram)
{
	struct request r = request(0);

	begin(8, 0);
	r.data = (uint8_t *)(ram_end - SECTOR);
	r.len = SECTOR;
	memset(r.data, 0xee, SECTOR);
	check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	check(!all_bytes(r.data, 0xee, SECTOR));
	device_check_alive(&d);
}

TEST(row08_header_and_status_outside_ram)
{
	struct request r = request(SECTOR);

	begin(8, 0);
	request_chain(&d, &r);
	desc(0)->addr = ram_end - 8;
	offer(&d, r.head);
	check_broken();
	begin(8, 0);
	d.ring.next_desc = 0;
	request_chain(&d, &r);
	desc(2)->addr = ram_end;
	offer(&d, r.head);
	check_broken();
}

TEST(row09_buffer_over_the_hole_between_two_regions)
{
	if (!ram_high_end)
		bare_skip("one region of RAM");
	bad_buffer(ram_end - PAGE, 0x50000000u);
}

/* ---- 17 to 19: pressure ---- */

TEST(row17_refilled_faster_than_drained)
{
	struct request r[8];
	struct vring_used_elem elem;
	unsigned int done = 0;

	begin(64, EVENT_IDX);
	for (unsigned int i = 0; i < 8; i++) {
		request_init(&r[i], VIRTIO_BLK_T_IN, 8 * i, PAGE);
		request_chain(&d, &r[i]);
		ring_stage(&d, r[i].head);
	}
	ring_show(&d);
	kick(&d);
	while (done < rounds(10000)) {
		ring_wait_used(&d, &elem);
		check(*r[elem.id / 3].status == VIRTIO_BLK_S_OK);
		*r[elem.id / 3].status = NO_STATUS;
		offer(&d, (uint16_t)elem.id);
		done++;
	}
	/* The ring is full: a reset takes effect nevertheless. */
	device_check_alive(&d);
}

TEST(row19_kick_storm)
{
	struct request r = request(SECTOR);

	begin(8, EVENT_IDX);
	for (unsigned int i = 0; i < rounds(20000); i++)
		kick(&d);
	check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	check(used_count() == 0);
}

static void kick_others(void)
{
	for (unsigned int i = 1; i < 100; i++)
		reg_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, i);
	reg_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff);
	check(status(&d) == STATUS_RUNNING);
}

/*
 * The device may read its queue without a kick, as it does at the start, but not after every kick
 * of another queue.
 */
TEST(row19_kicks_of_queues_that_are_not_there)
{
	struct request r = request(SECTOR);
	bool served = true;

	for (unsigned int round = 0; served && round < 20; round++) {
		begin(8, 0);
		kick_others();
		request_chain(&d, &r);
		ring_stage(&d, r.head);
		ring_show(&d);
		kick_others();
		served = used_count() > 0;
	}
	check(!served);
	kick(&d);
	wait_until(used_count() == 1);
}

TEST(row19_kick_before_driver_ok)
{
	struct request r = request(SECTOR);

	device_find(&d, 0);
	device_negotiate(&d, format());
	device_lay_out(&d, 8);
	request_chain(&d, &r);
	offer(&d, r.head);
	kick(&d);
	check(status(&d) == STATUS_FEATURES_OK && used_count() == 0);
	/* A request in the ring is served once DRIVER_OK is set, with or without a kick. */
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_RUNNING);
	wait_until(used_count() == 1);
	check(*r.status == VIRTIO_BLK_S_OK);
}

TEST(row19_kicks_of_a_broken_queue)
{
	begin(8, 0);
	offer(&d, 8);
	device_wait_broken(&d);
	for (unsigned int i = 0; i < 1000; i++)
		kick(&d);
	check(used_count() == 0);
	check_broken();
}

TEST(row19_a_broken_queue_leaves_the_other_disk_alone)
{
	struct request r = request(SECTOR);

	device_find(&other, 1);
	begin(8, 0);
	device_start(&other, 8, 0);
	offer(&d, 8);
	device_wait_broken(&d);
	check(request_do(&other, &r, NULL) == VIRTIO_BLK_S_OK);
	check(status(&other) == STATUS_RUNNING);
	device_check_alive(&d);
	check(request_do(&other, &r, NULL) == VIRTIO_BLK_S_OK);
	device_reset(&other);
}
