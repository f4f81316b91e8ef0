/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/bare/aarch64/machine.h"

#include "vmm/arch/aarch64/layout.h"

#define SERIAL_INTERRUPTS  1u
#define SERIAL_RX_IRQ	   1u
#define SERIAL_MODEM	   4u
#define SERIAL_OUT2	   8u
#define SERIAL_LINE_STATUS 5u
#define SERIAL_RECEIVED	   0x01u
#define SERIAL_EMPTY	   0x20u

/* PSCI 1.0 function numbers, called by HVC. */
#define PSCI_CPU_ON	  0xc4000003u
#define PSCI_SYSTEM_OFF	  0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u
#define PSCI_SUCCESS	  0
#define SECOND_CPU	  1u /* the second CPU's MPIDR_EL1 */

/* Timeout in seconds, long enough for emulated hosts. */
#define TIMEOUT_S 40u

struct machine machine;
uint64_t arch_khz, arch_timeout;
const uint64_t arch_irqchip = LAYOUT_GICD;

extern const uint8_t cpu_entry[], bare_end[];

static void (*cpu_task)(void *);
static void *cpu_arg;
static bool cpu_up;

_Noreturn void arch_main(const void *tree);
_Noreturn void second_cpu(void);
_Noreturn void arch_exception(uint64_t syndrome, uint64_t from, uint64_t address);

uint64_t arch_ticks(void)
{
	uint64_t ticks;

	/* The barrier keeps the counter from being read before the preceding loads. */
	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}

void arch_relax(void)
{
	__asm__ volatile("yield" : : : "memory");
}

/*
 * Instructions with a single register and no write-back: for others the CPU does not give KVM
 * enough information to emulate the access.
 */
uint64_t arch_read(uint64_t at, unsigned int bytes)
{
	uint64_t value;

	if (at & (bytes - 1))
		at += MACHINE_ALIAS;
	switch (bytes) {
	case 1:
		__asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
		break;
	case 2:
		__asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
		break;
	case 4:
		__asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
		break;
	default:
		__asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
	}
	__asm__ volatile("dmb ishld" : : : "memory");
	return value;
}

void arch_write(uint64_t at, unsigned int bytes, uint64_t value)
{
	__asm__ volatile("dmb ish" : : : "memory");
	if (at & (bytes - 1))
		at += MACHINE_ALIAS;
	switch (bytes) {
	case 1:
		__asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(at) : "memory");
		break;
	case 2:
		__asm__ volatile("strh %w0, [%1]" : : "r"(value), "r"(at) : "memory");
		break;
	case 4:
		__asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(at) : "memory");
		break;
	default:
		__asm__ volatile("str %0, [%1]" : : "r"(value), "r"(at) : "memory");
	}
}

bool arch_device(unsigned int number, uint64_t *base, uint32_t *gsi)
{
	if (number >= machine.devices)
		return false;
	*base = machine.device[number].base;
	*gsi = machine.device[number].gsi;
	return true;
}

/* ---- the serial port ---- */

void arch_putc(char c)
{
	if (!machine.serial)
		return;
	while (!(arch_read(machine.serial + SERIAL_LINE_STATUS, 1) & SERIAL_EMPTY))
		arch_relax();
	arch_write(machine.serial, 1, (uint8_t)c);
}

int arch_poll_char(void)
{
	if (!machine.serial ||
	    !(arch_read(machine.serial + SERIAL_LINE_STATUS, 1) & SERIAL_RECEIVED))
		return -1;
	return (int)arch_read(machine.serial, 1);
}

int arch_getc(void)
{
	static bool open;

	if (!machine.serial)
		return -1;
	/* Monitors hold input back until the port is open. Its interrupt stays masked. */
	if (!open) {
		arch_write(machine.serial + SERIAL_INTERRUPTS, 1, SERIAL_RX_IRQ);
		arch_write(machine.serial + SERIAL_MODEM, 1, SERIAL_OUT2);
		open = true;
	}
	return arch_poll_char();
}

/* ---- PSCI: power-off, reset, and the second CPU ---- */

static int64_t psci(uint32_t function, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = arg1;
	register uint64_t x2 __asm__("x2") = arg2;
	register uint64_t x3 __asm__("x3") = arg3;

	__asm__ volatile("hvc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "memory");
	return (int64_t)x0;
}

static _Noreturn void end(uint32_t function)
{
	for (;;)
		psci(function, 0, 0, 0);
}

_Noreturn void arch_power_off(void)
{
	end(PSCI_SYSTEM_OFF);
}

_Noreturn void arch_panic(void)
{
	end(PSCI_SYSTEM_RESET);
}

_Noreturn void arch_exception(uint64_t syndrome, uint64_t from, uint64_t address)
{
	say("FAILED: exception, syndrome 0x%lx at 0x%lx, address 0x%lx\n", syndrome, from, address);
	arch_panic();
}

bool cpu_start(void)
{
	if (cpu_up)
		return true;
	if (psci(PSCI_CPU_ON, SECOND_CPU, (uintptr_t)cpu_entry, 0) != PSCI_SUCCESS)
		return false;
	wait_until(__atomic_load_n(&cpu_up, __ATOMIC_ACQUIRE));
	return true;
}

void cpu_work(void (*work)(void *), void *arg)
{
	wait_until(cpu_idle());
	cpu_arg = arg;
	__atomic_store_n(&cpu_task, work, __ATOMIC_RELEASE); /* partner: second_cpu */
}

bool cpu_idle(void)
{
	return !__atomic_load_n(&cpu_task, __ATOMIC_ACQUIRE);
}

_Noreturn void second_cpu(void)
{
	__atomic_store_n(&cpu_up, true, __ATOMIC_RELEASE);
	for (;;) {
		void (*work)(void *) = __atomic_load_n(&cpu_task, __ATOMIC_ACQUIRE);

		if (work) {
			work(cpu_arg);
			__atomic_store_n(&cpu_task, NULL, __ATOMIC_RELEASE);
		}
		arch_relax();
	}
}

/* ---- start-up ---- */

_Noreturn void arch_main(const void *tree)
{
	uint64_t frequency;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
	arch_khz = frequency / 1000;
	arch_timeout = TIMEOUT_S * frequency;
	/* After this call the tree's memory may be overwritten. */
	tree_read(&machine, tree);
	ram_start = (uintptr_t)bare_end;
	ram_end = machine.ram_end < MACHINE_ALIAS ? machine.ram_end : MACHINE_ALIAS;
	gic_init();
	bare_main(machine.command_line);
}
