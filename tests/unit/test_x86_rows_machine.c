/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of rows 40 and 41 in the vCPU thread: floods of the console and of ports, and CPUs that
 * crash. Linked with --wrap=ioctl: the test simulates KVM's exits.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/guestram.h"
#include "tests/lib/mockdrv.h"
#include "tests/unit/serial_rig.h"
#include "vmm/kvm/vcpu.h"

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

#define RUN_BYTES 8192u
#define DATA	  4096u /* offset of port data in kvm_run */
#define COM1	  0x3f8

/* Returns the result of the next KVM_RUN: -errno, or an exit reason. */
static int (*next_exit)(struct kvm_run *run, unsigned int number);
static struct vcpu vcpu;
static unsigned int entered;  /* atomic */
static uint64_t rip = 0x1234; /* 0: KVM_GET_REGS fails */

static int get_regs(struct kvm_regs *regs)
{
	*regs = (struct kvm_regs){ .rip = rip };
	errno = EIO;
	return rip ? 0 : -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct kvm_run *run = vcpu.run;
	int reason;
	va_list args;

	if (request == KVM_CREATE_VCPU)
		return memfile(NULL, RUN_BYTES);
	if (request == KVM_GET_REGS) {
		va_start(args, request);
		reason = get_regs(va_arg(args, struct kvm_regs *));
		va_end(args);
		return reason;
	}
	if (request != KVM_RUN)
		ck_abort_msg("ioctl %#lx on %d", request, fd);
	if (READ_ONCE(run->immediate_exit)) {
		errno = EINTR;
		return -1;
	}
	reason = next_exit(run, __atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST));
	if (reason < 0) {
		errno = -reason;
		return -1;
	}
	run->exit_reason = (uint32_t)reason;
	return 0;
}

static unsigned int ends; /* atomic */

