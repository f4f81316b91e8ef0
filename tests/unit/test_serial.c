/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the 16550A UART as a driver sees it. */
#include "tests/unit/serial_rig.h"

/* These are the checks of Linux's 8250 driver before it identifies a 16550A. */
START_TEST(linux_detects_a_16550a)
{
	/* The four interrupt enable bits are writable, and no others. */
	out(UART_IER, 0);
	ck_assert_uint_eq(in(UART_IER), 0);
	out(UART_IER, 0xff);
	ck_assert_uint_eq(in(UART_IER), 0x0f);
	out(UART_IER, 0);

	/* In loopback mode OUT2 and RTS appear as DCD and CTS. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	ck_assert_uint_eq(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);

	/*
	 * There is no enhanced features register behind LCR 0xbf, and the FIFO bits are those of a
	 * 16550A.
	 */
	out(UART_LCR, 0xbf);
	out(UART_FCR, 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	ck_assert_uint_eq(in(UART_IIR) >> 6, 3);
	out(UART_LCR, UART_LCR_DLAB);
	ck_assert_uint_ne(in(UART_IIR), 0);
	out(UART_LCR, 0xbf);
	ck_assert_uint_ne(in(UART_IIR), 0);

	/* The 64-byte FIFO bit of a 16750 is not settable, with DLAB or without. */
	for (int lcr = 0; lcr <= UART_LCR_DLAB; lcr += UART_LCR_DLAB) {
		out(UART_LCR, lcr);
		out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
		ck_assert_uint_eq(in(UART_IIR) >> 5, 6);
	}
	out(UART_LCR, 0);

	/* Without the FIFO the port is a 16450. The scratch register is writable. */
	out(UART_FCR, 0);
	ck_assert_uint_eq(in(UART_IIR) >> 6, 0);
	out(UART_SCR, 0xa5);
	ck_assert_uint_eq(in(UART_SCR), 0xa5);
	out(UART_SCR, 0x5a);
	ck_assert_uint_eq(in(UART_SCR), 0x5a);
}
END_TEST

/*
 * Linux tests twice whether enabling the transmit interrupt causes an interrupt, and otherwise
 * works around the port with a slow timer.
 */
START_TEST(linux_detects_no_transmit_bugs)
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

START_TEST(burst_of_16_bytes_causes_one_interrupt_and_one_wake_up)
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

START_TEST(disabled_interrupts_are_not_signalled)
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

/* A console message in the middle of a transfer: Linux clears IER, prints, and sets it again. */
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

	/* The probe sets all enable bits for a moment, which does not count as listening. */
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
	/* The second transfer wraps around the end of the ring. */
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
	/* A serial_receive that takes only a part also requests a wake-up. */
	ck_assert_uint_eq(serial_receive(port, data, FIFO + 1), FIFO);
	for (int i = 0; i < FIFO; i++)
		in(UART_RX);
	ck_assert_uint_eq(wakes(), 1);
	/* No wake-up follows a serial_receive that took everything. */
	ck_assert_uint_eq(serial_receive(port, data, FIFO), FIFO);
	for (int i = 0; i < FIFO; i++)
		in(UART_RX);
	ck_assert_uint_eq(wakes(), 0);
}
END_TEST

/* Below the trigger level the reason for the interrupt is the character time-out. */
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

/* A driver that handles one reason per interrupt gets another interrupt for each remaining one. */
START_TEST(second_reason_interrupts_after_the_first_is_handled)
{
	const uint8_t byte = 'k';

	open_port(UART_IER_RDI | UART_IER_THRI);
	out(UART_TX, 'x');
	ck_assert_uint_eq(serial_receive(port, &byte, 1), 1);
	ck_assert_uint_eq(irqs(), 1);

	/* Received data has priority. Reading IIR does not clear "transmitter empty" then. */
	ck_assert_uint_eq(in(UART_IIR), FE | 0x0c);
	ck_assert_uint_eq(in(UART_IIR), FE | 0x0c);
	ck_assert_uint_eq(irqs(), 0);
	in(UART_RX);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_THRI);
	ck_assert_uint_eq(irqs(), 0);
}
END_TEST

START_TEST(without_fifo_each_byte_has_an_interrupt)
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

START_TEST(fifo_reset_discards_input_and_keeps_output)
{
	const uint8_t data[4] = "abcd";

	open_port(UART_IER_RDI);
	out(UART_TX, 'x');
	serial_receive(port, data, 4);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	ck_assert_uint_eq(in(UART_LSR), IDLE);
	ck_assert_uint_eq(in(UART_IIR), FE | UART_IIR_NO_INT);
	expect_output("x");

	/*
	 * Disabling the FIFO discards its bytes. Enabling it again, as Linux does with interrupts
	 * enabled, keeps them.
	 */
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
	/* For the ring indicator only the trailing edge counts. */
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
	/* A driver that reads the divisor before it writes one must not divide by zero. */
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

Suite *test_suite(void)
{
	Suite *suite = suite_create("serial");
	TCase *tc = tcase_create("serial");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, linux_detects_a_16550a);
	tcase_add_test(tc, linux_detects_no_transmit_bugs);
	tcase_add_test(tc, burst_of_16_bytes_causes_one_interrupt_and_one_wake_up);
	tcase_add_test(tc, disabled_interrupts_are_not_signalled);
	tcase_add_test(tc, reenabled_transmit_interrupt_is_not_lost);
	tcase_add_test(tc, input_waits_until_the_driver_listens);
	tcase_add_test(tc, input_arrives_in_order_with_one_interrupt);
	tcase_add_test(tc, console_is_woken_once_when_half_the_fifo_is_free);
	tcase_add_test(tc, trigger_level_decides_the_receive_reason);
	tcase_add_test(tc, second_reason_interrupts_after_the_first_is_handled);
	tcase_add_test(tc, without_fifo_each_byte_has_an_interrupt);
	tcase_add_test(tc, fifo_reset_discards_input_and_keeps_output);
	tcase_add_test(tc, loopback_returns_bytes_and_overruns);
	tcase_add_test(tc, loopback_connects_each_modem_line);
	tcase_add_test(tc, modem_line_changes_interrupt_until_read);
	tcase_add_test(tc, divisor_latch_hides_data_and_interrupt_enable);
	suite_add_tcase(suite, tc);
	return suite;
}
