/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of accesses of any size at any offset, and of the queue registers. */
#include <string.h>

#include "tests/unit/mmio_rig.h"

static int activate(struct virtio_device *d)
{
	(void)d;
	return 0;
}

static void reset(struct virtio_device *d)
{
	(void)d;
}

static const struct virtio_ops ops = { .activate = activate, .reset = reset };

static void setup(void)
{
	rig_setup(VERSION_1, &ops);
}

/* ---- rows 20 to 22: queues ---- */

static void expect_not_ready(struct vring_config c)
{
	reg_set_status(&mmio, 0);
	ck_assert(!reg_queue(&mmio, &c));
}

START_TEST(row20_queue_that_cannot_be)
{
	static const uint16_t sizes[] = { 0, 3, 100, 255, 257, 512, 1024, 32768, 65535 };
	struct vring_config c = m.ring;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		c.size = sizes[i];
		expect_not_ready(c);
	}
	c = m.ring;
	c.desc += 8;
	expect_not_ready(c);
	c = m.ring;
	c.avail += 1;
	expect_not_ready(c);
	c = m.ring;
	c.used += 2;
	expect_not_ready(c);
	c = m.ring;
	c.desc = MOCK_HOLE;
	expect_not_ready(c);
	c = m.ring;
	c.avail = MOCK_TOP - 2;
	expect_not_ready(c);
	c = m.ring;
	c.used = ~3ull;
	expect_not_ready(c);
	ck_assert(reg_queue(&mmio, &m.ring));
}
END_TEST

/* All 32 bits of QueueNum count, not only the lower 16. */
START_TEST(row20_queue_size_in_the_upper_half)
{
	ck_assert(reg_queue(&mmio, &m.ring));
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_READY), 0);
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_NUM, 0x10000 + QUEUE_MAX);
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_READY), 0);
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_NUM, 1);
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_READY), 1);
}
END_TEST

static void write_queue_registers(uint32_t value)
{
	static const uint64_t regs[] = {
		VIRTIO_MMIO_QUEUE_NUM,	      VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH,  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++)
		reg_set(&mmio, regs[i], value);
}

START_TEST(row21_queue_registers_while_the_queue_is_ready)
{
	struct virtio_queue before;

	ck_assert(reg_queue(&mmio, &m.ring));
	before = dev.queue[0];
	write_queue_registers(0x77777777);
	ck_assert_mem_eq(&before, &dev.queue[0], sizeof(before));
}
END_TEST

START_TEST(row21_queue_registers_after_driver_ok)
{
	struct virtio_queue before;

	ck_assert(reg_negotiate(&mmio, VERSION_1));
	ck_assert(reg_queue(&mmio, &m.ring));
	reg_set_status(&mmio, ST_DRIVER_OK);
	before = dev.queue[0];
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_READY), 1);
	write_queue_registers(0x77777777);
	ck_assert_mem_eq(&before, &dev.queue[0], sizeof(before));

	/* A queue that was not ready before DRIVER_OK cannot become ready afterwards. */
	reg_set_status(&mmio, 0);
	ck_assert(reg_negotiate(&mmio, VERSION_1));
	reg_set_status(&mmio, ST_DRIVER_OK);
	ck_assert(!reg_queue(&mmio, &m.ring));
}
END_TEST

START_TEST(row22_queue_beyond_the_last)
{
	static const uint32_t queues[] = { 1, 2, 255, 0x10000, 0xffffffff };
	struct virtio_queue before = dev.queue[0];

	for (unsigned int i = 0; i < ARRAY_SIZE(queues); i++) {
		reg_set(&mmio, VIRTIO_MMIO_QUEUE_SEL, queues[i]);
		ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_READY), 0);
		write_queue_registers(8);
		reg_set(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
		ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_READY), 0);
		ck_assert_mem_eq(&before, &dev.queue[0], sizeof(before));
	}
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_MAX);
}
END_TEST

/* ---- row 23: sizes and offsets ---- */

static bool reads_0(uint64_t offset, unsigned int len)
{
	uint8_t data[8];

	memset(data, 0x5a, sizeof(data));
	virtio_mmio_read(&mmio, offset, data, len);
	for (unsigned int i = 0; i < sizeof(data); i++)
		if (data[i] != (i < len ? 0 : 0x5a))
			return false;
	return true;
}

