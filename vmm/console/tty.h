/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console_tty: the one terminal of the process, raw while the console is open. Inside of console.
 */
#ifndef VMM_CONSOLE_TTY_H
#define VMM_CONSOLE_TTY_H

#include <stdbool.h>

/* False: the terminal's foreground is another process group, which alone may use it. */
bool console_tty_ours(int fd);

/* Into raw mode, and handlers for the signals of a crash that put it back. On failure the terminal
 * stays as it is. */
void console_tty_raw(int fd);

/* Back to the state before console_tty_raw; nothing when that did nothing. */
void console_tty_restore(void);

/*
 * The file behind fd through a file description of our own, non-blocking; -1 when that cannot be
 * had. O_NONBLOCK on fd itself would hit every process that shares its description, the shell first
 * of all.
 */
int console_reopen(int fd);

#endif
