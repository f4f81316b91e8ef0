/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irqline: raises a device's interrupt. Nobody else may write its eventfd.
 *
 * The status bit is set before the eventfd is written: a driver that takes the interrupt and finds
 * InterruptStatus empty (virtio 1.2, 4.2.2) would ignore it and wait for ever.
 *
 * An acknowledgement may arrive late, when the same bit has been raised again, and must not take that
 * away. So it is for what was read before: a raised bit is fresh until InterruptStatus is read, told
 * from then on, and only what is told can be acknowledged.
 */
#ifndef DATAPLANE_IRQLINE_H
#define DATAPLANE_IRQLINE_H

#include <stdint.h>

#define IRQLINE_USED_RING 1u /* InterruptStatus bit 0 */
#define IRQLINE_CONFIG	  2u /* InterruptStatus bit 1 */

struct irqline {
	uint32_t status; /* atomic: bits that are fresh, and from bit 8 on those that are told */
	int fd;		 /* the irqfd */
};

/* Any thread. */
void irqline_raise(struct irqline *line, uint32_t bits);

/* InterruptStatus is read, InterruptACK is written. Any thread; vCPUs do. No lock. */
uint32_t irqline_read(struct irqline *line);
void irqline_acknowledge(struct irqline *line, uint32_t bits);

/* Nothing is raised any more. Any thread, when no other raises. */
void irqline_clear(struct irqline *line);

#endif
