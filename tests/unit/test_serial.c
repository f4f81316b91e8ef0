/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/serial.h"

#define FIFO 16
#define IDLE (UART_LSR_THRE | UART_LSR_TEMT)
#define FE   0xc0 /* IIR: the FIFO is on */

static struct serial *port;
static int irq_fd, wake_fd;

static void setup(void)
{
	irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_ge(irq_fd, 0);
	ck_assert_int_ge(wake_fd, 0);
	ck_assert_int_eq(serial_create(&port, irq_fd, wake_fd), 0);
}

static void teardown(void)
{
	serial_destroy(port);
	close(irq_fd);
	close(wake_fd);
}

static uint8_t in(unsigned int reg)
{
	uint8_t value;

	serial_bus_ops.read(port, reg, &value, 1);
	return value;
}

static void out(unsigned int reg, uint8_t value)
{
	serial_bus_ops.write(port, reg, &value, 1);
}

/* How often an eventfd was written since the last look. */
static uint64_t taken(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static uint64_t irqs(void)
{
	return taken(irq_fd);
}

static uint64_t wakes(void)
{
	return taken(wake_fd);
}

/* A driver that has opened the port: FIFO on, trigger level 8, interrupts let through. */
static void open_port(uint8_t ier)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	out(UART_IER, ier);
	irqs();
	wakes();
}

static void expect_output(const char *text)
{
	uint8_t data[64];
	size_t len = serial_transmitted(port, data, sizeof(data));

	ck_assert_uint_eq(len, strlen(text));
	ck_assert_mem_eq(data, text, len);
}

/* What Linux's 8250 driver asks of a port before it calls it a 16550A. */
START_TEST(linux_detects_a_16550a)
{
	/* Interrupt enable bits stick, all four and only these. */
	out(UART_IER, 0);
	ck_assert_uint_eq(in(UART_IER), 0);
	out(UART_IER, 0xff);
	ck_assert_uint_eq(in(UART_IER), 0x0f);
	out(UART_IER, 0);

	/* Loopback: OUT2 and RTS come back as DCD and CTS. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	ck_assert_uint_eq(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);

	/* No enhanced features register behind LCR 0xbf, and a FIFO of the 16550A's kind. */
	out(UART_LCR, 0xbf);
	out(UART_FCR, 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	ck_assert_uint_eq(in(UART_IIR) >> 6, 3);
	out(UART_LCR, UART_LCR_DLAB);
	ck_assert_uint_ne(in(UART_IIR), 0);
	out(UART_LCR, 0xbf);
	ck_assert_uint_ne(in(UART_IIR), 0);

	/* Not a 16750: the bit of its 64 byte FIFO does not show, with DLAB or without. */
	for (int lcr = 0; lcr <= UART_LCR_DLAB; lcr += UART_LCR_DLAB) {
		out(UART_LCR, lcr);
		out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
		ck_assert_uint_eq(in(UART_IIR) >> 5, 6);
	}
	out(UART_LCR, 0);

	/* Without the FIFO a 16450; and a scratch register. */
	out(UART_FCR, 0);
	ck_assert_uint_eq(in(UART_IIR) >> 6, 0);
	out(UART_SCR, 0xa5);
	ck_assert_uint_eq(in(UART_SCR), 0xa5);
	out(UART_SCR, 0x5a);
	ck_assert_uint_eq(in(UART_SCR), 0x5a);
}
END_TEST

/* Linux tests twice whether enabling the transmit interrupt interrupts, and works around a port
 * that fails with a slow timer. */
START_TEST(linux_finds_no_transmit_bugs)
{
	for (int i = 0; i < 2; i++) {
		out(UART_IER, UART_IER_THRI);
		ck_assert_uint_eq(irqs(), 1);
		ck_assert_uint_eq(in(UART_LSR), IDLE);
		ck_assert_uint_eq(in(UART_IIR), UART_IIR_THRI);
		ck_assert_uint_eq(in(UART_IIR), UART_IIR_NO_INT);
		out(UART_IER, 0);
	}
	ck_assert_uint_eq(irqs(), 0);
}
END_TEST

START_TEST(burst_of_16_bytes_costs_one_interrupt_and_one_wake)
{
	open_port(UART_IER_THRI);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_THRI);
	for (int i = 0; i < 16; i++)
		out(UART_TX, 'a' + i);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(wakes(), 1);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_THRI);
	out(UART_TX, '!');
	ck_assert_uint_eq(irqs(), 1);
	expect_output("abcdefghijklmnop!");
}
END_TEST

