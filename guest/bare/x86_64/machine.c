/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/bare/bare.h"

#include <asm/bootparam.h>

#include "guest/bare/x86_64/ports.h"
#include "guest/bare/x86_64/start.h"
#include "vmm/arch/x86_64/layout.h"

#define LOW_END		    0xa0000u /* end of the memory that a second CPU can start in */
#define TRAMPOLINE	    0x8000u
#define SERIAL_INTERRUPTS   1u
#define SERIAL_RX_IRQ	    1u
#define SERIAL_MODEM	    4u
#define SERIAL_OUT2	    8u
#define SERIAL_LINE_STATUS  5u
#define SERIAL_RECEIVED	    0x01u
#define SERIAL_EMPTY	    0x20u
#define PVPANIC_PANICKED    1u
#define KEYBOARD_COMMAND    0x64u
#define KEYBOARD_RESET	    0xfeu
#define IOAPIC_INDEX	    0x00u
#define IOAPIC_DATA	    0x10u
#define IOAPIC_REDIRECTION  0x10u
#define LAPIC_TASK_PRIORITY 0x80u
#define LAPIC_SPURIOUS	    0xf0u
#define LAPIC_ICR	    0x300u
#define LAPIC_ICR_HIGH	    0x310u
#define LAPIC_ICR_BUSY	    0x1000u
#define LAPIC_INIT	    0x4500u
#define LAPIC_STARTUP	    0x4600u
#define LAPIC_SOFT_ENABLE   0x1ffu
#define PRIORITY_ALL	    0xf0u
#define GATE_INTERRUPT_USER 0xee00u
#define INVALID_OPCODE	    6u
#define E820_USABLE	    1u

/* Xen's HVM direct boot ABI. */
struct pvh_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, command_line, rsdp, memory_map;
	uint32_t memory_map_entries;
};

struct pvh_range {
	uint64_t start, size;
	uint32_t type, reserved;
};

struct gate {
	uint16_t offset_low, selector;
	uint16_t flags_low, offset_middle;
	uint32_t offset_high, reserved;
};

struct gate bare_idt[IDT_ENTRIES];
volatile uint64_t irq_count[2];
uint64_t exception_vector, exception_error, exception_rip, exception_address;

extern const uint8_t cpu_trampoline[], cpu_trampoline_end[];
extern const uint8_t irq_entry_a[], irq_entry_b[], exception_entries[], crash_entry[];
extern const uint8_t bare_end[];

static void (*cpu_task)(void *);
static void *cpu_arg;
static bool cpu_up;

_Noreturn void arch_main(unsigned int from, const void *info);
_Noreturn void arch_exception(void);

/* At least 10 s, at up to 4 GHz. */
uint64_t arch_timeout = 40000000000;
uint64_t arch_khz;
const uint64_t arch_irqchip = LAYOUT_LAPIC;

uint64_t arch_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

void arch_relax(void)
{
	__builtin_ia32_pause();
}

uint64_t arch_read(uint64_t at, unsigned int bytes)
{
	switch (bytes) {
	case 1:
		return *(volatile uint8_t *)at;
	case 2:
		return *(volatile uint16_t *)at;
	case 4:
		return *(volatile uint32_t *)at;
	default:
		return *(volatile uint64_t *)at;
	}
}

void arch_write(uint64_t at, unsigned int bytes, uint64_t value)
{
	switch (bytes) {
	case 1:
		*(volatile uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)at = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)at = value;
	}
}

bool arch_device(unsigned int number, uint64_t *base, uint32_t *gsi)
{
	/* The option's format is size@address:interrupt, as in 4K@0xd0000000:5. */
	const char *s = option("virtio_mmio.device=", number);

	if (!s)
		return false;
	parse_number(s, &s);
	while (*s && *s != '@')
		s++;
	*base = parse_number(s + 1, &s);
	*gsi = (uint32_t)parse_number(s + 1, &s);
	return true;
}

void arch_putc(char c)
{
	while (!(in8(LAYOUT_SERIAL + SERIAL_LINE_STATUS) & SERIAL_EMPTY))
		arch_relax();
	out8(LAYOUT_SERIAL, (uint8_t)c);
}

int arch_poll_char(void)
{
	if (!(in8(LAYOUT_SERIAL + SERIAL_LINE_STATUS) & SERIAL_RECEIVED))
		return -1;
	return in8(LAYOUT_SERIAL);
}

int arch_getc(void)
{
	static bool open;

	/* Monitors hold input back until the port is open. Its interrupt stays masked. */
	if (!open) {
		out8(LAYOUT_SERIAL + SERIAL_INTERRUPTS, SERIAL_RX_IRQ);
		out8(LAYOUT_SERIAL + SERIAL_MODEM, SERIAL_OUT2);
		open = true;
	}
	return arch_poll_char();
}

static void set_gate(unsigned int vector, const void *entry)
{
	uintptr_t at = (uintptr_t)entry;

	bare_idt[vector] = (struct gate){
		.offset_low = (uint16_t)at,
		.offset_middle = (uint16_t)(at >> 16),
		.offset_high = (uint32_t)(at >> 32),
		.selector = SEL_KERNEL_CODE,
		.flags_low = GATE_INTERRUPT_USER,
	};
}

