/* SPDX-License-Identifier: BSD-3-Clause */
/* Register file of the 16550A UART. */
#include <linux/serial_reg.h>

#include "vmm/console/serial_internal.h"

#define IER_BITS       0x0f
#define MCR_BITS       0x1f
#define MSR_LINES      (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define LSR_IDLE       (UART_LSR_THRE | UART_LSR_TEMT)
#define IIR_FIFO       0xc0
#define IIR_RX_TIMEOUT 0x0c

unsigned int serial_reasons(const struct serial *s)
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

/* Return the modem status lines (MSR bits 4-7): in loopback they follow the modem outputs;
 * otherwise a modem is connected and ready. */
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

	if (after & UART_MSR_RI) /* MSR reports only the trailing edge of RI */
		changed &= ~UART_MSR_RI;
	s->msr_delta |= changed >> 4;
	s->mcr = value & MCR_BITS;
}

static void write_fcr(struct serial *s, uint8_t value)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };
	bool enable = value & UART_FCR_ENABLE_FIFO;

	/*
	 * The chip discards received bytes when the FIFO is enabled or disabled. Linux enables the
	 * FIFO after the receive interrupt, when bytes may have arrived already; therefore this
	 * model keeps them on enabling, unless the guest asks to clear them.
	 */
	if (enable ? value & UART_FCR_CLEAR_RCVR : s->fifo)
		s->rx_count = 0;
	s->fifo = enable;
	s->trigger = enable ? triggers[value >> 6] : 1;
}

/* Every byte leaves the transmitter at once, so it is empty again before the guest can look. */
static void write_thr(struct serial *s, uint8_t value)
{
	if (s->mcr & UART_MCR_LOOP)
		serial_rx_push(s, value);
	else
		serial_tx_push(s, value);
	s->tx_empty = true;
}

static void write_ier(struct serial *s, uint8_t value)
{
	/* Enabling the transmitter interrupt while the transmitter is empty raises it; drivers use
	 * that to start output. */
	if (value & ~s->ier & UART_IER_THRI)
		s->tx_empty = true;
	s->ier = value & IER_BITS;
}

void serial_reg_write(struct serial *s, uint64_t reg, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	/*
	 * A write restarts the count of LSR reads, except a write to THR by a driver that is
	 * recognised as polling: only its writes to other registers mean that a driver sets up the
	 * port (serial.h).
	 */
	if (reg != UART_TX || dlab || s->polls < SERIAL_POLLS)
		s->polls = 0;
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

/* Return the pending source of the highest priority. Reporting "transmitter empty" clears it. */
static uint8_t read_iir(struct serial *s)
{
	unsigned int why = serial_reasons(s);
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

	if (s->polls < SERIAL_POLLS)
		s->polls++;
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

uint8_t serial_reg_read(struct serial *s, uint64_t reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return dlab ? s->dll : serial_rx_pop(s);
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
