/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irqline: raises a device's interrupt. Nobody else may write its eventfd.
 *
 * The status bit is set before the eventfd is written: a driver that takes the interrupt and finds
 * InterruptStatus empty (virtio 1.2, 4.2.2) would ignore it and wait for ever. The status word is
 * shared with the vCPU threads, which read it and clear acknowledged bits.
 */
#ifndef DATAPLANE_IRQLINE_H
#define DATAPLANE_IRQLINE_H

#include <stdint.h>

#define IRQLINE_USED_RING 1u /* InterruptStatus bit 0 */
#define IRQLINE_CONFIG	  2u /* InterruptStatus bit 1 */

struct irqline {
	uint32_t status; /* InterruptStatus; atomic */
	int fd;		 /* the irqfd */
};

/* Any thread. */
void irqline_raise(struct irqline *line, uint32_t bits);

#endif
