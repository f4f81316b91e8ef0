/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial: model of a 16550A UART, with byte queues towards the console.
 *
 * The vCPU threads access the registers through the bus; the main thread calls the functions below.
 * One mutex inside the port protects both sides, and is never held across a system call except the
 * write to an eventfd. A guest can neither block a thread nor make the VMM allocate memory: when
 * SERIAL_TX_SIZE bytes are unread, further bytes are dropped and counted.
 *
 * The port passes received bytes to the guest only while software there is ready to receive,
 * similar to a sender that waits for RTS: drivers empty the FIFO when they open the port, and input
 * piped in before that would be lost. Outside of loopback the port recognises two kinds of
 * receivers:
 * - A driver that uses interrupts: the receive interrupt is enabled (IER.RDI), and MCR.OUT2 lets
 *   interrupts through. OUT2 matters because Linux briefly sets every IER bit when it probes the
 *   port; the port must not take that for a driver that is ready.
 * - A driver that polls: it has read LSR SERIAL_POLLS times without a write to the port in between.
 *   A driver that only sends reads LSR, too, but writes a byte after one or two reads, because the
 *   transmitter is always empty. A polling driver stays recognised, whatever it sends, until the
 *   next write to a register other than THR, because such a write means that a driver sets up the
 *   port.
 */
#ifndef VMM_CONSOLE_SERIAL_H
#define VMM_CONSOLE_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/console/last_line.h"

#define SERIAL_TX_SIZE	(64u << 10)
#define SERIAL_TX_BATCH 4096u
#define SERIAL_REGS	8

struct serial;

extern const struct bus_ops serial_bus_ops; /* `dev` is a struct serial */

/*
 * Create a serial port.
 *
 * irq_fd is an eventfd wired to the guest's (edge-triggered) interrupt. The port writes it once
 * whenever the set of pending interrupt sources changes and is not empty, not once per byte.
 *
 * wake_fd is an eventfd that the main thread polls. The port writes it when output appears in the
 * empty queue, when the queue has grown to SERIAL_TX_BATCH bytes, and when the guest can receive
 * again after serial_rx_room returned 0 or serial_receive took fewer bytes than it was offered.
 *
 * Both remain the caller's and must outlive the port. Returns 0 or -ENOMEM.
 */
int serial_create(struct serial **serial, int irq_fd, int wake_fd);
void serial_destroy(struct serial *serial);

/* Return how many bytes serial_receive would take now. */
size_t serial_rx_room(struct serial *serial);
/* Pass bytes to the guest; returns how many were taken. */
size_t serial_receive(struct serial *serial, const uint8_t *data, size_t len);

/* Return the number of output bytes in the queue. */
size_t serial_tx_pending(struct serial *serial);
/* Take up to `max` bytes of output from the queue; returns how many. */
size_t serial_transmitted(struct serial *serial, uint8_t *data, size_t max);
/*
 * Return the number of output bytes dropped since the last call. Once the queue has overflowed, the
 * port drops all output until this function is called. A caller that calls it when
 * serial_transmitted has returned 0 therefore sees the loss as a single gap at exactly that place,
 * not as many small ones.
 */
uint64_t serial_dropped(struct serial *serial);

/* State of the port in a snapshot, stored as it is. Output in the queue is not a part of it, because
 * the console of the saved VM shows it. */
struct serial_state {
	uint8_t ier, lcr, mcr, scr, dll, dlm, msr_delta;
	uint8_t fifo, overrun, tx_empty, trigger, polls;
	uint8_t rx_count;
	uint8_t rx[16]; /* received bytes, oldest first */
	/* The console's last line (struct last_line). */
	uint8_t line_len, escape, returned, panicked, rootless;
	uint8_t zero[6];
	char line[LAST_LINE_MAX], last_line[LAST_LINE_MAX];
};

/* Saves the state, while no vCPU runs. Any thread. */
void serial_save(struct serial *serial, struct serial_state *state);

/* Restores the state, any bytes, of a port that was just created, and raises its interrupt again if
 * one is pending. Returns 0, or -EINVAL. */
int serial_restore(struct serial *serial, const struct serial_state *state);

/* Returns true if the guest's kernel has written that it panicked. */
bool serial_panicked(struct serial *serial);

/* Returns the last line of output, which is stored in the port and includes output that the port
 * has dropped. Called only while no vCPU runs. */
struct last_line *serial_last_line(struct serial *serial);

#endif
