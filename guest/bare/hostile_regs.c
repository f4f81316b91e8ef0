/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile register accesses and device life cycles: rows 20 to 29 (tests/rows). */
#include "guest/bare/hostile.h"

/* Initializes the device up to the set-up of the queue, and returns memory for it. */
static uint64_t before_queue(void)
{
	device_find(&d, 0);
	device_negotiate(&d, 0);
	return (uintptr_t)page_alloc(16 * PAGE);
}

static bool queue_is_taken(uint32_t size, uint64_t desc, uint64_t avail, uint64_t used)
{
	before_queue();
	return device_set_queue(&d, size, desc, avail, used);
}

TEST(row20_bad_queue_sizes)
{
	uint64_t at = before_queue();
	static const uint32_t bad[] = { 0, 3, 7, 100, 257, 512, 0x8000, 0x10000, 0xffffffff };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(!queue_is_taken(bad[i], at, at + 2 * PAGE, at + 4 * PAGE));
	check(queue_is_taken(1, at, at + 2 * PAGE, at + 4 * PAGE));
	check(queue_is_taken(QUEUE_MAX, at, at + 2 * PAGE, at + 4 * PAGE));
}

TEST(row20_misaligned_rings)
{
	uint64_t at = before_queue();

	check(!queue_is_taken(8, at + 8, at + 2 * PAGE, at + 4 * PAGE));
	check(!queue_is_taken(8, at, at + 2 * PAGE + 1, at + 4 * PAGE));
	check(!queue_is_taken(8, at, at + 2 * PAGE, at + 4 * PAGE + 2));
	check(queue_is_taken(8, at + 16, at + 2 * PAGE + 2, at + 4 * PAGE + 4));
}

TEST(row20_rings_outside_ram)
{
	uint64_t at = before_queue();
	const uint64_t bad[] = { ram_end, ram_end - 16, d.base, 1ull << 52, 0xfffffffffffffff0ull };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check(!queue_is_taken(8, bad[i], at + 2 * PAGE, at + 4 * PAGE));
		check(!queue_is_taken(8, at, bad[i], at + 4 * PAGE));
		check(!queue_is_taken(8, at, at + 2 * PAGE, bad[i]));
	}
	check(queue_is_taken(8, ram_end - 128, at + 2 * PAGE, at + 4 * PAGE));
}

TEST(row21_queue_registers_while_running)
{
	struct request r;

	begin(8, 0);
	device_set_queue(&d, 4, ram_end, ram_end, ram_end);
	reg_write(&d, VIRTIO_MMIO_QUEUE_READY, 0);
	check(reg_read(&d, VIRTIO_MMIO_QUEUE_READY) == 1);
	for (unsigned int i = 0; i < 20; i++) {
		request_init(&r, VIRTIO_BLK_T_IN, i, SECTOR);
		check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	}
}

TEST(row22_queue_beyond_the_last)
{
	uint32_t bad[] = { 0, 16, 0xffff, 0x80000000, 0xffffffff };

	before_queue();
	bad[0] = (uint32_t)config_read(&d, offsetof(struct virtio_blk_config, num_queues), 2);
	check(bad[0] >= 1 && bad[0] <= 16);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg_write(&d, VIRTIO_MMIO_QUEUE_SEL, bad[i]);
		check(reg_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) == 0);
		reg_write(&d, VIRTIO_MMIO_QUEUE_NUM, 8);
		reg_write(&d, VIRTIO_MMIO_QUEUE_READY, 1);
		check(reg_read(&d, VIRTIO_MMIO_QUEUE_READY) == 0);
	}
	device_check_alive(&d);
}

/*
 * KVM coalesces some 170 writes to the size registers: none is lost beyond that, and they keep
 * their order.
 */
TEST(row20_queue_sizes_written_more_often_than_kvm_keeps)
{
	static const unsigned int counts[] = { 0, 1, 167, 168, 169, 170, 171, 339, 1000 };
	uint64_t at = before_queue();

	check(queue_is_taken(8, at, at + 2 * PAGE, at + 4 * PAGE));
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		for (unsigned int last = 0; last < 2; last++) {
			reg_write(&d, VIRTIO_MMIO_QUEUE_READY, 0);
			check(reg_read(&d, VIRTIO_MMIO_QUEUE_READY) == 0);
			for (unsigned int n = 0; n < counts[i]; n++)
				reg_write(&d, VIRTIO_MMIO_QUEUE_NUM, last ? 3 : 8);
			reg_write(&d, VIRTIO_MMIO_QUEUE_NUM, last ? 8 : 3);
			reg_write(&d, VIRTIO_MMIO_QUEUE_READY, 1);
			check(reg_read(&d, VIRTIO_MMIO_QUEUE_READY) == last);
		}
	}
	device_check_alive(&d);
}

