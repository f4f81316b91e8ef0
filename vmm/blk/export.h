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

/* Opens the sockets and the disk. *config must outlive the export. After an error, the caller still
 * has to call export_destroy if *export is not NULL. */
int export_create(struct export **export, const struct export_config *config);

/* Enters the sandbox, starts the spawner (spawner.h), and restricts the main thread by its seccomp
 * filter. In the sandbox, the process cannot remove the sockets' files. */
int export_start(struct export *export);

/* Returns whether the process is in the sandbox, so that no files can be removed. */
bool export_is_confined(const struct export *export);

/* Serves front ends until a signal or the quit command arrives, or until the only connection has
 * ended: an inherited one, or the first with --once. */
void export_run(struct export *export);

/* Ends the connection, and closes the disk. Outside of the sandbox, the sockets' files are removed,
 * too. Returns 0, or -errno if the disk could not be flushed. NULL is allowed. */
int export_destroy(struct export *export);

#endif
