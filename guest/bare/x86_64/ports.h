/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Port I/O, inter-processor interrupts and deliberate crashes, for machine.c and tests of the
 * machine.
 */
#ifndef BARE_X86_PORTS_H
#define BARE_X86_PORTS_H

#include <stdbool.h>
#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline void string_out(uint16_t port, const void *from, unsigned long bytes)
{
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(bytes) : "d"(port) : "memory");
}

static inline void string_in(uint16_t port, void *to, unsigned long bytes)
{
	__asm__ volatile("rep insb" : "+D"(to), "+c"(bytes) : "d"(port) : "memory");
}

/*
 * Sends the second CPU the interrupt that `command`, the low half of the local APIC's ICR,
 * describes.
 */
#define LAPIC_SMI 0x4200u
#define LAPIC_NMI 0x4400u
void lapic_command(uint32_t command);
/* Returns whether the second CPU has been started. */
bool cpu_started(void);

/*
 * Makes the exception handlers unusable and raises an exception, which ends in a triple fault. With
 * `emulated` it uses an instruction at CPL 0 that KVM's instruction emulator, if in use, does not
 * know.
 */
_Noreturn void machine_crash(bool emulated);

#endif