START_TEST(disabled_interrupts_stay_silent)
{
	open_port(0);
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(in(UART_LSR), IDLE);
		out(UART_TX, 'x');
	}
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_NO_INT);
	ck_assert_uint_eq(irqs(), 0);
}
END_TEST

/* A console message in the middle of a transfer: Linux turns IER off, prints, turns it on. */
START_TEST(reenabled_transmit_interrupt_is_not_lost)
{
	open_port(UART_IER_THRI | UART_IER_RDI);
	in(UART_IIR);
	out(UART_IER, 0);
	out(UART_TX, 'x');
	ck_assert_uint_eq(irqs(), 0);
	out(UART_IER, UART_IER_THRI | UART_IER_RDI);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_THRI);
}
END_TEST

START_TEST(input_waits_until_the_driver_listens)
{
	const uint8_t byte = 'k';

	ck_assert_uint_eq(serial_rx_room(port), 0);
	ck_assert_uint_eq(serial_receive(port, &byte, 1), 0);
	ck_assert_uint_eq(in(UART_LSR), IDLE);

	/* The probe sets every enable bit for a moment; that is not listening. */
	out(UART_IER, 0x0f);
	ck_assert_uint_eq(serial_rx_room(port), 0);
	out(UART_IER, 0);

	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_OUT2);
	ck_assert_uint_eq(serial_rx_room(port), 0);
	ck_assert_uint_eq(wakes(), 0);
	out(UART_IER, UART_IER_RDI);
	ck_assert_uint_eq(wakes(), 1);
	ck_assert_uint_eq(serial_rx_room(port), FIFO);

	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	ck_assert_uint_eq(serial_rx_room(port), 0);
	out(UART_MCR, UART_MCR_OUT2);
	ck_assert_uint_eq(wakes(), 1);
	ck_assert_uint_eq(serial_receive(port, &byte, 1), 1);
	ck_assert_uint_eq(in(UART_RX), 'k');
}
END_TEST

START_TEST(input_arrives_in_order_with_one_interrupt)
{
	static const char text[] = "0123456789abcdefghij";

	open_port(UART_IER_RDI);
	ck_assert_uint_eq(serial_receive(port, (const uint8_t *)text, 20), FIFO);
	ck_assert_uint_eq(serial_rx_room(port), 0);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_RDI);
	for (int i = 0; i < FIFO; i++) {
		ck_assert_uint_eq(in(UART_LSR), IDLE | UART_LSR_DR);
		ck_assert_uint_eq(in(UART_RX), text[i]);
	}
	ck_assert_uint_eq(in(UART_LSR), IDLE);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_NO_INT);
	ck_assert_uint_eq(in(UART_RX), 0);
	/* Again, across the end of the ring. */
	ck_assert_uint_eq(serial_receive(port, (const uint8_t *)text, 10), 10);
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(in(UART_RX), text[i]);
}
END_TEST

