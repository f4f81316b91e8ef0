/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console: connects the serial port to a terminal, files and attached clients.
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
 * Output: the console never blocks. It moves output from the serial port to a history of the last
 * HISTORY_SIZE bytes, and writes from there to each reader as much as the reader takes; a reader
 * that falls behind loses output, and a line says how much (output.h). To avoid a system call per
 * byte, the console gathers output for up to CONSOLE_GATHER_MS before it writes, less when there is
 * much of it.
 *
 * Input: the guest gets the bytes read from in_fd, and those that the first attached client types
 * (clients.h).
 *
 * Errors: a write error (closed reader, full disk) ends the output, and end of file ends the input;
 * the VM continues in both cases.
 */
#ifndef VMM_CONSOLE_CONSOLE_H
#define VMM_CONSOLE_CONSOLE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "vmm/console/serial.h"

#define CONSOLE_GATHER_MS 2
#define CONSOLE_POLLFDS	  12
/* Number of descriptors opened after console_open: clients, and one more that is accepted only to
 * be closed. */
#define CONSOLE_FDS 9

struct console;

/* Descriptors of a console, which remain the caller's. -1 stands for none. */
struct console_ends {
	int wake_fd;   /* the eventfd given to serial_create; the console is its only reader */
	int in_fd;     /* input; need not be open */
	int out_fd;    /* output; need not be open */
	int listen_fd; /* a listening stream socket, for clients that attach; non-blocking */
	bool shared;   /* in_fd and out_fd are the standard streams: their file descriptions belong
			* to other processes, too, and in_fd may be a terminal. Otherwise both are
			* non-blocking. */
};

/* Opens the console. Returns 0 or -ENOMEM. */
int console_open(struct console **console, struct serial *serial, const struct console_ends *ends);

/* Write the remaining output, waiting at most `drain_ms` in all for a slow reader of out_fd,
 * restore the terminal, disconnect the clients and free the console. NULL is allowed. */
void console_close(struct console *console, int drain_ms);

/*
 * Attaches a client by a connected, non-blocking stream socket, which belongs to the console from
 * now on. The client first gets the history. `typed` is input that has been received from it
 * already. False: there are too many clients, and fd has been closed.
 */
bool console_attach(struct console *console, int fd, const void *typed, size_t len);

/* Returns true if another client can attach. */
bool console_has_room(const struct console *console);

/* Returns true if the next client that attaches will type; otherwise it only watches. */
bool console_next_types(const struct console *console);

/* While `hold` is set, the guest gets no input. Keys of a terminal are still read, so that Ctrl-A
 * commands work, and keys for the guest are queued, like the input of clients. Input from a file or
 * a pipe is not read. */
void console_hold(struct console *console, bool hold);

/* One iteration of the main loop. console_prepare fills the entries that the console wants polled
 * (fd -1 in those it does not need) and returns the longest time-out in ms (-1: none). */
int console_prepare(struct console *console, struct pollfd fds[CONSOLE_POLLFDS]);
/* Process the results of poll. Returns true when the user asked to quit. */
bool console_handle(struct console *console, const struct pollfd fds[CONSOLE_POLLFDS]);

#endif
