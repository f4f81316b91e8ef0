/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the device list, its command line form, devices that end a VM, and port exits. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/arch.h"

#define S5_ENABLE 0x34 /* SLP_EN | 5 << 2 */

struct recorder {
	struct vm_exit vm_exit;
	enum vm_end why;
	unsigned int count;
};

static struct recorder recorder;
static struct bus pio, mmio;
static struct devlist list;

static void record(struct vm_exit *vm_exit, enum vm_end why)
{
	ck_assert_ptr_eq(vm_exit, &recorder.vm_exit);
	recorder.why = why;
	recorder.count++;
}

static void setup(void)
{
	recorder = (struct recorder){ .vm_exit.end = record };
	ck_assert_int_eq(arch_devices(&list, DESCRIBE_DEFAULT, true, 2), 0);
	for (unsigned int i = 0; i < list.count; i++) {
		bool elsewhere =
			list.dev[i].kind == DEV_SERIAL || list.dev[i].kind == DEV_VIRTIO_BLK ||
			list.dev[i].kind == DEV_POWER_BUTTON || list.dev[i].kind == DEV_GENERATION;

		ck_assert_int_eq(arch_device_create(&list.dev[i], &pio, &mmio, &recorder.vm_exit),
				 elsewhere ? -ENODEV : 0);
	}
}

static const char *const descriptions[] = { "ACPI", "device tree" };

START_TEST(devices_do_not_collide)
{
	enum description description = _i ? DESCRIBE_FDT : DESCRIBE_ACPI;
	struct devlist all;
	unsigned int disks = 0;

	ck_assert_int_eq(arch_devices(&all, description, true, DEVLIST_MAX_DISKS + 1), -ENOSPC);
	ck_assert_int_eq(arch_devices(&all, description, true, DEVLIST_MAX_DISKS), 0);
	ck_assert_int_eq(all.description, description);
	for (unsigned int i = 0; i < all.count; i++) {
		const struct dev_desc *a = &all.dev[i];

		if (a->kind == DEV_VIRTIO_BLK) {
			disks++;
			ck_assert_uint_ge(a->base, 0xc0000000);
			ck_assert_uint_lt(a->base + a->size, 0xfec00000);
		}
		/*
		 * The interrupts of timer, keyboard, cascade, RTC and FPU are not used, except that
		 * the VM Generation ID has that of the FPU, which only a kernel for processors
		 * without CR0.NE requests; there are 24 pins.
		 */
		if (a->gsi != DEV_NO_GSI) {
			ck_assert_uint_lt(a->gsi, 24);
			ck_assert(a->gsi > 3 && a->gsi != 8 &&
				  (a->gsi != 13 || a->kind == DEV_GENERATION));
		}
		for (unsigned int j = 0; j < i; j++) {
			const struct dev_desc *b = &all.dev[j];

			ck_assert(a->pio != b->pio || a->base >= b->base + b->size ||
				  b->base >= a->base + a->size);
			ck_assert(a->gsi == DEV_NO_GSI || a->gsi != b->gsi);
		}
	}
	ck_assert_uint_eq(disks, DEVLIST_MAX_DISKS);
}
END_TEST

