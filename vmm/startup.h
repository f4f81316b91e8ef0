/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * startup: standard descriptors, signals and log at the start of a program.
 *
 * Called by the main thread while it is the only one. Errors are -errno.
 */
#ifndef VMM_STARTUP_H
#define VMM_STARTUP_H

#include <signal.h>
#include <stdbool.h>

#include "dataplane/base.h"

/* Opens /dev/null on descriptors 0 to 2 if they are closed: otherwise an image or KVM could get
 * such a number, and output would be written to it. Returns whether standard output was open. */
bool startup_fill_fds(void);

/* Sets *set to the signals that end a program in order: SIGTERM, SIGINT and SIGQUIT. */
void startup_stop_signals(sigset_t *set);

/*
 * Blocks SIGTERM, SIGINT and SIGQUIT, which stay pending until the program reads them, and
 * ignores SIGHUP, SIGPIPE and SIGXFSZ, which would kill the process. Called before the first file
 * is created, so that no signal leaves a file behind.
 */
void startup_hold_signals(void);

/* Opens the file of --log (NULL: the log stays on standard error) and sets the log level.
 * Returns 0, or -errno after a message. */
int startup_open_log(const char *path, enum log_level level);

/* Prints `text`, such as that of --help, to standard output. `open` is the result of
 * startup_fill_fds: if it is false, the function fails with -EBADF. Returns 0, or -errno after a
 * message. */
int startup_print(const char *text, bool open);

#endif