START_TEST(console_is_woken_once_when_half_the_fifo_is_free)
{
	uint8_t data[FIFO + 1] = { 0 };

	open_port(UART_IER_RDI);
	ck_assert_uint_eq(serial_receive(port, data, FIFO), FIFO);
	ck_assert_uint_eq(wakes(), 0);
	ck_assert_uint_eq(serial_rx_room(port), 0);
	for (int i = 0; i < FIFO / 2 - 1; i++)
		in(UART_RX);
	ck_assert_uint_eq(wakes(), 0);
	for (int i = 0; i < FIFO / 2 + 1; i++)
		in(UART_RX);
	ck_assert_uint_eq(wakes(), 1);
	/* A short serial_receive asks for the same. */
	ck_assert_uint_eq(serial_receive(port, data, FIFO + 1), FIFO);
	for (int i = 0; i < FIFO; i++)
		in(UART_RX);
	ck_assert_uint_eq(wakes(), 1);
	/* Who was not turned away is not woken. */
	ck_assert_uint_eq(serial_receive(port, data, FIFO), FIFO);
	for (int i = 0; i < FIFO; i++)
		in(UART_RX);
	ck_assert_uint_eq(wakes(), 0);
}
END_TEST

/* Below the trigger level it is the time-out that reports received bytes. */
START_TEST(trigger_level_decides_the_receive_reason)
{
	static const struct {
		uint8_t fcr;
		unsigned int level;
	} levels[] = {
		{ UART_FCR_R_TRIG_00, 1 },
		{ UART_FCR_R_TRIG_01, 4 },
		{ UART_FCR_R_TRIG_10, 8 },
		{ UART_FCR_R_TRIG_11, 14 },
	};
	const uint8_t data[FIFO] = { 0 };

	open_port(UART_IER_RDI);
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		unsigned int level = levels[i].level;

		out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | levels[i].fcr);
		ck_assert_uint_eq(serial_receive(port, data, level), level);
		ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_RDI);
		in(UART_RX);
		ck_assert_uint_eq(in(UART_IIR), FE | (level > 1 ? 0x0c : UART_IIR_NO_INT));
	}
}
END_TEST

/* A driver that serves one reason per interrupt: each one that is left interrupts again. */
START_TEST(reason_behind_another_interrupts_when_that_is_served)
{
	const uint8_t byte = 'k';

	open_port(UART_IER_RDI | UART_IER_THRI);
	out(UART_TX, 'x');
	ck_assert_uint_eq(serial_receive(port, &byte, 1), 1);
	ck_assert_uint_eq(irqs(), 1);

	/* Receive comes first, and telling it leaves "transmitter empty" as it was. */
	ck_assert_uint_eq(in(UART_IIR), FE | 0x0c);
	ck_assert_uint_eq(in(UART_IIR), FE | 0x0c);
	ck_assert_uint_eq(irqs(), 0);
	in(UART_RX);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_THRI);
	ck_assert_uint_eq(irqs(), 0);
}
END_TEST

START_TEST(without_fifo_each_byte_comes_alone_with_an_interrupt)
{
	const uint8_t data[2] = { '1', '2' };

	open_port(UART_IER_RDI);
	out(UART_FCR, 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(serial_rx_room(port), 1);
		ck_assert_uint_eq(serial_receive(port, data, 2), 1);
		ck_assert_uint_eq(irqs(), 1);
		ck_assert_uint_eq(in(UART_IIR), UART_IIR_RDI);
		ck_assert_uint_eq(in(UART_RX), '1');
		ck_assert_uint_eq(wakes(), 1);
	}
}
END_TEST

START_TEST(fifo_reset_forgets_input_and_keeps_output)
{
	const uint8_t data[4] = "abcd";

	open_port(UART_IER_RDI);
	out(UART_TX, 'x');
	serial_receive(port, data, 4);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	ck_assert_uint_eq(in(UART_LSR), IDLE);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_NO_INT);
	expect_output("x");

	/* Off: forgotten. On again, as Linux does with interrupts enabled: kept. */
	serial_receive(port, data, 4);
	out(UART_FCR, 0);
	ck_assert_uint_eq(in(UART_LSR), IDLE);
	ck_assert_uint_eq(serial_receive(port, data, 4), 1);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	ck_assert_uint_eq(in(UART_RX), 'a');
}
END_TEST

