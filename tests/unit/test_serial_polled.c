/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a guest that uses the port without interrupts: when it counts as listening. */
#include "tests/unit/serial_rig.h"

#define POLLS 16

static void poll_times(unsigned int n)
{
	while (n--)
		in(UART_LSR);
}

/* The console has one byte that the port did not accept. */
static void begin(void)
{
	const uint8_t byte = 'k';

	ck_assert_uint_eq(serial_receive(port, &byte, 1), 0);
	ck_assert_uint_eq(wakes(), 0);
}

START_TEST(guest_that_polls_gets_input)
{
	const uint8_t text[3] = "abc";

	begin();
	for (unsigned int i = 0; i < POLLS; i++) {
		ck_assert_uint_eq(serial_rx_room(port), 0);
		ck_assert_uint_eq(in(UART_LSR), IDLE);
	}
	ck_assert_uint_eq(wakes(), 1);
	/* The FIFO is off until a driver enables it. */
	for (unsigned int i = 0; i < sizeof(text); i++) {
		ck_assert_uint_eq(serial_receive(port, text + i, sizeof(text) - i), 1);
		ck_assert_uint_eq(in(UART_LSR), IDLE | UART_LSR_DR);
		ck_assert_uint_eq(in(UART_RX), text[i]);
		ck_assert_uint_eq(wakes(), i + 1 < sizeof(text));
	}
	ck_assert_uint_eq(in(UART_LSR), IDLE);
	ck_assert_uint_eq(irqs(), 0);
}
END_TEST

START_TEST(guest_that_polls_with_a_fifo_gets_a_full_fifo)
{
	const uint8_t data[FIFO + 1] = { 0 };

	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	poll_times(POLLS);
	ck_assert_uint_eq(serial_receive(port, data, sizeof(data)), FIFO);
	ck_assert_uint_eq(serial_rx_room(port), 0);
}
END_TEST

/* The guest reads LSR before each byte and after it, to see whether the transmitter is empty. */
START_TEST(guest_that_only_sends_does_not_listen)
{
	begin();
	for (unsigned int i = 0; i < 1000; i++) {
		poll_times(2);
		out(UART_TX, 'x');
		ck_assert_uint_eq(serial_rx_room(port), 0);
	}
	poll_times(POLLS - 1);
	ck_assert_uint_eq(serial_rx_room(port), 0);
}
END_TEST

START_TEST(guest_that_polls_and_echoes_still_listens)
{
	const uint8_t byte = 'k';

	poll_times(POLLS);
	for (unsigned int i = 0; i < 10; i++) {
		ck_assert_uint_eq(serial_receive(port, &byte, 1), 1);
		out(UART_TX, in(UART_RX));
		out(UART_TX, '\n');
	}
	expect_output("k\nk\nk\nk\nk\nk\nk\nk\nk\nk\n");
}
END_TEST

/* The next driver resets the FIFO when it opens the port. Input waits until this driver listens. */
START_TEST(input_waits_for_a_new_driver_after_a_polling_one)
{
	static const struct {
		uint8_t reg, value;
	} writes[] = {
		{ UART_IER, 0 },
		{ UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR },
		{ UART_LCR, UART_LCR_WLEN8 },
		{ UART_LCR, UART_LCR_DLAB },
		{ UART_MCR, UART_MCR_DTR | UART_MCR_RTS },
		{ UART_SCR, 0x5a },
	};
	const uint8_t byte = 'k';

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		poll_times(POLLS);
		ck_assert_uint_ge(serial_rx_room(port), 1);
		out(writes[i].reg, writes[i].value);
		ck_assert_uint_eq(serial_rx_room(port), 0);
		poll_times(POLLS - 1);
		ck_assert_uint_eq(serial_rx_room(port), 0);
	}
	/* With DLAB set this address is the divisor, not THR. */
	out(UART_LCR, UART_LCR_DLAB);
	poll_times(POLLS);
	out(UART_DLL, 1);
	ck_assert_uint_eq(serial_receive(port, &byte, 1), 0);
}
END_TEST

/*
 * A driver that probes the port by loopback may wait for its own bytes there. Both of its writes to
 * MCR are part of the set-up.
 */
START_TEST(polls_in_loopback_do_not_count_as_listening)
{
	out(UART_MCR, UART_MCR_LOOP);
	begin();
	poll_times(10 * POLLS);
	ck_assert_uint_eq(serial_rx_room(port), 0);
	out(UART_MCR, 0);
	ck_assert_uint_eq(serial_rx_room(port), 0);
	poll_times(POLLS);
	ck_assert_uint_eq(serial_rx_room(port), 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("serial polled");
	TCase *tc = tcase_create("serial polled");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, guest_that_polls_gets_input);
	tcase_add_test(tc, guest_that_polls_with_a_fifo_gets_a_full_fifo);
	tcase_add_test(tc, guest_that_only_sends_does_not_listen);
	tcase_add_test(tc, guest_that_polls_and_echoes_still_listens);
	tcase_add_test(tc, input_waits_for_a_new_driver_after_a_polling_one);
	tcase_add_test(tc, polls_in_loopback_do_not_count_as_listening);
	suite_add_tcase(suite, tc);
	return suite;
}