_Noreturn void arch_power_off(void)
{
	out8(LAYOUT_ACPI_PM + ACPI_PM_SLEEP_CONTROL,
	     ACPI_SLEEP_TYPE_S5 << ACPI_SLEEP_TYPE_SHIFT | ACPI_SLEEP_ENABLE);
	/* Another monitor's machine: the keyboard controller resets it, or else a crash does. */
	out8(KEYBOARD_COMMAND, KEYBOARD_RESET);
	machine_crash(false);
}

_Noreturn void arch_panic(void)
{
	out8(LAYOUT_PVPANIC, PVPANIC_PANICKED);
	arch_power_off();
}

_Noreturn void machine_crash(bool emulated)
{
	/* An exception whose gate has no code segment raises the next exception. */
	for (unsigned int i = 0; i < IDT_ENTRIES; i++)
		if (!emulated || i != INVALID_OPCODE)
			bare_idt[i].selector = 0;
	if (emulated)
		set_gate(INVALID_OPCODE, crash_entry);
	for (;;)
		__asm__ volatile("ud2" : : : "memory");
}

_Noreturn void arch_exception(void)
{
	say("FAILED: exception %lu (error 0x%lx) at 0x%lx, address 0x%lx\n", exception_vector,
	    exception_error, exception_rip, exception_address);
	arch_panic();
}

/* ---- interrupts ---- */

static volatile uint32_t *lapic(uint32_t reg)
{
	return (volatile uint32_t *)(uintptr_t)(LAYOUT_LAPIC + reg);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(LAYOUT_IOAPIC + IOAPIC_INDEX) = reg;
	*(volatile uint32_t *)(uintptr_t)(LAYOUT_IOAPIC + IOAPIC_DATA) = value;
}

void irq_attach(unsigned int slot, uint32_t gsi)
{
	/* Edge-triggered, active high, fixed, to the first CPU. */
	ioapic_write(IOAPIC_REDIRECTION + 2 * gsi + 1, 0);
	ioapic_write(IOAPIC_REDIRECTION + 2 * gsi, IRQ_VECTOR + slot);
}

void irqs_on(void)
{
	*lapic(LAPIC_TASK_PRIORITY) = 0;
}

void irqs_off(void)
{
	*lapic(LAPIC_TASK_PRIORITY) = PRIORITY_ALL;
}

/* ---- the second CPU ---- */

void lapic_command(uint32_t command)
{
	*lapic(LAPIC_ICR_HIGH) = 1u << 24;
	*lapic(LAPIC_ICR) = command;
	while (*lapic(LAPIC_ICR) & LAPIC_ICR_BUSY)
		arch_relax();
}

bool cpu_started(void)
{
	return __atomic_load_n(&cpu_up, __ATOMIC_ACQUIRE);
}

bool cpu_start(void)
{
	const char *cpus = option("cpus=", 0);
	const char *end;

	if (cpu_up)
		return true;
	if (!cpus || parse_number(cpus, &end) < 2)
		return false;
	memcpy((void *)TRAMPOLINE, cpu_trampoline, (size_t)(cpu_trampoline_end - cpu_trampoline));
	lapic_command(LAPIC_INIT);
	lapic_command(LAPIC_STARTUP | TRAMPOLINE / PAGE);
	wait_until(cpu_started());
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

static _Noreturn void second_cpu(void)
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

static void add_ram(uint64_t start, uint64_t size, uint32_t type)
{
	uint64_t end = start + size;

	if (type != E820_USABLE)
		return;
	if (start >= LAYOUT_4G)
		ram_high_end = end;
	else if (end > ram_end)
		ram_end = end;
}

static const char *read_pvh(const struct pvh_info *info)
{
	const struct pvh_range *range = (const void *)info->memory_map;

	for (uint32_t i = 0; i < info->memory_map_entries; i++)
		add_ram(range[i].start, range[i].size, range[i].type);
	return (const char *)info->command_line;
}

static const char *read_boot_params(const struct boot_params *params)
{
	for (unsigned int i = 0; i < params->e820_entries; i++)
		add_ram(params->e820_table[i].addr, params->e820_table[i].size,
			params->e820_table[i].type);
	return (const char *)(uintptr_t)params->hdr.cmd_line_ptr;
}

_Noreturn void arch_main(unsigned int from, const void *info)
{
	if (from == BOOT_CPU)
		second_cpu();
	ram_start = (uintptr_t)bare_end;
	for (unsigned int i = 0; i < 32; i++)
		set_gate(i, exception_entries + i * 16);
	set_gate(IRQ_VECTOR, irq_entry_a);
	set_gate(IRQ_VECTOR + 1, irq_entry_b);
	irqs_off();
	*lapic(LAPIC_SPURIOUS) = LAPIC_SOFT_ENABLE;
	bare_main(from == BOOT_PVH ? read_pvh(info) : read_boot_params(info));
}
