/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of registers with a constant value. */
#include <linux/virtio_ids.h>

#include "tests/lib/regs.h"
#include "tests/lib/suite.h"

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
static struct virtio_device dev = { .id = VIRTIO_ID_BLOCK, .irq.fd = -1, .ops = &ops };
static struct virtio_mmio mmio;

/* 4.2.2: base and length of an absent region are all ones, for each selected region. */
START_TEST(absent_shared_memory_region)
{
	static const uint64_t reg[] = { VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_LEN_HIGH,
					VIRTIO_MMIO_SHM_BASE_LOW, VIRTIO_MMIO_SHM_BASE_HIGH };

	reg_open(&dev, "", 0);
	virtio_mmio_init(&mmio, &dev);
	for (uint32_t region = 0; region < 3; region++) {
		reg_set(&mmio, VIRTIO_MMIO_SHM_SEL, region);
		for (unsigned int i = 0; i < ARRAY_SIZE(reg); i++)
			ck_assert_uint_eq(reg_get(&mmio, reg[i]), 0xffffffff);
	}
	virtio_mmio_destroy(&mmio);
	reg_close(&dev);
}
END_TEST

START_TEST(vendor_id_cannot_be_written)
{
	reg_open(&dev, "", 0);
	virtio_mmio_init(&mmio, &dev);
	uint32_t vendor = reg_get(&mmio, VIRTIO_MMIO_VENDOR_ID);

	ck_assert_uint_ne(vendor, 0);
	reg_set(&mmio, VIRTIO_MMIO_VENDOR_ID, ~vendor);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_VENDOR_ID), vendor);
	virtio_mmio_destroy(&mmio);
	reg_close(&dev);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_mmio_ids");
	TCase *t = tcase_create("virtio_mmio_ids");

	tcase_add_test(t, absent_shared_memory_region);
	tcase_add_test(t, vendor_id_cannot_be_written);
	suite_add_tcase(s, t);
	return s;
}
