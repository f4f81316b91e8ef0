/* SPDX-License-Identifier: BSD-3-Clause */
/* What each architecture does for the runtime, in a directory of its own. */
#ifndef BARE_ARCH_H
#define BARE_ARCH_H

#include <stdint.h>

/* Ticks of a steady clock, and how many of them are too long to wait: 10 s or more. */
uint64_t arch_ticks(void);
extern const uint64_t arch_patience;
void arch_relax(void);

/* Called by the architecture once it can run C: sets ram_* and the command line, then goes on. */
_Noreturn void bare_main(const char *command_line);

void arch_putc(char c);
/* What the serial port has received; -1: nothing. */
int arch_getc(void);
/* Port I/O, for tests of the machine. */
void arch_out8(uint16_t port, uint8_t value);
uint8_t arch_in8(uint16_t port);
uint16_t arch_in16(uint16_t port);
uint32_t arch_in32(uint16_t port);
void arch_out32(uint16_t port, uint32_t value);
void arch_string_out(uint16_t port, const void *from, unsigned long bytes);
void arch_string_in(uint16_t port, void *to, unsigned long bytes);

/*
 * Interrupts of a device by its GSI, edge-triggered, counted in irq_count[slot] (0 or 1). They
 * arrive between irqs_on and irqs_off.
 */
extern volatile uint64_t irq_count[2];
void irq_attach(unsigned int slot, uint32_t gsi);
void irqs_on(void);
void irqs_off(void);

/*
 * The second CPU: runs work(arg) and then waits for the next. cpu_work returns at once; cpu_idle
 * says that the last work has ended. cpu_start: false if there is no such CPU.
 */
bool cpu_start(void);
void cpu_work(void (*work)(void *), void *arg);
bool cpu_idle(void);

/*
 * Takes the way out of exceptions away, and makes one: a triple fault. `emulated` goes through an
 * instruction at CPL 0 that KVM's instruction emulator does not know, if that is what runs it.
 */
_Noreturn void arch_crash(bool emulated);

/* The machine's end. A panic is told to the host as a guest's panic. */
_Noreturn void arch_power_off(void);
_Noreturn void arch_panic(void);

#endif
