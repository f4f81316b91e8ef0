/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Architecture interface of the freestanding guests' runtime, implemented in a directory for each
 * architecture. hostile_machine.c in that directory has the hostile guest's tests of its machine.
 */
#ifndef BARE_ARCH_H
#define BARE_ARCH_H

#include <stdint.h>

/*
 * A monotonic clock. arch_ticks() returns ticks. arch_khz is the number of ticks in a millisecond,
 * or 0 where it is unknown; arch_timeout is the timeout of a wait in ticks, 10 s or more. Both are
 * set before bare_main.
 */
uint64_t arch_ticks(void);
extern uint64_t arch_khz, arch_timeout;
void arch_relax(void);

/* Entry from the architecture's start-up code, once it can run C: sets ram_* and runs the tests. */
_Noreturn void bare_main(const char *command_line);

void arch_putc(char c);
/* Returns the next byte that the serial port has received, or -1. */
int arch_getc(void);
/*
 * Like arch_getc, but without setting up the port first: reads the line status, and writes nothing.
 */
int arch_poll_char(void);

/*
 * Device registers: one access of 1, 2, 4 or 8 bytes at any address, aligned or not. A write is a
 * release: the device sees all earlier stores. A read is an acquire: later loads are not older.
 */
uint64_t arch_read(uint64_t at, unsigned int bytes);
void arch_write(uint64_t at, unsigned int bytes, uint64_t value);

/*
 * Returns address and interrupt of the virtio-mmio device with this number; false if there is none.
 */
bool arch_device(unsigned int number, uint64_t *base, uint32_t *gsi);
/* Address of an interrupt controller's registers, which is never RAM. */
extern const uint64_t arch_irqchip;

/*
 * Device interrupts. irq_attach() counts the edge-triggered interrupts of a GSI in irq_count[slot],
 * slot 0 or 1. Interrupts are delivered only between irqs_on() and irqs_off().
 */
extern volatile uint64_t irq_count[2];
void irq_attach(unsigned int slot, uint32_t gsi);
void irqs_on(void);
void irqs_off(void);

/*
 * The second CPU. cpu_start() starts it; false if there is none. cpu_work() makes it run work(arg)
 * and returns at once; cpu_idle() tells whether the last work has ended.
 */
bool cpu_start(void);
void cpu_work(void (*work)(void *), void *arg);
bool cpu_idle(void);

/* Ends the machine. arch_panic() reports a guest panic or, on a machine without pvpanic, resets. */
_Noreturn void arch_power_off(void);
_Noreturn void arch_panic(void);

#endif