START_TEST(row23_registers_are_read_in_one_piece)
{
	ck_assert(!reads_0(VIRTIO_MMIO_MAGIC_VALUE, 4));
	for (unsigned int len = 1; len <= 8; len++) {
		for (uint64_t offset = 0; offset < 0x100; offset++)
			if (len != 4 || offset % 4)
				ck_assert(reads_0(offset, len));
	}
}
END_TEST

START_TEST(row23_registers_are_written_in_one_piece)
{
	static const uint8_t ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct virtio_device before = dev;
	struct virtio_mmio mmio_before = mmio;
	struct virtio_regpage window_before;

	irqline_raise(&dev.irq, IRQLINE_USED_RING | IRQLINE_CONFIG);
	window_before = *dev.regpage;
	for (unsigned int len = 1; len <= 8; len++) {
		for (uint64_t offset = 0; offset < 0x300; offset++)
			if (len != 4 || offset % 4 || offset >= 0x100)
				virtio_mmio_write(&mmio, offset, ones, len);
	}
	ck_assert_mem_eq(&before, &dev, sizeof(dev));
	ck_assert_mem_eq(&mmio_before, &mmio, sizeof(mmio));
	ck_assert_mem_eq(&window_before, dev.regpage, sizeof(*dev.regpage));
}
END_TEST

START_TEST(row23_write_only_and_reserved_registers_read_0)
{
	static const uint64_t known[] = {
		VIRTIO_MMIO_MAGIC_VALUE,   VIRTIO_MMIO_VERSION,		VIRTIO_MMIO_DEVICE_ID,
		VIRTIO_MMIO_VENDOR_ID,	   VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_MMIO_QUEUE_NUM_MAX,
		VIRTIO_MMIO_SHM_LEN_LOW,   VIRTIO_MMIO_SHM_LEN_HIGH,	VIRTIO_MMIO_SHM_BASE_LOW,
		VIRTIO_MMIO_SHM_BASE_HIGH,
	};

	reg_set(&mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	write_queue_registers(0xffffffff);
	for (uint64_t offset = 0; offset < 0x100; offset += 4) {
		bool is_known = false;

		for (unsigned int i = 0; i < ARRAY_SIZE(known); i++)
			is_known |= known[i] == offset;
		ck_assert_msg(is_known || reg_get(&mmio, offset) == 0, "%#lx", offset);
	}
}
END_TEST

START_TEST(row23_config_space_by_bytes_and_by_any_piece)
{
	for (unsigned int len = 1; len <= 8; len++) {
		for (uint64_t at = 0; at < 20; at++) {
			char data[8], want[8] = { 0 };

			for (unsigned int i = 0; i < len; i++)
				if (at + i < 10)
					want[i] = space[at + i];
			memset(data, 0x5a, sizeof(data));
			virtio_mmio_read(&mmio, VIRTIO_MMIO_CONFIG + at, (uint8_t *)data, len);
			ck_assert_mem_eq(data, want, len);
		}
	}
}
END_TEST

START_TEST(row23_beyond_the_device)
{
	static const uint64_t far[] = { 0x1ff,	   0x200,     0x1000, 1ull << 32,
					~0ull - 7, ~0ull - 3, ~0ull };

	for (unsigned int i = 0; i < ARRAY_SIZE(far); i++) {
		for (unsigned int len = 1; len <= 8; len++)
			ck_assert(reads_0(far[i], len));
		reg_set(&mmio, far[i], 1);
	}
	/* The last bytes of the configuration space are nonzero. */
	memset(dev.regpage->config + REGPAGE_CONFIG - 4, 0xff, 4);
	ck_assert(reads_0(0x1ff, 2));
	ck_assert(reads_0(0x1fd, 4));
	ck_assert(reads_0(~0ull, 2));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_mmio_access");
	TCase *t = tcase_create("virtio_mmio_access");

	tcase_add_checked_fixture(t, setup, rig_teardown);
	tcase_add_test(t, row20_queue_that_cannot_be);
	tcase_add_test(t, row20_queue_size_in_the_upper_half);
	tcase_add_test(t, row21_queue_registers_while_the_queue_is_ready);
	tcase_add_test(t, row21_queue_registers_after_driver_ok);
	tcase_add_test(t, row22_queue_beyond_the_last);
	tcase_add_test(t, row23_registers_are_read_in_one_piece);
	tcase_add_test(t, row23_registers_are_written_in_one_piece);
	tcase_add_test(t, row23_write_only_and_reserved_registers_read_0);
	tcase_add_test(t, row23_config_space_by_bytes_and_by_any_piece);
	tcase_add_test(t, row23_beyond_the_device);
	suite_add_tcase(s, t);
	return s;
}
