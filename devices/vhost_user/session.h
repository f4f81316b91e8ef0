/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session: vhost-user back end for one disk, with one connection at a time.
 *
 * The front end is trusted no more than a guest: a message that breaks the protocol is refused, by
 * REPLY_ACK where the front end asked for it, and else by the end of the connection. The disk stays
 * available for the next connection. No function waits for the front end; some wait for the host's
 * I/O, until the requests in flight are finished. One thread at a time. Errors are -errno.
 */
#ifndef VHOST_USER_SESSION_H
#define VHOST_USER_SESSION_H

#include "devices/virtio/blk.h"

struct vhost_user;
struct blkplane_listener;
struct vhost_user_memory;

/*
 * Creates a back end without a connection. `memory` is empty, and the disk was created with its
 * table; both must outlive the back end, which becomes the disk's listener. `next` gets all of the
 * listener's callbacks, too; NULL: there is no second listener. Returns 0 or -errno.
 */
int vhost_user_create(struct vhost_user **vu, struct blk *blk, struct vhost_user_memory *memory,
		      struct blkplane_listener *next);

/* Ends the connection, if there is one, and frees the back end. NULL is allowed. */
void vhost_user_destroy(struct vhost_user *vu);

/* Serves the front end that is connected by this socket, which the back end owns from now on.
 * There must be no other connection. */
void vhost_user_connect(struct vhost_user *vu, int sock);

/* Returns the socket of the connection, to be polled for input; -1: there is none. */
int vhost_user_socket(const struct vhost_user *vu);

/* Returns a timerfd, to be polled for input; it expires only while the front end has a ring without
 * a doorbell. */
int vhost_user_timer(const struct vhost_user *vu);

/* Has the dataplane check the rings that have no doorbell; called when the timer has expired. */
void vhost_user_tick(struct vhost_user *vu);

/* Handles the messages that have arrived, up to a limit; the socket is readable if there are more.
 * Returns 0; an error ends the connection: -ENOTCONN, the
 * front end closed it; others are logged. */
int vhost_user_handle(struct vhost_user *vu);

/* Ends the connection: stops all rings, resets the device, and unmaps the shared memory. */
void vhost_user_disconnect(struct vhost_user *vu);

/* Pauses the disk as blk_pause does. Rings that the front end starts meanwhile wait for
 * vhost_user_resume. */
void vhost_user_pause(struct vhost_user *vu);
/* Resumes the disk as blk_resume does, and starts the rings that are ready. */
void vhost_user_resume(struct vhost_user *vu);

/*
 * Tells the front end that the configuration space has changed (BACKEND_CONFIG_CHANGE_MSG), without
 * waiting for it. While the message cannot be sent, because there is no channel for it, the channel
 * has no room or no ring runs, it stays due: a later message or another front end triggers it. A
 * channel that fails is closed.
 */
void vhost_user_config_changed(struct vhost_user *vu);

#endif