START_TEST(cmdline_names_the_disks)
{
	static const char full[] = "root=/dev/vda virtio_mmio.device=0x1000@0xd0000000:5"
				   " virtio_mmio.device=0x1000@0xd0001000:10";
	char buf[200] = "root=/dev/vda";

	ck_assert_int_eq(devlist_cmdline(&list, buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, full);
	for (size_t size = 0; size <= sizeof(full); size++) {
		memset(buf, 0x5a, sizeof(buf));
		if (size)
			strncpy(buf, "root=/dev/vda", size);
		ck_assert_int_eq(devlist_cmdline(&list, buf, size),
				 size < sizeof(full) ? -E2BIG : 0);
		ck_assert_uint_eq((uint8_t)buf[size], 0x5a);
	}
}
END_TEST

START_TEST(exit_port_takes_no_port_of_another_device)
{
	static const struct {
		uint16_t port;
		bool free;
	} ports[] = {
		{ 0xf4, true },	  { 0x501, true },  { 0xfffc, true }, { 0x1c, true },
		{ 0x1d, false },  { 0x21, false },  { 0x22, true },   { 0x3d, false },
		{ 0x43, false },  { 0x61, false },  { 0x64, false },  { 0x65, true },
		{ 0xa1, false },  { 0x3f4, true },  { 0x3f5, false }, { 0x3ff, false },
		{ 0x400, true },  { 0x4d1, false }, { 0x505, false }, { 0x506, true },
		{ 0x602, false },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
		struct devlist with = list;
		const struct dev_desc *added = &with.dev[list.count];
		int err = arch_exit_port(&with, ports[i].port);

		ck_assert_msg(err == (ports[i].free ? 0 : -EADDRINUSE), "port 0x%x: %d",
			      ports[i].port, err);
		ck_assert_uint_eq(with.count, list.count + (ports[i].free ? 2 : 0));
		if (!ports[i].free)
			continue;
		ck_assert(added[0].kind == DEV_EXIT_PORT && added[1].kind == DEV_EXIT_PORT);
		ck_assert(added[0].pio && added[0].base == ports[i].port);
		ck_assert(!added[1].pio && added[1].base == 0xd0020000 + ports[i].port);
	}
}
END_TEST

START_TEST(exit_port_is_free_where_the_console_is_not)
{
	struct devlist quiet;

	ck_assert_int_eq(arch_devices(&quiet, DESCRIBE_DEFAULT, false, DEVLIST_MAX_DISKS), 0);
	ck_assert_int_eq(arch_exit_port(&quiet, 0x3f8), 0);
	ck_assert_int_eq(arch_devices(&quiet, DESCRIBE_ACPI, true, DEVLIST_MAX_DISKS), 0);
	ck_assert_int_eq(arch_exit_port(&quiet, 0xf4), 0);
	ck_assert_uint_le(quiet.count, DEVLIST_MAX);
}
END_TEST

/* Writes every value to every port. Only these writes may end the VM. */
START_TEST(only_documented_writes_end_the_vm)
{
	static const struct {
		uint16_t port;
		uint8_t value;
		enum vm_end why;
	} ends[] = {
		{ 0x600, S5_ENABLE, VM_END_POWEROFF },
		{ 0x602, 0x52, VM_END_REBOOT }, /* the value in the FADT */
		{ 0x64, 0xfe, VM_END_REBOOT },
		{ 0x505, 0x01, VM_END_PANIC },
	};

	for (unsigned int port = 0; port < 0x700; port++) {
		for (unsigned int value = 0; value < 256; value++) {
			uint8_t data = (uint8_t)value;
			enum vm_end expect = VM_RUNNING;

			for (unsigned int i = 0; i < 4; i++)
				if (port == ends[i].port && value == ends[i].value)
					expect = ends[i].why;
			/* Bits outside SLP_TYP and SLP_EN are ignored. */
			if (port == 0x600 && (value & 0x3c) == S5_ENABLE)
				expect = VM_END_POWEROFF;
			if (port == 0x505 && (value & 1))
				expect = VM_END_PANIC;
			recorder.why = VM_RUNNING;
			bus_write(&pio, port, &data, 1);
			ck_assert_msg(recorder.why == expect, "port 0x%x value 0x%x: %d", port,
				      value, recorder.why);
		}
	}
}
END_TEST

START_TEST(odd_sizes_are_ignored)
{
	uint8_t data[8] = { 0, 0x34, 0x52, 0x34, 0x52, 0xfe, 0xfe, 0xfe };
	static const uint8_t first[] = { 0x34, 0x52, 0xfe, 0x01 };
	static const unsigned int lens[] = { 2, 3, 4, 8 };

	for (unsigned int i = 0; i < 16; i++) {
		data[0] = first[i / 4];
		for (unsigned int port = 0x58; port < 0x700; port++)
			bus_write(&pio, port, data, lens[i % 4]);
	}
	ck_assert_uint_eq(recorder.count, 0);
}
END_TEST

START_TEST(reads_return_the_state_that_drivers_expect)
{
	uint8_t data[8];

	/* pvpanic: both events are supported. */
	bus_read(&pio, 0x505, data, 1);
	ck_assert_uint_eq(data[0], 3);
	/*
	 * i8042: the output buffer is always full (no controller), the input buffer never (no
	 * waiting).
	 */
	for (int i = 0; i < 100; i++) {
		bus_read(&pio, 0x64, data, 1);
		ck_assert_uint_eq(data[0] & 3, 1);
	}
	bus_read(&pio, 0x600, data, 1);
	ck_assert_uint_eq(data[0], 0);
	memset(data, 0xcc, sizeof(data));
	bus_read(&pio, 0x60, data, 4);
	ck_assert_mem_eq(data, "\0\0\0\0\xcc\xcc\xcc\xcc", 8);
}
END_TEST

/* memtest86+ drains the keyboard controller before it polls the serial port. */
START_TEST(keyboard_controller_eventually_reports_no_data)
{
	unsigned int drained = 0;
	uint8_t data;

	for (;;) {
		bus_read(&pio, 0x64, &data, 1);
		if (!(data & 1))
			break;
		bus_read(&pio, 0x60, &data, 1);
		ck_assert_uint_eq(data, 0);
		ck_assert_uint_lt(++drained, 3000);
	}
	/*
	 * Linux decides after 16 bytes that there is no controller; each of several kernels may
	 * read as many.
	 */
	ck_assert_uint_ge(drained, 10 * 17);
	for (unsigned int i = 0; i < 100; i++) {
		bus_read(&pio, 0x60, &data, 1);
		bus_read(&pio, 0x64, &data, 1);
		ck_assert_uint_eq(data & 3, 0);
	}
}
END_TEST

/* ---- port exits ---- */

static struct {
	struct kvm_run run;
	uint8_t data[4096];
	uint8_t canary;
} exits;

static struct {
	unsigned int reads, writes;
	uint8_t last[4];
} port;

static void port_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	(void)dev;
	memset(data, (int)(0x10 + offset), len);
	port.reads++;
}

