/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fixture of a serial port; the test acts as driver and console. One port per test.
 */
#ifndef TESTS_SERIAL_RIG_H
#define TESTS_SERIAL_RIG_H

#include <linux/serial_reg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/console/serial.h"

#define FIFO 16
#define IDLE (UART_LSR_THRE | UART_LSR_TEMT)
#define FE   0xc0 /* IIR: the FIFO is enabled */

static struct serial *port;
static int irq_fd, wake_fd;

static inline void setup(void)
{
	irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_ge(irq_fd, 0);
	ck_assert_int_ge(wake_fd, 0);
	ck_assert_int_eq(serial_create(&port, irq_fd, wake_fd), 0);
}

static inline void teardown(void)
{
	serial_destroy(port);
	close(irq_fd);
	close(wake_fd);
}

static inline uint8_t in(unsigned int reg)
{
	uint8_t value;

	serial_bus_ops.read(port, reg, &value, 1);
	return value;
}

static inline void out(unsigned int reg, uint8_t value)
{
	serial_bus_ops.write(port, reg, &value, 1);
}

/* Returns how often an eventfd was written since the last call. */
static inline uint64_t taken(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static inline uint64_t irqs(void)
{
	return taken(irq_fd);
}

static inline uint64_t wakes(void)
{
	return taken(wake_fd);
}

/* Opens the port as a driver does: FIFO on, trigger level 8, interrupts enabled. */
static inline void open_port(uint8_t ier)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	out(UART_IER, ier);
	irqs();
	wakes();
}

static inline void expect_output(const char *text)
{
	uint8_t data[64];
	size_t len = serial_transmitted(port, data, sizeof(data));

	ck_assert_uint_eq(len, strlen(text));
	ck_assert_mem_eq(data, text, len);
}

#endif
