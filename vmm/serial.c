/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIFO_SIZE	16
#define IER_BITS	0x0f
#define MCR_BITS	0x1f
#define MSR_LINES	(UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define LSR_IDLE	(UART_LSR_THRE | UART_LSR_TEMT)
#define IIR_FIFO	0xc0
#define IIR_RX_TIMEOUT	0x0c
#define DIVISOR_DEFAULT 1 /* 115200 baud; 0 makes drivers that ask for the speed divide by it */

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

	uint8_t trigger;
	uint8_t rx[FIFO_SIZE];
	unsigned int rx_head;
	unsigned int rx_count;
	bool rx_wanted; /* the console had no room; tell it when there is some */

	size_t tx_head;
	size_t tx_count;
	uint64_t tx_dropped;
	uint8_t tx[SERIAL_TX_SIZE];
};

/* Fails only when the counter is full, and then there is nothing new to tell. */
static void signal_eventfd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static unsigned int rx_capacity(const struct serial *s)
{
	return s->fifo ? FIFO_SIZE : 1;
}

static unsigned int rx_room(const struct serial *s)
{
	bool ready =
		(s->ier & UART_IER_RDI) && (s->mcr & UART_MCR_OUT2) && !(s->mcr & UART_MCR_LOOP);

	return ready && s->rx_count < rx_capacity(s) ? rx_capacity(s) - s->rx_count : 0;
}

static void rx_push(struct serial *s, uint8_t byte)
{
	if (s->rx_count >= rx_capacity(s)) {
		s->overrun = true;
		return;
	}
	s->rx[(s->rx_head + s->rx_count++) % FIFO_SIZE] = byte;
}

static uint8_t rx_pop(struct serial *s)
{
	uint8_t byte;

	if (!s->rx_count)
		return 0;
	byte = s->rx[s->rx_head];
	s->rx_head = (s->rx_head + 1) % FIFO_SIZE;
	s->rx_count--;
	return byte;
}

static void tx_push(struct serial *s, uint8_t byte)
{
	if (s->tx_dropped || s->tx_count == SERIAL_TX_SIZE) {
		s->tx_dropped++;
		return;
	}
	s->tx[(s->tx_head + s->tx_count++) % SERIAL_TX_SIZE] = byte;
	if (s->tx_count == 1 || s->tx_count == SERIAL_TX_BATCH)
		signal_eventfd(s->wake_fd);
}

static unsigned int reasons(const struct serial *s)
{
	unsigned int why = 0;

	if ((s->ier & UART_IER_RLSI) && s->overrun)
		why |= WHY_LINE;
	if ((s->ier & UART_IER_RDI) && s->rx_count)
		why |= s->rx_count >= s->trigger ? WHY_RX : WHY_RX_TIMEOUT;
	if ((s->ier & UART_IER_THRI) && s->tx_empty)
		why |= WHY_TX;
	if ((s->ier & UART_IER_MSI) && s->msr_delta)
		why |= WHY_MODEM;
	return why;
}

/*
 * After everything that may have changed the port's state: tell the guest and the console.
 *
 * The chip's INTR line is a level, the OR of all reasons, and the interrupt is edge-triggered. On
 * real hardware a second reason that appears while the first keeps the line high makes no edge, and
 * a driver that serves one reason per interrupt hangs. Here each change of the reasons that leaves
 * one makes an edge: a new reason, and also one that went away while another stays. Nothing is lost
 * for the simple driver; one that loops until IIR says "none" pays one empty interrupt when receive
 * and transmit meet. What does not change the reasons costs nothing: of a burst into THR only the
 * first byte interrupts.
 */
static void settle(struct serial *s)
{
	unsigned int why = reasons(s);

	if (why && why != s->why)
		signal_eventfd(s->irq_fd);
	s->why = why;

	/* At half, so that console and guest do not take turns over single bytes. */
	if (s->rx_wanted && rx_room(s) >= (rx_capacity(s) + 1) / 2) {
		s->rx_wanted = false;
		signal_eventfd(s->wake_fd);
	}
}

/* In loopback the modem outputs come back as inputs; otherwise a willing modem is connected. */
static uint8_t modem_lines(uint8_t mcr)
{
	if (!(mcr & UART_MCR_LOOP))
		return MSR_LINES;
	return (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static void write_mcr(struct serial *s, uint8_t value)
{
	uint8_t before = modem_lines(s->mcr);
	uint8_t after = modem_lines(value);
	uint8_t changed = before ^ after;

	if (after & UART_MSR_RI) /* only the end of a ring is an event */
		changed &= ~UART_MSR_RI;
	s->msr_delta |= changed >> 4;
	s->mcr = value & MCR_BITS;
}

static void write_fcr(struct serial *s, uint8_t value)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };
	bool enable = value & UART_FCR_ENABLE_FIFO;

	/* The chip forgets received bytes when the FIFO is switched either way. Linux switches it on
	 * after it has enabled the receive interrupt, so here switching on keeps them. */
	if (enable ? value & UART_FCR_CLEAR_RCVR : s->fifo)
		s->rx_count = 0;
	s->fifo = enable;
	s->trigger = enable ? triggers[value >> 6] : 1;
}

