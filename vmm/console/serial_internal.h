/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial_internal: 16550A state, shared by its registers and its queues.
 *
 * All functions are called with the port's lock held.
 */
#ifndef VMM_CONSOLE_SERIAL_INTERNAL_H
#define VMM_CONSOLE_SERIAL_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/console/serial.h"

#define SERIAL_FIFO  16
#define SERIAL_POLLS 16 /* see serial.h; a driver that sends reads LSR once or twice per byte */

/* Interrupt sources of the 16550A, as bits. */
enum {
	WHY_LINE = 1 << 0,	 /* receiver line status: overrun */
	WHY_RX = 1 << 1,	 /* receive FIFO at its trigger level */
	WHY_RX_TIMEOUT = 1 << 2, /* receive FIFO below it, no more data */
	WHY_TX = 1 << 3,
	WHY_MODEM = 1 << 4,
};

struct serial {
	pthread_mutex_t lock;
	int irq_fd;
	int wake_fd;

	uint8_t ier;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t dll;
	uint8_t dlm;
	uint8_t msr_delta; /* modem lines that changed since the guest read MSR */
	bool fifo;
	bool overrun;	  /* occurs in loopback only: the console asks for room first */
	bool tx_empty;	  /* "transmitter empty" event that IIR has not reported yet */
	unsigned int why; /* pending sources after the last register access or received byte */

	unsigned int polls; /* reads of LSR since the last write, at most SERIAL_POLLS */
	uint8_t trigger;
	uint8_t rx[SERIAL_FIFO];
	unsigned int rx_head;
	unsigned int rx_count;
	bool rx_wanted; /* the console found no room: signal wake_fd when there is some */

	size_t tx_head;
	size_t tx_count;
	uint64_t tx_dropped;
	struct last_line last_line;
	uint8_t tx[SERIAL_TX_SIZE];
};

/* Append a byte to the receive FIFO; beyond its capacity, the byte is lost and counts as an
 * overrun. */
void serial_rx_push(struct serial *s, uint8_t byte);
/* Take a byte from the receive FIFO; 0 when it is empty. */
uint8_t serial_rx_pop(struct serial *s);
/* Append a byte to the output queue, or drop it when the queue has overflowed. */
void serial_tx_push(struct serial *s, uint8_t byte);

/* Register accesses by the guest (serial_regs.c); `reg` is the offset of the register. */
uint8_t serial_reg_read(struct serial *s, uint64_t reg);
void serial_reg_write(struct serial *s, uint64_t reg, uint8_t value);
/* Return the pending interrupt sources that are enabled, a set of WHY_* bits. */
unsigned int serial_reasons(const struct serial *s);

#endif