static void end(struct vm_exit *vm_exit, enum vm_end why)
{
	uint32_t running = VM_RUNNING;

	__atomic_fetch_add(&ends, 1, __ATOMIC_SEQ_CST);
	__atomic_compare_exchange_n(&vm_exit->why, &running, (uint32_t)why, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

static struct vm_exit vm_exit = { .end = end };
static struct bus pio, mmio;
static struct vcpu_pause vcpu_pause;

/* Starts the vCPU in a VM in which another one may have crashed. */
static void restart(void)
{
	struct vm vm = { .fd = -1, .run_size = RUN_BYTES };

	entered = ends = 0;
	vm_exit.why = VM_RUNNING;
	vcpu_init_signal();
	vcpu_pause_init(&vcpu_pause);
	vcpu = (struct vcpu){ .index = 3,
			      .pio = &pio,
			      .mmio = &mmio,
			      .vm_exit = &vm_exit,
			      .vcpu_pause = &vcpu_pause };
	ck_assert_int_eq(vcpu_create(&vcpu, &vm), 0);
	ck_assert_int_eq(vcpu_start(&vcpu), 0);
}

static void start(int (*exits)(struct kvm_run *, unsigned int))
{
	next_exit = exits;
	vm_exit.crashed = 0;
	restart();
}

/* ---- row 40 ---- */

static int port_exit(struct kvm_run *run, bool write, uint16_t at, uint8_t size, uint32_t count)
{
	run->io.direction = write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	run->io.size = size;
	run->io.port = at;
	run->io.count = count;
	run->io.data_offset = DATA;
	memset((uint8_t *)run + DATA, 'x', RUN_BYTES - DATA);
	return KVM_EXIT_IO;
}

/* A guest that executes rep outsb forever, in pieces as large as KVM makes them. */
static int flood_out(struct kvm_run *run, unsigned int number)
{
	(void)number;
	return port_exit(run, true, COM1, 1, RUN_BYTES - DATA);
}

static void begin_port(void)
{
	setup();
	ck_assert_int_eq(bus_add(&pio, COM1, SERIAL_REGS, &serial_bus_ops, port), 0);
}

/*
 * Console output without a reader is bounded, and the loss is counted. The thread ends during its
 * current exit.
 */
START_TEST(row40_console_flooded_by_string_output)
{
	static uint8_t printed[SERIAL_TX_SIZE + 1];

	begin_port();
	start(flood_out);
	mock_wait_until(__atomic_load_n(&entered, __ATOMIC_SEQ_CST) > 100);
	vcpu_stop(&vcpu);
	unsigned int before = __atomic_load_n(&entered, __ATOMIC_SEQ_CST);
	vcpu_destroy(&vcpu);
	ck_assert_uint_le(entered - before, 1);
	ck_assert_uint_eq(ends, 0);

	ck_assert_uint_eq(serial_tx_pending(port), SERIAL_TX_SIZE);
	ck_assert_uint_eq(serial_transmitted(port, printed, sizeof(printed)), SERIAL_TX_SIZE);
	for (unsigned int i = 0; i < SERIAL_TX_SIZE; i++)
		must(printed[i] == 'x');
	ck_assert_uint_eq(serial_dropped(port),
			  (uint64_t)entered * (RUN_BYTES - DATA) - SERIAL_TX_SIZE);
	teardown();
}
END_TEST

/*
 * Reads and writes each port of the UART and its neighbours, in each size and count. The UART must
 * work afterwards.
 */
static int ports_of_all_kinds(struct kvm_run *run, unsigned int n)
{
	static const uint8_t size[] = { 1, 2, 4 };

	if (n == 3 * 2 * 2 * 32)
		return KVM_EXIT_SHUTDOWN;
	return port_exit(run, n / 3 % 2, (uint16_t)(COM1 - 8 + n / 12), size[n % 3],
			 n / 6 % 2 ? 1 : (RUN_BYTES - DATA) / 4);
}

START_TEST(row40_odd_sized_and_string_port_io)
{
	uint8_t byte;

	begin_port();
	start(ports_of_all_kinds);
	mock_wait_until(LOAD_ACQUIRE(vm_exit.why));
	vcpu_destroy(&vcpu);
	ck_assert_uint_eq(vm_exit.why, VM_END_CRASH); /* the end of the loop */
	while (serial_transmitted(port, &byte, 1))
		;
	serial_dropped(port);
	out(UART_LCR, UART_LCR_WLEN8);
	out(UART_MCR, 0);
	out(UART_TX, 'k');
	ck_assert_uint_eq(serial_transmitted(port, &byte, 1), 1);
	ck_assert_uint_eq(byte, 'k');
	teardown();
}
END_TEST

/* A port without a device reads all ones in each item, and no byte behind them is written. */
static int read_nowhere(struct kvm_run *run, unsigned int number)
{
	const uint8_t *data = (const uint8_t *)run + DATA;

	if (number == 0)
		return port_exit(run, false, 0x80, 4, 16);
	must(all_bytes(data, 0xff, 64) && data[64] == 'x');
	return KVM_EXIT_SHUTDOWN;
}

START_TEST(row40_string_input_from_nowhere)
{
	start(read_nowhere);
	mock_wait_until(LOAD_ACQUIRE(vm_exit.why));
	vcpu_destroy(&vcpu);
}
END_TEST

/* ---- row 41 ---- */

static int reason_to_end;

/* Some ordinary exits and signals, then the exit that ends the VM. */
static int then_end(struct kvm_run *run, unsigned int number)
{
	switch (number) {
	case 0:
		return port_exit(run, true, 0x80, 1, 1);
	case 1:
		return -EINTR;
	case 2:
		return KVM_EXIT_INTR;
	case 3:
		return -EAGAIN;
	case 4:
		run->mmio.phys_addr = ~0ull;
		run->mmio.len = 8;
		run->mmio.is_write = 0;
		return KVM_EXIT_MMIO;
	default:
		return reason_to_end;
	}
}

START_TEST(row41_processor_that_crashes_ends_the_vm_once)
{
	static const struct {
		int exit;
		enum vm_end why;
	} cases[] = {
		{ KVM_EXIT_SHUTDOWN, VM_END_CRASH },
		{ KVM_EXIT_INTERNAL_ERROR, VM_END_CRASH },
		{ KVM_EXIT_FAIL_ENTRY, VM_END_CRASH },
		{ KVM_EXIT_UNKNOWN, VM_END_CRASH },
		{ KVM_EXIT_HYPERCALL, VM_END_CRASH },
		{ KVM_EXIT_DEBUG, VM_END_CRASH },
		{ 9999, VM_END_CRASH },
		{ -EFAULT, VM_END_ERROR },
		{ -ENOMEM, VM_END_ERROR },
		{ -EIO, VM_END_ERROR },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		reason_to_end = cases[i].exit;
		start(then_end);
		vcpu_destroy(&vcpu);
		ck_assert_uint_eq(vm_exit.why, cases[i].why);
		ck_assert_uint_eq(ends, 1);
		/* The vCPU is not entered again. */
		ck_assert_uint_eq(entered, 6);
	}
}
END_TEST

static int crash(struct kvm_run *run, unsigned int number)
{
	(void)number;
	switch (reason_to_end) {
	case KVM_EXIT_INTERNAL_ERROR:
		run->internal.suberror = 1;
		break;
	case KVM_EXIT_FAIL_ENTRY:
		run->fail_entry.hardware_entry_failure_reason = 0x80000021;
		break;
	}
	return reason_to_end;
}

static const struct {
	const char *name;
	int exit;
	uint64_t rip;
	const char *text;
} crashes[] = {
	{ "triple fault", KVM_EXIT_SHUTDOWN, 0xffffffff81000123,
	  "triple fault on CPU 3 at 0xffffffff81000123" },
	{ "triple fault, and KVM has reset the vCPU", KVM_EXIT_SHUTDOWN, 0xfff0,
	  "triple fault on CPU 3" },
	{ "registers are unknown", KVM_EXIT_SHUTDOWN, 0, "triple fault on CPU 3" },
	{ "internal error", KVM_EXIT_INTERNAL_ERROR, 0x100,
	  "KVM internal error (suberror 1) on CPU 3 at 0x100" },
	{ "failed entry", KVM_EXIT_FAIL_ENTRY, 0x100,
	  "VM entry failed (hardware reason 0x80000021) on CPU 3 at 0x100" },
	{ "another exit", 9999, 0x100, "unhandled KVM exit 9999 on CPU 3 at 0x100" },
};

START_TEST(crash_is_described_with_cpu_and_address)
{
	reason_to_end = crashes[_i].exit;
	rip = crashes[_i].rip;
	start(crash);
	vcpu_destroy(&vcpu);
	ck_assert_str_eq(vm_exit.crash, crashes[_i].text);
}
END_TEST

/* The text is complete and stays as it is when another vCPU crashes as well. */
START_TEST(first_crash_is_the_one_described)
{
	reason_to_end = KVM_EXIT_SHUTDOWN;
	start(crash);
	vcpu_destroy(&vcpu);
	reason_to_end = KVM_EXIT_INTERNAL_ERROR;
	restart();
	vcpu_destroy(&vcpu);
	ck_assert_str_eq(vm_exit.crash, "triple fault on CPU 3 at 0x1234");
}
END_TEST

static int run_for_ever(struct kvm_run *run, unsigned int number)
{
	(void)number;
	return port_exit(run, true, 0x80, 1, 1);
}

/* When one vCPU has crashed, the others see vm_exit.why and end. */
START_TEST(row41_other_processors_stop_when_one_has_crashed)
{
	start(run_for_ever);
	mock_wait_until(__atomic_load_n(&entered, __ATOMIC_SEQ_CST) > 100);
	vm_exit.end(&vm_exit, VM_END_CRASH);
	vcpu_destroy(&vcpu);
	ck_assert_uint_eq(vm_exit.why, VM_END_CRASH);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("x86_rows_machine");
	TCase *t = tcase_create("rows_machine");

	tcase_add_test(t, row40_console_flooded_by_string_output);
	tcase_add_test(t, row40_odd_sized_and_string_port_io);
	tcase_add_test(t, row40_string_input_from_nowhere);
	tcase_add_test(t, row41_processor_that_crashes_ends_the_vm_once);
	tcase_add_table_test(t, crash_is_described_with_cpu_and_address, crashes);
	tcase_add_test(t, first_crash_is_the_one_described);
	tcase_add_test(t, row41_other_processors_stop_when_one_has_crashed);
	suite_add_tcase(s, t);
	return s;
}