/*
 * Checks a read of any size. Where registers are a memory page, it returns its part of their
 * contents; elsewhere it returns 0.
 */
static void check_piece(uint32_t reg, unsigned int bytes)
{
	uint64_t piece = arch_read(d.base + reg, bytes), want = 0;

	for (unsigned int i = 0; i < bytes; i++) {
		uint32_t at = reg + i;

		want |= (uint64_t)(uint8_t)(reg_read(&d, at / 4 * 4) >> (8 * (at % 4))) << (8 * i);
	}
	check(piece == 0 || piece == want);
}

TEST(row23_registers_by_other_sizes)
{
	before_queue();
	for (uint32_t reg = 0; reg < VIRTIO_MMIO_CONFIG; reg++) {
		uint64_t at = d.base + reg;

		check_piece(reg, 1);
		if (reg % 2 == 0)
			check_piece(reg, 2);
		if (reg % 8 == 0)
			check_piece(reg, 8);
		/* A write to the doorbell kicks whatever its size, on this host as on others. */
		if (reg / 4 * 4 == VIRTIO_MMIO_QUEUE_NOTIFY)
			continue;
		arch_write(at, 1, 0xff);
		if (reg % 2 == 0)
			arch_write(at, 2, 0xffff);
		if (reg % 8 == 0 && reg != 0x50)
			arch_write(at, 8, ~0ull);
	}
	check(status(&d) == STATUS_FEATURES_OK);
	device_check_alive(&d);
}

TEST(row23_unaligned_registers)
{
	before_queue();
	check_piece(2, 4);
	check_piece(VIRTIO_MMIO_VERSION + 1, 4);
	reg_write(&d, VIRTIO_MMIO_STATUS + 1, 0);
	reg_write(&d, VIRTIO_MMIO_STATUS - 1, 0);
	check(status(&d) == STATUS_FEATURES_OK);
}

TEST(row23_config_space_by_bytes_and_beyond)
{
	uint64_t capacity = 0;

	before_queue();
	for (unsigned int i = 0; i < 8; i++)
		capacity |= config_read(&d, i, 1) << (8 * i);
	check(capacity == d.space.capacity && capacity != 0);
	check(config_read(&d, 0, 2) == (uint16_t)capacity);
	check(config_read(&d, 1, 4) == (uint32_t)(capacity >> 8));
	check(config_read(&d, 0, 8) == capacity);
	for (unsigned int i = 64; i < 256; i++)
		check(config_read(&d, i, 1) == 0);
	check(config_read(&d, 252, 8) == 0);
	check(config_read(&d, 255, 4) == 0);
	for (unsigned int i = 0; i < 256; i++)
		config_write(&d, i, 1, 0xff);
	for (unsigned int i = 0; i < 8; i++)
		check(config_read(&d, i, 1) == (uint8_t)(capacity >> (8 * i)));
}

/* Covers the whole page that a driver can map: writes do not change what is read. */
TEST(row23_page_of_registers_cannot_be_written)
{
	uint32_t before[VIRTIO_MMIO_CONFIG / 4];

	before_queue();
	for (uint32_t reg = 0; reg < VIRTIO_MMIO_CONFIG; reg += 4)
		before[reg / 4] = reg_read(&d, reg);
	for (uint32_t at = 0; at < PAGE; at += 4) {
		/* Writes to these registers have an effect, so they are left out. */
		if (at == VIRTIO_MMIO_STATUS || at == VIRTIO_MMIO_QUEUE_NOTIFY ||
		    at == VIRTIO_MMIO_DEVICE_FEATURES_SEL || at == VIRTIO_MMIO_QUEUE_SEL)
			continue;
		reg_write(&d, at, 0xa5a5a5a5);
		if (at < VIRTIO_MMIO_CONFIG)
			check(reg_read(&d, at) == before[at / 4]);
		else if (at >= 2 * VIRTIO_MMIO_CONFIG)
			check(reg_read(&d, at) == 0);
	}
	check(config_read(&d, 0, 8) == d.space.capacity);
	check(status(&d) == STATUS_FEATURES_OK);
	device_check_alive(&d);
}

TEST(row24_status_bits_out_of_order)
{
	static const uint32_t bad[] = { 2, 4, 8, 3, 0xf, 0xb, 0xff, 0x101, 0xffffffff };

	device_find(&d, 0);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		device_reset(&d);
		reg_write(&d, VIRTIO_MMIO_STATUS, bad[i]);
		check(status(&d) == 0);
	}
	device_negotiate(&d, 0);
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	check(status(&d) == STATUS_FEATURES_OK);
	device_check_alive(&d);
}

