/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a port that continues on another one with the saved state. */
#include <errno.h>

#include "tests/lib/cases.h"
#include "tests/unit/serial_rig.h"

static struct serial_state state;

/* Replaces the port by a new one with the state. */
static int move(void)
{
	serial_destroy(port);
	taken(irq_fd);
	ck_assert_int_eq(serial_create(&port, irq_fd, wake_fd), 0);
	return serial_restore(port, &state);
}

START_TEST(registers_and_received_bytes_survive)
{
	out(UART_LCR, UART_LCR_DLAB | 3);
	out(UART_TX, 12);
	out(UART_IER, 1);
	out(UART_LCR, 3);
	out(UART_SCR, 0x5a);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_RTS);
	out(UART_IER, UART_IER_RDI);
	/* The FIFO's first byte is not at its start. */
	ck_assert_uint_eq(serial_receive(port, (const uint8_t *)"0123456789", 10), 10);
	for (char c = '0'; c < '7'; c++)
		ck_assert_uint_eq(in(UART_RX), c);
	ck_assert_uint_eq(serial_receive(port, (const uint8_t *)"abcdefghijkl", 12), 12);
	serial_save(port, &state);
	ck_assert_int_eq(move(), 0);
	/* The pending interrupt is raised again. */
	ck_assert_uint_eq(taken(irq_fd), 1);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_RDI | FE);
	for (const char *c = "789abcdefghijkl"; *c; c++)
		ck_assert_uint_eq(in(UART_RX), *c);
	ck_assert_uint_eq(in(UART_SCR), 0x5a);
	ck_assert_uint_eq(in(UART_IER), UART_IER_RDI);
	ck_assert_uint_eq(in(UART_MCR), UART_MCR_OUT2 | UART_MCR_RTS);
	out(UART_LCR, UART_LCR_DLAB);
	ck_assert_uint_eq(in(UART_TX), 12);
	ck_assert_uint_eq(in(UART_IER), 1);
}
END_TEST

START_TEST(pending_transmitter_interrupt_survives)
{
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_THRI);
	serial_save(port, &state);
	ck_assert_int_eq(move(), 0);
	ck_assert_uint_eq(taken(irq_fd), 1);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_THRI);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_NO_INT);
}
END_TEST

/* The console of the saved VM shows the output; the line in it counts for the end of the VM. */
START_TEST(output_is_not_repeated_but_the_last_line_is_known)
{
	for (const char *c = "Kernel panic - not syncing: x\n\33[1"; *c; c++)
		out(UART_TX, (uint8_t)*c);
	serial_save(port, &state);
	ck_assert_int_eq(move(), 0);
	ck_assert_uint_eq(serial_tx_pending(port), 0);
	ck_assert(serial_panicked(port));
	ck_assert_str_eq(last_line_text(serial_last_line(port)), "Kernel panic - not syncing: x");
}
END_TEST

static const struct {
	const char *name;
	size_t at;
	uint8_t value;
} invalid[] = {
	{ "received bytes", offsetof(struct serial_state, rx_count), 17 },
	{ "polls", offsetof(struct serial_state, polls), 17 },
	{ "length of the line", offsetof(struct serial_state, line_len), LAST_LINE_MAX },
	{ "line without an end", offsetof(struct serial_state, last_line) + LAST_LINE_MAX - 1, 1 },
};

START_TEST(invalid_state_is_refused)
{
	serial_save(port, &state);
	((uint8_t *)&state)[invalid[_i].at] = invalid[_i].value;
	ck_assert_int_eq(move(), -EINVAL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("serial_state");
	TCase *t = tcase_create("serial_state");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, registers_and_received_bytes_survive);
	tcase_add_test(t, pending_transmitter_interrupt_survives);
	tcase_add_test(t, output_is_not_repeated_but_the_last_line_is_known);
	tcase_add_table_test(t, invalid_state_is_refused, invalid);
	suite_add_tcase(s, t);
	return s;
}