/* The transmitter is empty again before the guest can look. */
static void write_thr(struct serial *s, uint8_t value)
{
	if (s->mcr & UART_MCR_LOOP)
		rx_push(s, value);
	else
		tx_push(s, value);
	s->tx_empty = true;
}

static void write_ier(struct serial *s, uint8_t value)
{
	/* Enabling the interrupt of an empty transmitter interrupts; drivers start output so. */
	if (value & ~s->ier & UART_IER_THRI)
		s->tx_empty = true;
	s->ier = value & IER_BITS;
}

static void write_reg(struct serial *s, uint64_t reg, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			s->dll = value;
		else
			write_thr(s, value);
		break;
	case UART_IER:
		if (dlab)
			s->dlm = value;
		else
			write_ier(s, value);
		break;
	case UART_FCR:
		write_fcr(s, value);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		write_mcr(s, value);
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

/* The most urgent reason; telling "transmitter empty" takes it back. */
static uint8_t read_iir(struct serial *s)
{
	unsigned int why = reasons(s);
	uint8_t id = UART_IIR_NO_INT;

	if (why & WHY_LINE) {
		id = UART_IIR_RLSI;
	} else if (why & WHY_RX) {
		id = UART_IIR_RDI;
	} else if (why & WHY_RX_TIMEOUT) {
		id = IIR_RX_TIMEOUT;
	} else if (why & WHY_TX) {
		id = UART_IIR_THRI;
		s->tx_empty = false;
	} else if (why & WHY_MODEM) {
		id = UART_IIR_MSI;
	}
	return id | (s->fifo ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t lsr = LSR_IDLE;

	if (s->rx_count)
		lsr |= UART_LSR_DR;
	if (s->overrun)
		lsr |= UART_LSR_OE;
	s->overrun = false;
	return lsr;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t msr = modem_lines(s->mcr) | s->msr_delta;

	s->msr_delta = 0;
	return msr;
}

static uint8_t read_reg(struct serial *s, uint64_t reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return dlab ? s->dll : rx_pop(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return read_lsr(s);
	case UART_MSR:
		return read_msr(s);
	case UART_SCR:
		return s->scr;
	}
	return 0;
}

static void serial_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	struct serial *s = dev;

	if (len != 1) {
		memset(data, 0, len);
		return;
	}
	pthread_mutex_lock(&s->lock);
	data[0] = read_reg(s, offset);
	settle(s);
	pthread_mutex_unlock(&s->lock);
}

static void serial_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	struct serial *s = dev;

	if (len != 1)
		return;
	pthread_mutex_lock(&s->lock);
	write_reg(s, offset, data[0]);
	settle(s);
	pthread_mutex_unlock(&s->lock);
}

const struct bus_ops serial_bus_ops = {
	.name = "serial",
	.read = serial_read,
	.write = serial_write,
};

int serial_create(struct serial **serial, int irq_fd, int wake_fd)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->irq_fd = irq_fd;
	s->wake_fd = wake_fd;
	s->dll = DIVISOR_DEFAULT;
	s->trigger = 1;
	*serial = s;
	return 0;
}

void serial_destroy(struct serial *serial)
{
	if (!serial)
		return;
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}

size_t serial_rx_room(struct serial *serial)
{
	size_t room;

	pthread_mutex_lock(&serial->lock);
	room = rx_room(serial);
	serial->rx_wanted = !room;
	pthread_mutex_unlock(&serial->lock);
	return room;
}

size_t serial_receive(struct serial *serial, const uint8_t *data, size_t len)
{
	size_t taken;

	pthread_mutex_lock(&serial->lock);
	taken = rx_room(serial);
	if (taken > len)
		taken = len;
	for (size_t i = 0; i < taken; i++)
		rx_push(serial, data[i]);
	serial->rx_wanted = taken < len;
	settle(serial);
	pthread_mutex_unlock(&serial->lock);
	return taken;
}

size_t serial_tx_pending(struct serial *serial)
{
	size_t pending;

	pthread_mutex_lock(&serial->lock);
	pending = serial->tx_count;
	pthread_mutex_unlock(&serial->lock);
	return pending;
}

size_t serial_transmitted(struct serial *serial, uint8_t *data, size_t max)
{
	size_t len, first;

	pthread_mutex_lock(&serial->lock);
	len = serial->tx_count < max ? serial->tx_count : max;
	first = SERIAL_TX_SIZE - serial->tx_head;
	if (first > len)
		first = len;
	memcpy(data, serial->tx + serial->tx_head, first);
	memcpy(data + first, serial->tx, len - first);
	serial->tx_head = (serial->tx_head + len) % SERIAL_TX_SIZE;
	serial->tx_count -= len;
	pthread_mutex_unlock(&serial->lock);
	return len;
}

uint64_t serial_dropped(struct serial *serial)
{
	uint64_t dropped;

	pthread_mutex_lock(&serial->lock);
	dropped = serial->tx_dropped;
	serial->tx_dropped = 0;
	pthread_mutex_unlock(&serial->lock);
	return dropped;
}
