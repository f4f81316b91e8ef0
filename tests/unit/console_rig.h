/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fixture of a console with a serial port; the test acts as guest and main loop. Single-threaded:
 * if the console blocks, the test hangs until Check's timeout.
 */
#ifndef TESTS_CONSOLE_RIG_H
#define TESTS_CONSOLE_RIG_H

#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "vmm/console/console.h"

#define TIMEOUT_S 30

enum { WAKE, IN, OUT };

static struct serial *port;
static struct console *console;
static int irq_fd, wake_fd;
static struct pollfd fds[CONSOLE_POLLFDS];
static bool quit;

/* Bytes that the guest has read. */
static uint8_t heard[32768];
static size_t heard_len;

static inline void rig_setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_eq(serial_create(&port, irq_fd, wake_fd), 0);
	heard_len = 0;
	quit = false;
}

/* Discards log messages that the test provokes. */
static inline void be_quiet(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	close(null);
}

static inline void rig_open(int in_fd, int out_fd)
{
	const struct console_ends ends = { wake_fd, in_fd, out_fd, -1, true };

	ck_assert_int_eq(console_open(&console, port, &ends), 0);
}

static inline void rig_close(int drain_ms)
{
	console_close(console, drain_ms);
	console = NULL;
}

static inline void rig_teardown(void)
{
	rig_close(0);
	serial_destroy(port);
	close(irq_fd);
	close(wake_fd);
}

static inline uint8_t guest_in(unsigned int reg)
{
	uint8_t value;

	serial_bus_ops.read(port, reg, &value, 1);
	return value;
}

static inline void guest_out(unsigned int reg, uint8_t value)
{
	serial_bus_ops.write(port, reg, &value, 1);
}

static inline void guest_listens(void)
{
	guest_out(UART_FCR, UART_FCR_ENABLE_FIFO);
	guest_out(UART_MCR, UART_MCR_OUT2);
	guest_out(UART_IER, UART_IER_RDI);
}

static inline void guest_says(const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		guest_out(UART_TX, ((const uint8_t *)data)[i]);
}

static inline void guest_hears(void)
{
	while (heard_len < sizeof(heard) && guest_in(UART_LSR) & UART_LSR_DR)
		heard[heard_len++] = guest_in(UART_RX);
}

/* Runs the main loop once; it waits no longer than the console asks for, nor than max_ms. */
static inline void turn(int max_ms)
{
	int timeout = console_prepare(console, fds);

	if (timeout < 0 || timeout > max_ms)
		timeout = max_ms;
	ck_assert_int_ge(poll(fds, CONSOLE_POLLFDS, timeout), 0);
	quit |= console_handle(console, fds);
}

static inline time_t seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Runs the main loop until the condition holds, which is evaluated each time. */
#define UNTIL(condition)                                                          \
	do {                                                                      \
		time_t end_ = seconds() + TIMEOUT_S;                              \
		while (!(condition)) {                                            \
			ck_assert_msg(seconds() < end_, "never: %s", #condition); \
			turn(20);                                                 \
		}                                                                 \
	} while (0)

/* Returns true when nothing is left to do without a new event: the main loop would wait forever. */
static inline bool idle(void)
{
	int timeout = console_prepare(console, fds);

	return timeout < 0 && poll(fds, CONSOLE_POLLFDS, 0) == 0;
}

/* Reads the data that is available now. */
static inline size_t read_now(int fd, void *data, size_t max)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	while (len < max && poll(&p, 1, 0) == 1) {
		ssize_t ret = read(fd, (uint8_t *)data + len, max - len);

		if (ret <= 0)
			break;
		len += ret;
	}
	return len;
}

static inline void write_all(int fd, const void *data, size_t len)
{
	ck_assert_int_eq(write(fd, data, len), len);
}

/* Sends `len` bytes of the pattern that expect_pattern checks. */
static inline void guest_floods(size_t len)
{
	for (size_t i = 0; i < len; i++)
		guest_out(UART_TX, i % 251);
}

static inline void expect_pattern(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(data[i], i % 251);
}

#endif