START_TEST(loopback_returns_bytes_and_overruns)
{
	open_port(UART_IER_RDI | UART_IER_RLSI);
	out(UART_MCR, UART_MCR_LOOP);
	for (int i = 0; i < FIFO; i++)
		out(UART_TX, 'a' + i);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_RDI);
	irqs();
	out(UART_TX, 'z');
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_RLSI);
	ck_assert_uint_eq(in(UART_LSR), IDLE | UART_LSR_DR | UART_LSR_OE);
	ck_assert_uint_eq(in(UART_LSR), IDLE | UART_LSR_DR);
	for (int i = 0; i < FIFO; i++)
		ck_assert_uint_eq(in(UART_RX), 'a' + i);
	ck_assert_uint_eq(in(UART_LSR), IDLE);
	expect_output("");
	ck_assert_uint_eq(wakes(), 0);
}
END_TEST

START_TEST(loopback_connects_each_modem_line)
{
	static const struct {
		uint8_t mcr;
		uint8_t msr;
	} lines[] = {
		{ UART_MCR_DTR, UART_MSR_DSR },
		{ UART_MCR_RTS, UART_MSR_CTS },
		{ UART_MCR_OUT1, UART_MSR_RI },
		{ UART_MCR_OUT2, UART_MSR_DCD },
	};

	ck_assert_uint_eq(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		out(UART_MCR, UART_MCR_LOOP | lines[i].mcr);
		ck_assert_uint_eq(in(UART_MSR)&0xf0, lines[i].msr);
		ck_assert_uint_eq(in(UART_MCR), UART_MCR_LOOP | lines[i].mcr);
	}
}
END_TEST

START_TEST(modem_line_changes_interrupt_until_read)
{
	out(UART_MCR, UART_MCR_LOOP);
	in(UART_MSR);
	out(UART_IER, UART_IER_MSI);
	ck_assert_uint_eq(irqs(), 0);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_MSI);
	ck_assert_uint_eq(in(UART_MSR), UART_MSR_CTS | UART_MSR_DCTS);
	ck_assert_uint_eq(in(UART_MSR), UART_MSR_CTS);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_NO_INT);
	/* Of a ring only the end counts. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_RTS | UART_MCR_OUT1);
	ck_assert_uint_eq(irqs(), 0);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_MSR), UART_MSR_CTS | UART_MSR_TERI);
}
END_TEST

START_TEST(divisor_latch_hides_data_and_interrupt_enable)
{
	open_port(UART_IER_RDI);
	out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	/* Who asks for the speed before setting it must not divide by zero. */
	ck_assert_uint_ne(in(UART_DLL) | in(UART_DLM), 0);
	out(UART_DLL, 0x0c);
	out(UART_DLM, 0x34);
	ck_assert_uint_eq(in(UART_DLL), 0x0c);
	ck_assert_uint_eq(in(UART_DLM), 0x34);
	ck_assert_uint_eq(in(UART_LCR), UART_LCR_DLAB | UART_LCR_WLEN8);
	out(UART_LCR, UART_LCR_WLEN8);
	ck_assert_uint_eq(in(UART_IER), UART_IER_RDI);
	expect_output("");
}
END_TEST

/* Fills the queue, then sends `extra` bytes more. */
static void flood(unsigned int extra)
{
	for (unsigned int i = 0; i < SERIAL_TX_SIZE + extra; i++)
		out(UART_TX, i % 251);
}

static void drain(unsigned int first)
{
	uint8_t data[1000];
	unsigned int at = 0;
	size_t len;

	while ((len = serial_transmitted(port, data, sizeof(data)))) {
		for (size_t i = 0; i < len; i++)
			ck_assert_uint_eq(data[i], (first + at++) % 251);
	}
	ck_assert_uint_eq(at, SERIAL_TX_SIZE - first);
}

