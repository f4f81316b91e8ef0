/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/bus.h"

/* A device that records the last access. */
struct probe {
	unsigned int reads;
	unsigned int writes;
	uint64_t offset;
	unsigned int len;
	uint8_t data[8];
};

static void probe_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	struct probe *p = dev;

	p->reads++;
	p->offset = offset;
	p->len = len;
	memset(data, 0x5a, len);
}

static void probe_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	struct probe *p = dev;

	p->writes++;
	p->offset = offset;
	p->len = len;
	memcpy(p->data, data, len);
}

static const struct bus_ops probe_ops = { .read = probe_read, .write = probe_write };

static struct bus bus;
static struct probe low, high;

static void fill(void)
{
	memset(&bus, 0, sizeof(bus));
	memset(&low, 0, sizeof(low));
	memset(&high, 0, sizeof(high));
	ck_assert_int_eq(bus_add(&bus, 0x3f8, 8, &probe_ops, &high), 0);
	ck_assert_int_eq(bus_add(&bus, 0x60, 5, &probe_ops, &low), 0);
}

START_TEST(access_reaches_its_device_with_its_offset)
{
	static const uint8_t out[4] = { 1, 2, 3, 4 };
	uint8_t in[4] = { 0 };

	fill();
	bus_read(&bus, 0x3fc, in, 4);
	ck_assert_uint_eq(high.reads, 1);
	ck_assert_uint_eq(high.offset, 4);
	ck_assert_uint_eq(high.len, 4);
	ck_assert_uint_eq(in[3], 0x5a);
	bus_write(&bus, 0x60, out, 4);
	ck_assert_uint_eq(low.writes, 1);
	ck_assert_uint_eq(low.offset, 0);
	ck_assert_mem_eq(low.data, out, 4);
	ck_assert_uint_eq(low.reads + high.writes, 0);
}
END_TEST

/* Accesses next to both ends of a device, and across them. */
static const struct {
	const char *name;
	uint64_t addr;
	unsigned int len;
} outside[] = {
	{ "before the device", 0x3f7, 1 },
	{ "across its start", 0x3f7, 2 },
	{ "behind it", 0x400, 1 },
	{ "four bytes across its end", 0x3fd, 4 },
	{ "two bytes across its end", 0x3ff, 2 },
	{ "across the end of one port", 0x64, 2 },
	{ "at address 0", 0x0, 8 },
	{ "behind one port", 0x65, 1 },
	{ "wraps at the last address", UINT64_MAX, 8 },
	{ "the last four bytes", UINT64_MAX - 3, 4 },
};

START_TEST(access_not_fully_inside_a_device_reads_ones_and_writes_nothing)
{
	static const uint8_t ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	uint8_t data[8] = { 0 };
	unsigned int len = outside[_i].len;

	fill();
	bus_read(&bus, outside[_i].addr, data, len);
	bus_write(&bus, outside[_i].addr, data, len);
	ck_assert_mem_eq(data, ones, len);
	for (unsigned int i = len; i < sizeof(data); i++)
		ck_assert_uint_eq(data[i], 0);
	ck_assert_uint_eq(low.reads + low.writes + high.reads + high.writes, 0);
}
END_TEST

START_TEST(adjoining_devices_do_not_share_an_access)
{
	uint8_t data[2] = { 0 };

	fill();
	ck_assert_int_eq(bus_add(&bus, 0x400, 8, &probe_ops, &low), 0);
	bus_read(&bus, 0x3ff, data, 2);
	ck_assert_uint_eq(data[0] & data[1], 0xff);
	ck_assert_uint_eq(low.reads + high.reads, 0);
	bus_read(&bus, 0x400, data, 2);
	ck_assert_uint_eq(low.reads, 1);
}
END_TEST

START_TEST(range_that_is_empty_or_wraps_is_refused)
{
	fill();
	ck_assert_int_eq(bus_add(&bus, 0x100, 0, &probe_ops, &low), -EINVAL);
	ck_assert_int_eq(bus_add(&bus, UINT64_MAX - 6, 8, &probe_ops, &low), -EINVAL);
	ck_assert_int_eq(bus_add(&bus, 2, UINT64_MAX, &probe_ops, &low), -EINVAL);
	ck_assert_uint_eq(bus.count, 2);
}
END_TEST

static const struct {
	const char *name;
	uint64_t base, size;
} overlapping[] = {
	{ "same range", 0x3f8, 8 }, { "first byte", 0x3f0, 9 }, { "last byte", 0x3ff, 1 },
	{ "inside", 0x3fa, 2 },	    { "around", 0x3f0, 0x20 },	{ "other device", 0x64, 1 },
};

START_TEST(overlap_is_refused)
{
	fill();
	ck_assert_int_eq(bus_add(&bus, overlapping[_i].base, overlapping[_i].size, &probe_ops,
				 &low),
			 -EEXIST);
	ck_assert_uint_eq(bus.count, 2);
}
END_TEST

START_TEST(full_bus_refuses_devices_and_still_works)
{
	uint8_t data;

	memset(&bus, 0, sizeof(bus));
	for (unsigned int i = 0; i < BUS_MAX; i++)
		ck_assert_int_eq(bus_add(&bus, 16 * i, 16, &probe_ops, &low), 0);
	ck_assert_int_eq(bus_add(&bus, 16 * BUS_MAX, 16, &probe_ops, &low), -ENOSPC);
	bus_read(&bus, 16 * BUS_MAX - 1, &data, 1);
	ck_assert_uint_eq(low.offset, 15);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("bus");
	TCase *tc = tcase_create("bus");

	tcase_add_test(tc, access_reaches_its_device_with_its_offset);
	tcase_add_table_test(tc, access_not_fully_inside_a_device_reads_ones_and_writes_nothing,
			     outside);
	tcase_add_test(tc, adjoining_devices_do_not_share_an_access);
	tcase_add_test(tc, range_that_is_empty_or_wraps_is_refused);
	tcase_add_table_test(tc, overlap_is_refused, overlapping);
	tcase_add_test(tc, full_bus_refuses_devices_and_still_works);
	suite_add_tcase(suite, tc);
	return suite;
}
