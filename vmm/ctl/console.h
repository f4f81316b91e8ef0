/* SPDX-License-Identifier: BSD-3-Clause */
/* console: connects the terminal, or the standard streams, to the console of a VM. */
#ifndef VMM_CTL_CONSOLE_H
#define VMM_CTL_CONSOLE_H

#include <stdbool.h>

/*
 * Copies between the standard streams and `fd`, a connection that has become the console's, until
 * the user detaches, the VM closes the connection, or a signal arrives. A terminal is in raw mode
 * meanwhile, and is always restored. `types`: the guest gets the input of this client.
 *
 * Returns 0, the number of the signal, or the -errno of a write to standard output. Called once.
 */
int console_session(int fd, bool types);

#endif