START_TEST(unread_output_is_bounded_and_its_loss_counted)
{
	flood(1000);
	ck_assert_uint_eq(serial_tx_pending(port), SERIAL_TX_SIZE);
	drain(0);
	ck_assert_uint_eq(serial_dropped(port), 1000);
	ck_assert_uint_eq(serial_dropped(port), 0);
	out(UART_TX, 'y');
	expect_output("y");
	ck_assert_uint_eq(serial_dropped(port), 0);
}
END_TEST

/* The guest goes on while the queue is being emptied: what it says is part of the same gap. */
START_TEST(what_is_missing_is_one_gap)
{
	uint8_t data[100];

	flood(10);
	ck_assert_uint_eq(serial_transmitted(port, data, sizeof(data)), sizeof(data));
	out(UART_TX, 'x');
	drain(sizeof(data));
	out(UART_TX, 'x');
	ck_assert_uint_eq(serial_dropped(port), 12);
	out(UART_TX, 'y');
	expect_output("y");
}
END_TEST

START_TEST(output_wakes_when_it_appears_and_when_there_is_much)
{
	uint8_t data[SERIAL_TX_BATCH];

	/* So that a batch lies across the end of the ring. */
	for (int i = 0; i < 100; i++)
		out(UART_TX, 0);
	ck_assert_uint_eq(serial_transmitted(port, data, sizeof(data)), 100);
	wakes();
	for (unsigned int round = 0; round < 40; round++) {
		out(UART_TX, 0);
		ck_assert_uint_eq(wakes(), 1);
		for (unsigned int i = 1; i < SERIAL_TX_BATCH - 1; i++)
			out(UART_TX, i);
		ck_assert_uint_eq(wakes(), 0);
		out(UART_TX, 0);
		ck_assert_uint_eq(wakes(), 1);
		memset(data, 0, sizeof(data));
		ck_assert_uint_eq(serial_transmitted(port, data, sizeof(data)), sizeof(data));
		for (unsigned int i = 1; i < SERIAL_TX_BATCH - 1; i++)
			ck_assert_uint_eq(data[i], i & 0xff);
	}
	flood(1);
	ck_assert_uint_eq(wakes(), 2);
}
END_TEST

/* Row 40 of the hostile guest: any size at any offset. */
START_TEST(accesses_of_other_sizes_read_zero_and_change_nothing)
{
	static const uint8_t ff[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	static const uint8_t zero[8];
	const uint8_t byte = 'k';

	open_port(UART_IER_RDI);
	serial_receive(port, &byte, 1);
	for (unsigned int reg = 0; reg < SERIAL_REGS; reg++) {
		for (unsigned int len = 2; len <= 8; len++) {
			uint8_t data[8];

			memcpy(data, ff, sizeof(data));
			serial_bus_ops.read(port, reg, data, len);
			ck_assert_mem_eq(data, zero, len);
			ck_assert_mem_eq(data + len, ff, sizeof(data) - len);
			serial_bus_ops.write(port, reg, ff, len);
			serial_stub_bus_ops.read(NULL, reg, data, len);
			ck_assert_mem_eq(data, zero, len);
			serial_stub_bus_ops.write(NULL, reg, ff, len);
		}
	}
	ck_assert_uint_eq(in(UART_IER), UART_IER_RDI);
	ck_assert_uint_eq(in(UART_LCR), 0);
	ck_assert_uint_eq(in(UART_SCR), 0);
	ck_assert_uint_eq(in(UART_RX), 'k');
	expect_output("");
	/* An offset that the bus would not let through. */
	ck_assert_uint_eq(in(SERIAL_REGS), 0);
	out(SERIAL_REGS, 1);
}
END_TEST

START_TEST(stub_is_always_ready_to_print)
{
	uint8_t value = 'x';

	for (unsigned int reg = 0; reg < SERIAL_REGS; reg++)
		serial_stub_bus_ops.write(NULL, reg, &value, 1);
	for (unsigned int reg = 0; reg < SERIAL_REGS; reg++) {
		serial_stub_bus_ops.read(NULL, reg, &value, 1);
		ck_assert_uint_eq(value, reg == UART_LSR   ? IDLE
					 : reg == UART_IIR ? UART_IIR_NO_INT
							   : 0);
	}
}
END_TEST

#define ECHO_BYTES 20000

static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 20000) == 1 && taken(fd);
}

