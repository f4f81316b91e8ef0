/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console_tty: raw mode of the process's terminal while the console is open.
 *
 * Used by console.c only, on the main thread.
 */
#ifndef VMM_CONSOLE_TTY_H
#define VMM_CONSOLE_TTY_H

#include <stdbool.h>

/* Return whether this process may use the terminal: false when another process group is in the
 * terminal's foreground. */
bool console_tty_ours(int fd);

/* Put the terminal into raw mode and install handlers for the crash signals that restore it. On
 * failure the terminal stays as it is. */
void console_tty_raw(int fd);

/* Restore the state from before console_tty_raw. No effect when that call changed nothing. */
void console_tty_restore(void);

/*
 * Open the file behind fd again, non-blocking, with an open file description of its own. Returns
 * the new descriptor, or -1. Setting O_NONBLOCK on fd itself would affect every process that shares
 * its description, first of all the shell.
 */
int console_reopen(int fd);

#endif
