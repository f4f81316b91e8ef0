/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irqline: the eventfd that interrupts the guest, and InterruptStatus of virtio-mmio.
 *
 * Only this module may write to the irqfd. The status bit is set before the irqfd is written: a
 * driver that takes the interrupt and reads 0 from InterruptStatus (virtio 1.2, 4.2.2) would ignore
 * the interrupt and wait for ever.
 *
 * The guest may read InterruptStatus from shared memory, without an exit, so the device cannot tell
 * which interrupt an acknowledgement is for. An acknowledgement that cleared the used-ring bit
 * could clear it for a later interrupt that the driver has not taken yet. The bit therefore stays
 * set from the first interrupt until the device is reset. A driver then checks its rings at each
 * interrupt, and must tolerate interrupts without new used elements anyway (2.7.7.2). The
 * configuration bit is cleared when it is acknowledged.
 */
#ifndef DATAPLANE_IRQLINE_H
#define DATAPLANE_IRQLINE_H

#include <stdint.h>

#define IRQLINE_USED_RING 1u /* InterruptStatus bit 0 */
#define IRQLINE_CONFIG	  2u /* InterruptStatus bit 1 */

struct irqline {
	/* InterruptStatus, atomic; the memory belongs to the device. NULL: the transport has none,
	 * and the line tells the driver of used elements only. */
	uint32_t *status;
	int fd; /* irqfd, which belongs to the device */
};

/* Sets bits of InterruptStatus and sends an interrupt. Any thread. */
void irqline_raise(struct irqline *line, uint32_t bits);

/* Handles a write to InterruptACK. Any thread, usually a vCPU; takes no lock. */
void irqline_acknowledge(struct irqline *line, uint32_t bits);

/* Clears InterruptStatus on a device reset. Any thread, while no other thread raises interrupts. */
void irqline_clear(struct irqline *line);

#endif
