/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serial_parts: the state of a serial port, and what its register file and its byte queues share.
 * All of it is called with the port's lock held.
 */
#ifndef VMM_SERIAL_PARTS_H
#define VMM_SERIAL_PARTS_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/console/serial.h"

#define SERIAL_FIFO  16
#define SERIAL_POLLS 16 /* see serial.h; a transmitter reads LSR once or twice per byte */

/* Why the guest is to be interrupted. */
enum {
	WHY_LINE = 1 << 0,
	WHY_RX = 1 << 1,	 /* the FIFO has reached its trigger level */
	WHY_RX_TIMEOUT = 1 << 2, /* it has not, and nothing more comes for now */
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
	uint8_t msr_delta; /* modem lines changed since the guest read MSR */
	bool fifo;
	bool overrun;	  /* in loopback only: the console asks for room first */
	bool tx_empty;	  /* the "transmitter empty" event, not yet told by IIR */
	unsigned int why; /* the reasons when the guest was last interrupted or looked */

	unsigned int polls; /* reads of LSR since the last write, up to SERIAL_POLLS */
	uint8_t trigger;
	uint8_t rx[SERIAL_FIFO];
	unsigned int rx_head;
	unsigned int rx_count;
	bool rx_wanted; /* the console had no room; tell it when there is some */

	size_t tx_head;
	size_t tx_count;
	uint64_t tx_dropped;
	uint8_t tx[SERIAL_TX_SIZE];
};

/* serial.c: the byte queues. A byte received beyond the FIFO's capacity is an overrun; 0 is what an
 * empty FIFO returns. */
void serial_rx_push(struct serial *s, uint8_t byte);
uint8_t serial_rx_pop(struct serial *s);
void serial_tx_push(struct serial *s, uint8_t byte);

/* serial_regs.c: the register file. */
uint8_t serial_reg_read(struct serial *s, uint64_t reg);
void serial_reg_write(struct serial *s, uint64_t reg, uint8_t value);
/* The reasons to interrupt the guest now. */
unsigned int serial_reasons(const struct serial *s);

#endif
