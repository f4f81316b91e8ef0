/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/console/serial_internal.h"

#define DIVISOR_DEFAULT 1 /* 115200 baud; with 0, drivers that compute the speed divide by zero */

static unsigned int rx_capacity(const struct serial *s)
{
	return s->fifo ? SERIAL_FIFO : 1;
}

static unsigned int rx_room(const struct serial *s)
{
	bool by_interrupt = (s->ier & UART_IER_RDI) && (s->mcr & UART_MCR_OUT2);
	bool listens = (by_interrupt || s->polls == SERIAL_POLLS) && !(s->mcr & UART_MCR_LOOP);

	return listens && s->rx_count < rx_capacity(s) ? rx_capacity(s) - s->rx_count : 0;
}

void serial_rx_push(struct serial *s, uint8_t byte)
{
	if (s->rx_count >= rx_capacity(s)) {
		s->overrun = true;
		return;
	}
	s->rx[(s->rx_head + s->rx_count++) % SERIAL_FIFO] = byte;
}

uint8_t serial_rx_pop(struct serial *s)
{
	uint8_t byte;

	if (!s->rx_count)
		return 0;
	byte = s->rx[s->rx_head];
	s->rx_head = (s->rx_head + 1) % SERIAL_FIFO;
	s->rx_count--;
	return byte;
}

void serial_tx_push(struct serial *s, uint8_t byte)
{
	last_line_add(&s->last_line, byte);
	if (s->tx_dropped || s->tx_count == SERIAL_TX_SIZE) {
		s->tx_dropped++;
		return;
	}
	s->tx[(s->tx_head + s->tx_count++) % SERIAL_TX_SIZE] = byte;
	if (s->tx_count == 1 || s->tx_count == SERIAL_TX_BATCH)
		eventfd_signal(s->wake_fd);
}

/*
 * Signal the guest's interrupt and the console's eventfd after a change of the port's state.
 *
 * The chip's INTR line is a level, the OR of all sources, whereas the guest's interrupt is
 * edge-triggered. On real hardware a second source that becomes pending while the first keeps the
 * line high makes no edge, and a driver that serves one source per interrupt hangs. Here each
 * change of the pending sources makes an edge unless none is left: a new source does, and so does
 * one that goes away while another stays. No interrupt is lost for such a driver; a driver that
 * loops until IIR reports "none" gets one spurious interrupt when receive and transmit coincide. An
 * access that leaves the pending sources unchanged costs nothing: of a burst into THR only the
 * first byte interrupts.
 */
static void settle(struct serial *s)
{
	unsigned int why = serial_reasons(s);

	if (why && why != s->why)
		eventfd_signal(s->irq_fd);
	s->why = why;

	/* The console is woken when half of the FIFO is free, not for each byte that the guest
	 * reads. */
	if (s->rx_wanted && rx_room(s) >= (rx_capacity(s) + 1) / 2) {
		s->rx_wanted = false;
		eventfd_signal(s->wake_fd);
	}
}

static void serial_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	struct serial *s = dev;

	if (len != 1) {
		memset(data, 0, len);
		return;
	}
	pthread_mutex_lock(&s->lock);
	data[0] = serial_reg_read(s, offset);
	settle(s);
	pthread_mutex_unlock(&s->lock);
}

static void serial_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	struct serial *s = dev;

	if (len != 1)
		return;
	pthread_mutex_lock(&s->lock);
	serial_reg_write(s, offset, data[0]);
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

void serial_save(struct serial *s, struct serial_state *state)
{
	_Static_assert(sizeof(state->rx) == SERIAL_FIFO, "FIFO");
	pthread_mutex_lock(&s->lock);
	*state = (struct serial_state){
		.ier = s->ier,
		.lcr = s->lcr,
		.mcr = s->mcr,
		.scr = s->scr,
		.dll = s->dll,
		.dlm = s->dlm,
		.msr_delta = s->msr_delta,
		.fifo = s->fifo,
		.overrun = s->overrun,
		.tx_empty = s->tx_empty,
		.trigger = s->trigger,
		.polls = (uint8_t)s->polls,
		.rx_count = (uint8_t)s->rx_count,
		.line_len = s->last_line.len,
		.escape = s->last_line.escape,
		.returned = s->last_line.returned,
		.panicked = s->last_line.panicked,
		.rootless = s->last_line.rootless,
	};
	memcpy(state->line, s->last_line.now, LAST_LINE_MAX);
	memcpy(state->last_line, s->last_line.last, LAST_LINE_MAX);
	for (unsigned int i = 0; i < s->rx_count; i++)
		state->rx[i] = s->rx[(s->rx_head + i) % SERIAL_FIFO];
	pthread_mutex_unlock(&s->lock);
}

int serial_restore(struct serial *s, const struct serial_state *state)
{
	if (state->rx_count > SERIAL_FIFO || state->polls > SERIAL_POLLS ||
	    state->line_len >= LAST_LINE_MAX || state->last_line[LAST_LINE_MAX - 1])
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	s->ier = state->ier;
	s->lcr = state->lcr;
	s->mcr = state->mcr;
	s->scr = state->scr;
	s->dll = state->dll;
	s->dlm = state->dlm;
	s->msr_delta = state->msr_delta;
	s->fifo = state->fifo != 0;
	s->overrun = state->overrun != 0;
	s->tx_empty = state->tx_empty != 0;
	s->trigger = state->trigger;
	s->polls = state->polls;
	s->rx_count = state->rx_count;
	memcpy(s->rx, state->rx, sizeof(s->rx));
	s->last_line = (struct last_line){
		.len = state->line_len,
		.escape = state->escape,
		.returned = state->returned != 0,
		.panicked = state->panicked != 0,
		.rootless = state->rootless != 0,
	};
	memcpy(s->last_line.now, state->line, LAST_LINE_MAX);
	memcpy(s->last_line.last, state->last_line, LAST_LINE_MAX);
	settle(s);
	pthread_mutex_unlock(&s->lock);
	return 0;
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
		serial_rx_push(serial, data[i]);
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

bool serial_panicked(struct serial *serial)
{
	bool panicked;

	pthread_mutex_lock(&serial->lock);
	panicked = serial->last_line.panicked;
	pthread_mutex_unlock(&serial->lock);
	return panicked;
}

struct last_line *serial_last_line(struct serial *serial)
{
	return &serial->last_line;
}