static void port_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	(void)dev;
	(void)offset;
	memcpy(port.last, data, len);
	port.writes++;
}

static void make_exit(uint8_t direction, uint16_t where, uint8_t size, uint32_t count)
{
	exits.run.exit_reason = KVM_EXIT_IO;
	exits.run.io.direction = direction;
	exits.run.io.port = where;
	exits.run.io.size = size;
	exits.run.io.count = count;
	exits.run.io.data_offset = sizeof(exits.run);
	exits.canary = 0x77;
}

START_TEST(port_exits_reach_the_bus_item_by_item)
{
	static const struct bus_ops ops = { "ports", port_read, port_write };

	ck_assert_int_eq(bus_add(&pio, 0x3f8, 8, &ops, NULL), 0);
	make_exit(KVM_EXIT_IO_OUT, 0x3f8, 1, 4096);
	exits.data[4095] = 0x42;
	ck_assert(arch_vcpu_exit(&exits.run, &pio, NULL));
	ck_assert_uint_eq(port.writes, 4096);
	ck_assert_uint_eq(port.last[0], 0x42);

	make_exit(KVM_EXIT_IO_IN, 0x3fa, 2, 2048);
	ck_assert(arch_vcpu_exit(&exits.run, &pio, NULL));
	ck_assert_uint_eq(port.reads, 2048);
	for (unsigned int i = 0; i < 4096; i++)
		ck_assert_uint_eq(exits.data[i], 0x12);

	/* An access across the end of a device reads all ones. */
	make_exit(KVM_EXIT_IO_IN, 0x3fd, 4, 1);
	ck_assert(arch_vcpu_exit(&exits.run, &pio, NULL));
	ck_assert_mem_eq(exits.data, "\xff\xff\xff\xff", 4);
	ck_assert_uint_eq(port.reads, 2048);
	ck_assert_uint_eq(exits.canary, 0x77);

	exits.run.exit_reason = KVM_EXIT_HLT;
	ck_assert(!arch_vcpu_exit(&exits.run, &pio, NULL));
}
END_TEST

START_TEST(no_serial_port_without_a_console)
{
	struct devlist with, without;

	ck_assert_int_eq(arch_devices(&with, DESCRIBE_DEFAULT, true, 2), 0);
	ck_assert_int_eq(arch_devices(&without, DESCRIBE_DEFAULT, false, 2), 0);
	ck_assert_uint_eq(without.count, with.count - 1);
	ck_assert_int_eq(with.dev[0].kind, DEV_SERIAL);
	for (unsigned int i = 0; i < without.count; i++) {
		ck_assert_int_eq(without.dev[i].kind, with.dev[i + 1].kind);
		ck_assert_uint_eq(without.dev[i].base, with.dev[i + 1].base);
		ck_assert_uint_eq(without.dev[i].gsi, with.dev[i + 1].gsi);
	}
}
END_TEST

START_TEST(default_lines_fit_the_machine)
{
	for (int console = 0; console < 2; console++) {
		ck_assert_ptr_nonnull(strstr(arch_default_cmdline(console), "panic=-1"));
		ck_assert_ptr_nonnull(strstr(arch_default_cmdline(console), "pci=off"));
	}
	ck_assert_ptr_nonnull(strstr(arch_default_cmdline(true), "console=ttyS0"));
	ck_assert_ptr_null(strstr(arch_default_cmdline(false), "console"));
	ck_assert_ptr_nonnull(strstr(arch_default_cmdline(false), "nr_uarts=0"));
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("x86_platform");
	TCase *tcase = tcase_create("x86_platform");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_names_test(tcase, devices_do_not_collide, descriptions);
	tcase_add_test(tcase, cmdline_names_the_disks);
	tcase_add_test(tcase, only_documented_writes_end_the_vm);
	tcase_add_test(tcase, exit_port_takes_no_port_of_another_device);
	tcase_add_test(tcase, exit_port_is_free_where_the_console_is_not);
	tcase_add_test(tcase, odd_sizes_are_ignored);
	tcase_add_test(tcase, reads_return_the_state_that_drivers_expect);
	tcase_add_test(tcase, keyboard_controller_eventually_reports_no_data);
	tcase_add_test(tcase, port_exits_reach_the_bus_item_by_item);
	tcase_add_test(tcase, no_serial_port_without_a_console);
	tcase_add_test(tcase, default_lines_fit_the_machine);
	suite_add_tcase(suite, tcase);
	return suite;
}
