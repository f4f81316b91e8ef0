/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export: one disk that is served to vhost-user front ends, one after the other.
 *
 * Main thread. Errors are -errno, after a line in the log.
 */
#ifndef VMM_BLK_EXPORT_H
#define VMM_BLK_EXPORT_H

#include "vmm/blk/options.h"

struct export;

/* Opens the socket and the disk. *config must outlive the export. */
int export_create(struct export **export, const struct export_config *config);

/* Enters the sandbox. Afterwards the socket's path is out of reach. */
int export_start(struct export *export);

/* Serves front ends until a signal arrives, or the first one has left and the user wants only
 * one. */
void export_run(struct export *export);

/* Ends the connection, and closes the disk. `paths`: the sandbox was not entered, and the socket's
 * file is removed. Returns 0, or -errno if the disk could not be flushed. NULL is allowed. */
int export_destroy(struct export *export, bool paths);

#endif
