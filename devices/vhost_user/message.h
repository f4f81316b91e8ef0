/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * message: reception and transmission of vhost-user messages on a socket.
 *
 * No function blocks. A message is received piece by piece, so that a front end which sends only
 * a part of one does not block the thread. The caller owns the struct, and the struct owns the
 * descriptors in it until they are taken out. One thread. Errors are -errno.
 */
#ifndef VHOST_USER_MESSAGE_H
#define VHOST_USER_MESSAGE_H

#include <stddef.h>

#include "devices/vhost_user/protocol.h"

struct vhost_user_message {
	struct vhost_user_header header;
	union {
		uint64_t u64;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr addr;
		struct vhost_user_mem_table table;
		struct vhost_user_mem_slot slot;
		struct vhost_user_log log;
		struct vhost_user_inflight inflight;
		struct {
			struct vhost_user_config config;
			uint8_t data[VHOST_USER_CONFIG_MAX];
		};
		uint8_t bytes[VHOST_USER_PAYLOAD_MAX];
	} payload;
	int fd[VHOST_USER_FDS_MAX]; /* -1: taken out */
	unsigned int fd_count;
	size_t received; /* bytes of header and payload so far */
};

/*
 * Receives more of a message, which starts out zeroed. Returns 1: it is complete; 0: more bytes are
 * needed, and the socket has none at present; -ENOTCONN: the front end closed the connection;
 * -EBADMSG: the header or the descriptors are invalid; another -errno of recvmsg(2).
 */
int vhost_user_receive(int sock, struct vhost_user_message *msg);

/* Takes descriptor `n` out of the message. Returns -1 if there is none. */
int vhost_user_take_fd(struct vhost_user_message *msg, unsigned int n);

/* Closes all descriptors that were not taken out, and prepares the struct for the next message. */
void vhost_user_message_done(struct vhost_user_message *msg);

/*
 * Answers a message: sends its payload, of `size` bytes, and a descriptor unless fd is -1, which
 * remains the caller's. Returns 0; -EAGAIN: the socket has no room, because the front end does not
 * read; -EIO: it had room for a part only, after which it is of no use; or another -errno.
 */
int vhost_user_reply(int sock, struct vhost_user_message *msg, uint32_t size, int fd);

/* Sends the back end's own message, without payload, on the socket of SET_BACKEND_REQ_FD. Returns 0
 * or -errno, as vhost_user_reply. */
int vhost_user_notify(int sock, uint32_t request);

#endif
