/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irqline: raises a device's interrupt. Nobody else may write its eventfd.
 *
 * The status bit is set before the eventfd is written: a driver that takes the interrupt and finds
 * InterruptStatus empty (virtio 1.2, 4.2.2) would ignore it and wait for ever.
 *
 * The word may be memory that the guest reads without our knowing, so nobody can tell which raise an
 * acknowledgement is for. The used ring's bit therefore stays from its first raise until the device is
 * reset: it says that the rings are worth a look, which costs a driver nothing that it must not bear
 * anyway (2.7.7.2), and no acknowledgement, early or late, can take the word from under an interrupt
 * that is on its way. The configuration's bit goes when it is acknowledged.
 */
#ifndef DATAPLANE_IRQLINE_H
#define DATAPLANE_IRQLINE_H

#include <stdint.h>

#define IRQLINE_USED_RING 1u /* InterruptStatus bit 0 */
#define IRQLINE_CONFIG	  2u /* InterruptStatus bit 1 */

struct irqline {
	uint32_t *status; /* atomic: InterruptStatus; the owner's, where the driver reads it */
	int fd;		  /* the irqfd */
};

/* Any thread. */
void irqline_raise(struct irqline *line, uint32_t bits);

/* InterruptACK is written. Any thread; vCPUs do. No lock. */
void irqline_acknowledge(struct irqline *line, uint32_t bits);

/* Nothing is raised any more. Any thread, when no other raises. */
void irqline_clear(struct irqline *line);

#endif
