/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control: the control socket of an export (--control).
 *
 * Pause, resume, resize and limit run on the job thread. They share the back end with the main
 * thread, so that either holds the lock while it uses the back end. Functions are for the main
 * thread. Errors are -errno, after a line in the log.
 */
#ifndef VMM_BLK_CONTROL_H
#define VMM_BLK_CONTROL_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/control/commands.h"

struct vhost_user;

struct export_control {
	struct commands commands;
	struct vhost_user *vu; /* set before export_control_open */
	pthread_mutex_t lock;  /* of the back end */
	bool quit;	       /* the quit command was given */
	bool ending;	       /* the job thread reads it; atomic */
};

/* Prepares the struct, which is zeroed. Without --control, only export_control_lock, _unlock,
 * _connected, _disconnected and _close do anything, or may be called, afterwards. */
void export_control_init(struct export_control *control);

/* Registers the disk before its back end is created. *listener receives the listener for
 * vhost_user_create. */
int export_control_add(struct export_control *control, struct blk *blk,
		       const struct blk_config *config, struct blkplane_listener **listener);

void export_control_lock(struct export_control *control);
void export_control_unlock(struct export_control *control);

/* Send the events of a connection. `why`: the reason of its end. */
void export_control_connected(struct export_control *control);
void export_control_disconnected(struct export_control *control, const char *why);

/* Sends the shutdown event and ends the job thread. */
void export_control_end(struct export_control *control, const char *reason);

#endif
