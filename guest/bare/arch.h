/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each architecture does for the runtime, in a directory of its own; with hostile_machine.c, the
 * hostile guest's tests of what only its machine has.
 */
#ifndef BARE_ARCH_H
#define BARE_ARCH_H

#include <stdint.h>

/*
 * Ticks of a steady clock; how many of them are a millisecond, if that is known here, else 0; and how
 * many are too long to wait: 10 s or more. Set before bare_main.
 */
uint64_t arch_ticks(void);
extern uint64_t arch_khz, arch_patience;
void arch_relax(void);

/* Called by the architecture once it can run C: sets ram_* and the command line, then goes on. */
_Noreturn void bare_main(const char *command_line);

void arch_putc(char c);
/* What the serial port has received; -1: nothing. */
int arch_getc(void);
/* As arch_getc, without setting up the port first: its line status is read, and nothing written. */
int arch_poll_char(void);

/*
 * Device registers: one access of 1, 2, 4 or 8 bytes at any address, aligned or not. Whoever a write
 * reaches sees what was stored before it; what is loaded after a read is no older than what was read.
 */
uint64_t arch_read(uint64_t at, unsigned int bytes);
void arch_write(uint64_t at, unsigned int bytes, uint64_t value);

/* Where the virtio-mmio device of that number is, and its interrupt. False: there is none. */
bool arch_device(unsigned int number, uint64_t *base, uint32_t *gsi);
/* The registers of an interrupt controller: never RAM. */
extern const uint64_t arch_irqchip;

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

/* The machine's end. A panic is told to the host as a guest's panic or, where it cannot be, by a reset. */
_Noreturn void arch_power_off(void);
_Noreturn void arch_panic(void);

#endif
