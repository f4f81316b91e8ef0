/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console: connects standard input and output to the serial port.
 *
 * Only the main thread calls these functions. At most one console is open at a time. SIGPIPE must
 * be ignored.
 *
 * Terminal: the console puts a terminal into raw mode (output processing stays on) and restores it
 * in console_close, or in the handlers of the signals that end the process by a crash. On a
 * terminal only, not in piped input, Ctrl-A x quits, Ctrl-A h shows help, Ctrl-A Ctrl-A sends a
 * Ctrl-A, and other keys after Ctrl-A are ignored. While the process is in the background, its
 * terminal is neither changed nor read.
 *
 * Output: the console never blocks. Writes are non-blocking, and output that a slow or closed
 * reader does not take stays in the serial port's bounded queue, which drops what exceeds it. To
 * avoid a system call per byte, the console gathers output for up to CONSOLE_GATHER_MS before it
 * writes, less when there is much of it. A line in the output says where bytes were dropped.
 *
 * Errors: a write error (closed reader, full disk) ends the output, and end of file ends the input;
 * the VM continues in both cases.
 */
#ifndef VMM_CONSOLE_CONSOLE_H
#define VMM_CONSOLE_CONSOLE_H

#include <poll.h>
#include <stdbool.h>

#include "vmm/console/serial.h"

#define CONSOLE_GATHER_MS 2
#define CONSOLE_POLLFDS	  3

struct console;

/*
 * Open the console. wake_fd is the eventfd given to serial_create, and the console is its only
 * reader. in_fd and out_fd are 0 and 1, or descriptors of a test; either may be closed. All three
 * remain the caller's. Returns 0 or -ENOMEM.
 */
int console_open(struct console **console, struct serial *serial, int wake_fd, int in_fd,
		 int out_fd);

/* Write the remaining output, waiting at most `drain_ms` in all for a slow reader, restore the
 * terminal and free the console. */
void console_close(struct console *console, int drain_ms);

/* While `hold` is set, the guest gets no input: keys are still read and Ctrl-A commands work, but
 * the keys for the guest are queued, and other input than a terminal's is not read. */
void console_hold(struct console *console, bool hold);

/* One iteration of the main loop. console_prepare fills the entries that the console wants polled
 * (fd -1 in those it does not need) and returns the longest time-out in ms (-1: none). */
int console_prepare(struct console *console, struct pollfd fds[CONSOLE_POLLFDS]);
/* Process the results of poll. Returns true when the user asked to quit. */
bool console_handle(struct console *console, const struct pollfd fds[CONSOLE_POLLFDS]);

#endif
