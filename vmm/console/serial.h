/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial: a 16550A as the guest sees it, and two byte queues as the console sees it.
 *
 * vCPU threads call the register functions through the bus, the main thread calls the others; one
 * mutex inside covers both and is never held across a system call other than the write to an
 * eventfd. A guest can neither block nor grow anything: what it sends beyond SERIAL_TX_SIZE unread
 * bytes is dropped and counted.
 *
 * Received bytes are handed to the guest only while something in it listens, the way a sender waits
 * for RTS: drivers empty the FIFO when they open the port, and input piped in before that would be
 * lost. Outside of loopback there are two kinds of listeners:
 * - a driver that gets interrupts: the receive interrupt is enabled (IER.RDI), and MCR.OUT2 lets
 *   interrupts through. OUT2 matters because Linux, when it looks for the port, sets every IER bit
 *   for a moment; that must not pass for a driver that listens.
 * - a driver that polls: it has read LSR SERIAL_POLLS times with no write to the port in between. A
 *   driver that only sends reads LSR, too, but writes a byte after a read or two, because the
 *   transmitter is always empty. Such a listener stays one, whatever it sends, until the next write
 *   to another register than THR, with which a driver sets up the port.
 */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"

#define SERIAL_TX_SIZE	(64u << 10)
#define SERIAL_TX_BATCH 4096u
#define SERIAL_REGS	8

struct serial;

extern const struct bus_ops serial_bus_ops; /* `dev` is the struct serial */

/*
 * irq_fd: an eventfd wired to the guest's (edge-triggered) interrupt; written once whenever the
 * reasons to interrupt change and one is left, not per byte.
 * wake_fd: an eventfd the main thread waits on; written when output appears in the empty queue, when
 * it has grown to SERIAL_TX_BATCH bytes, and when the guest can receive again after serial_rx_room
 * returned 0 or serial_receive took less than it was offered.
 * Both are the caller's and must outlive the port. -ENOMEM.
 */
int serial_create(struct serial **serial, int irq_fd, int wake_fd);
void serial_destroy(struct serial *serial);

/* How many bytes serial_receive will take now. */
size_t serial_rx_room(struct serial *serial);
/* Hand bytes to the guest; returns how many were taken. */
size_t serial_receive(struct serial *serial, const uint8_t *data, size_t len);

/* How many bytes of output wait. */
size_t serial_tx_pending(struct serial *serial);
/* Take up to max bytes of output. */
size_t serial_transmitted(struct serial *serial, uint8_t *data, size_t max);
/*
 * Bytes of output dropped since the last call. Once the queue has overflowed, everything is dropped
 * until this is called: call it when serial_transmitted has returned 0, and what is missing is one
 * gap, exactly there, rather than many small ones.
 */
uint64_t serial_dropped(struct serial *serial);

#endif
