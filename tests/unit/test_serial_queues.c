/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests that a guest can neither overflow the port's queues nor misuse it by accesses of other
 * sizes.
 */
#include <poll.h>
#include <pthread.h>

#include "tests/unit/serial_rig.h"

/* Fills the queue, then sends `extra` more bytes. */
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

START_TEST(unread_output_is_bounded_and_loss_is_counted)
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

/* The guest's last console line is known even when its output was dropped, without a reader. */
START_TEST(last_line_is_known_though_output_is_dropped)
{
	static const char panic[] = "\n[ 1.0] Kernel panic - not syncing: no reader\n";

	flood(1000);
	ck_assert(!serial_panicked(port));
	for (const char *c = panic; *c; c++)
		out(UART_TX, (uint8_t)*c);
	ck_assert(serial_panicked(port));
	ck_assert_str_eq(last_line_text(serial_last_line(port)),
			 "Kernel panic - not syncing: no reader");
}
END_TEST

/* Bytes that the guest sends while the queue is drained belong to the same gap. */
START_TEST(dropped_output_is_one_gap)
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

START_TEST(first_and_batched_output_wakes_the_console)
{
	uint8_t data[SERIAL_TX_BATCH];

	/* Advances the ring, so that a batch wraps around its end. */
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

/* Row 40: accesses of any size at any offset. */
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
		}
	}
	ck_assert_uint_eq(in(UART_IER), UART_IER_RDI);
	ck_assert_uint_eq(in(UART_LCR), 0);
	ck_assert_uint_eq(in(UART_SCR), 0);
	ck_assert_uint_eq(in(UART_RX), 'k');
	expect_output("");
	/* The bus never passes an access at this offset to the port. */
	ck_assert_uint_eq(in(SERIAL_REGS), 0);
	out(SERIAL_REGS, 1);
}
END_TEST

#define ECHO_BYTES 20000

static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 20000) == 1 && taken(fd);
}

/* An interrupt-driven guest that echoes its input. */
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

/* No event is lost between the threads: each side sleeps until the other one signals. */
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
	Suite *suite = suite_create("serial queues");
	TCase *tc = tcase_create("serial queues");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, unread_output_is_bounded_and_loss_is_counted);
	tcase_add_test(tc, last_line_is_known_though_output_is_dropped);
	tcase_add_test(tc, dropped_output_is_one_gap);
	tcase_add_test(tc, first_and_batched_output_wakes_the_console);
	tcase_add_test(tc, accesses_of_other_sizes_read_zero_and_change_nothing);
	tcase_add_test(tc, guest_and_console_threads_lose_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}
