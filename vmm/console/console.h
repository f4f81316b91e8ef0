/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console: standard input and output, wired to the serial port. Main thread only.
 *
 * A terminal is put into raw mode (output processing stays on) and always put back: by
 * console_close, and by handlers for the signals that end a process by a crash. Ctrl-A x quits,
 * Ctrl-A h tells, Ctrl-A Ctrl-A sends a Ctrl-A, other keys after Ctrl-A are ignored; only on a
 * terminal, never in piped data. The terminal of a process in the background is left alone: neither
 * changed nor read. At most one console is open at a time.
 * Never blocks: output goes out non-blocking, and what a slow or closed reader does not take stays
 * in the serial port's bounded queue, which drops. No system call per byte: output is gathered for
 * CONSOLE_GATHER_MS before it is written, or less when there is much of it. Where output was
 * dropped, a line says so. An error of the output (closed reader, full disk) ends the output; the
 * end of the input ends the input; the VM goes on. SIGPIPE must be ignored.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <poll.h>
#include <stdbool.h>

#include "vmm/console/serial.h"

#define CONSOLE_GATHER_MS 2
#define CONSOLE_POLLFDS	  3

struct console;

/* wake_fd: the eventfd given to serial_create; the console is its only reader. in_fd and out_fd
 * are 0 and 1, or a test's; either may be closed. They remain the caller's. -ENOMEM. */
int console_open(struct console **console, struct serial *serial, int wake_fd, int in_fd,
		 int out_fd);

/* Writes out what is left, waiting for a slow reader at most `drain_ms` in all, restores the
 * terminal and frees. */
void console_close(struct console *console, int drain_ms);

/* While held, the guest gets no input: keys wait (and are heard, as ever), and other input is not read. */
void console_hold(struct console *console, bool hold);

/*
 * One round of the main loop: console_prepare fills the entries the console wants polled
 * (fd -1 where there is nothing to wait for) and returns the longest time-out in ms (-1: none);
 * console_handle acts on the results. It returns true when the user asked to quit.
 */
int console_prepare(struct console *console, struct pollfd fds[CONSOLE_POLLFDS]);
bool console_handle(struct console *console, const struct pollfd fds[CONSOLE_POLLFDS]);

#endif