TEST(row24_driver_ok_toggled)
{
	struct request r;

	device_find(&d, 0);
	device_start(&d, 8, 0);
	for (unsigned int i = 0; i < 50; i++) {
		reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_FEATURES_OK);
		reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_RUNNING);
	}
	check(status(&d) == STATUS_RUNNING);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	check(ring_used_index(&d) == 1);
}

/* Negotiates these features; true if FEATURES_OK stays set. */
static bool features_are_taken(uint64_t features)
{
	device_reset(&d);
	reg_write(&d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	for (uint32_t i = 0; i < 2; i++) {
		reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
	}
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_FEATURES_OK);
	return status(&d) == STATUS_FEATURES_OK;
}

TEST(row25_features_not_offered)
{
	uint64_t version = FEATURE(VIRTIO_F_VERSION_1);

	before_queue();
	for (unsigned int bit = 0; bit < 64; bit++)
		if (!(d.offered & FEATURE(bit)))
			check(!features_are_taken(version | FEATURE(bit)));
	check(!features_are_taken(0));
	check(!features_are_taken(~0ull));
	check(features_are_taken(version));
}

TEST(row25_features_changed_after_features_ok)
{
	struct request r;

	device_find(&d, 0);
	device_start(&d, 8, 0);
	reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
}

/* The reads go into memory that is used otherwise as soon as the reset is complete. */
TEST(row26_reset_with_requests_in_flight)
{
	struct request r[32];

	for (unsigned int round = 0; round < rounds(20); round++) {
		uint32_t bytes;
		uint8_t *used;

		begin(128, 0);
		for (unsigned int i = 0; i < 32; i++) {
			request_init(&r[i], VIRTIO_BLK_T_IN, 8 * i, 4 * PAGE);
			request_chain(&d, &r[i]);
			ring_stage(&d, r[i].head);
		}
		ring_show(&d);
		kick(&d);
		device_reset(&d);
		check(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS) == 0);
		used = d.ring.packed ? (uint8_t *)d.ring.packed : (uint8_t *)d.ring.used;
		bytes = d.ring.packed ? 16 * 128 : 6 + 8 * 128;
		memset(used, 0x5a, bytes);
		for (unsigned int i = 0; i < 32; i++) {
			memset(r[i].data, 0x5a, r[i].len);
			*r[i].status = 0x5a;
		}
		/* The pause is long enough to see a late write at least sometimes. */
		for (uint64_t end = arch_ticks() + arch_timeout / 40000; arch_ticks() < end;)
			arch_relax();
		check(all_bytes(used, 0x5a, bytes));
		for (unsigned int i = 0; i < 32; i++)
			check(all_bytes(r[i].data, 0x5a, r[i].len) && *r[i].status == 0x5a);
		check(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS) == 0);
	}
	device_check_alive(&d);
}

TEST(row28_interrupt_bits_never_set)
{
	struct request r;

	device_find(&d, 0);
	device_start(&d, 8, 0);
	d.ring.avail->flags = 0;
	for (unsigned int i = 0; i < 32; i++)
		reg_write(&d, VIRTIO_MMIO_INTERRUPT_ACK, 1u << i);
	check(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS) == 0);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	wait_until(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING);
	for (unsigned int i = 0; i < 33; i++) {
		reg_write(&d, VIRTIO_MMIO_INTERRUPT_ACK, i < 32 ? 1u << i : ~0u);
		check(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING);
	}
	/* The interrupt is never acknowledged, and requests are still served. */
	for (unsigned int i = 0; i < 100; i++)
		check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
	device_check_alive(&d);
}

static const uint32_t wce = offsetof(struct virtio_blk_config, wce);

TEST(row29_write_cache_bit_without_the_feature)
{
	uint64_t before;

	before_queue();
	check(d.offered & FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
	before = config_read(&d, wce, 1);
	for (unsigned int i = 0; i < 256; i++) {
		config_write(&d, wce, 1, i);
		check(config_read(&d, wce, 1) == before);
	}
	device_check_alive(&d);
}

/* Each change happens with writes in flight, which are then waited for. */
TEST(row29_write_cache_toggled_around_writes)
{
	struct request r;
	struct vring_used_elem elem;

	begin(16, FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
	check(config_read(&d, wce, 1) == 1);
	request_init(&r, VIRTIO_BLK_T_OUT, 64, PAGE);
	for (unsigned int i = 0; i < 64; i++) {
		d.ring.next_desc = 0;
		request_chain(&d, &r);
		offer(&d, r.head);
		config_write(&d, wce, 1, i * 7);
		check(config_read(&d, wce, 1) == (i & 1));
		ring_wait_used(&d, &elem);
		check(*r.status == VIRTIO_BLK_S_OK);
	}
	config_write(&d, 0, 8, UINT64_MAX);
	config_write(&d, wce, 1, 0);
	device_reset(&d);
	check(config_read(&d, wce, 1) == 1);
	device_check_alive(&d);
}