/* A guest that sends back what it gets, by interrupts alone. */
static void *echo_guest(void *arg)
{
	unsigned int echoed = 0;

	(void)arg;
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_RDI);
	while (echoed < ECHO_BYTES && wait_for(irq_fd)) {
		while ((in(UART_IIR)&0x0f) != UART_IIR_NO_INT) {
			for (; in(UART_LSR)&UART_LSR_DR; echoed++)
				out(UART_TX, in(UART_RX));
		}
	}
	return NULL;
}

/* No event is lost between the threads: each side sleeps until the other tells it. */
START_TEST(guest_and_console_threads_lose_nothing)
{
	unsigned int sent = 0, received = 0;
	pthread_t guest;

	ck_assert_int_eq(pthread_create(&guest, NULL, echo_guest, NULL), 0);
	while (received < ECHO_BYTES) {
		uint8_t data[64];
		size_t room = serial_rx_room(port), len;

		for (len = 0; len < room && len < sizeof(data) && sent + len < ECHO_BYTES; len++)
			data[len] = (sent + len) * 7;
		if (len)
			len = serial_receive(port, data, len);
		sent += len;
		room = len;
		len = serial_transmitted(port, data, sizeof(data));
		for (size_t i = 0; i < len; i++, received++)
			ck_assert_uint_eq(data[i], (uint8_t)(received * 7));
		if (!room && !len)
			ck_assert_msg(wait_for(wake_fd), "%u sent, %u received", sent, received);
	}
	ck_assert_int_eq(pthread_join(guest, NULL), 0);
	ck_assert_uint_eq(serial_dropped(port), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("serial");
	TCase *tc = tcase_create("serial");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, linux_detects_a_16550a);
	tcase_add_test(tc, linux_finds_no_transmit_bugs);
	tcase_add_test(tc, burst_of_16_bytes_costs_one_interrupt_and_one_wake);
	tcase_add_test(tc, disabled_interrupts_stay_silent);
	tcase_add_test(tc, reenabled_transmit_interrupt_is_not_lost);
	tcase_add_test(tc, input_waits_until_the_driver_listens);
	tcase_add_test(tc, input_arrives_in_order_with_one_interrupt);
	tcase_add_test(tc, console_is_woken_once_when_half_the_fifo_is_free);
	tcase_add_test(tc, trigger_level_decides_the_receive_reason);
	tcase_add_test(tc, reason_behind_another_interrupts_when_that_is_served);
	tcase_add_test(tc, without_fifo_each_byte_comes_alone_with_an_interrupt);
	tcase_add_test(tc, fifo_reset_forgets_input_and_keeps_output);
	tcase_add_test(tc, loopback_returns_bytes_and_overruns);
	tcase_add_test(tc, loopback_connects_each_modem_line);
	tcase_add_test(tc, modem_line_changes_interrupt_until_read);
	tcase_add_test(tc, divisor_latch_hides_data_and_interrupt_enable);
	tcase_add_test(tc, unread_output_is_bounded_and_its_loss_counted);
	tcase_add_test(tc, what_is_missing_is_one_gap);
	tcase_add_test(tc, output_wakes_when_it_appears_and_when_there_is_much);
	tcase_add_test(tc, accesses_of_other_sizes_read_zero_and_change_nothing);
	tcase_add_test(tc, stub_is_always_ready_to_print);
	tcase_add_test(tc, guest_and_console_threads_lose_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}
