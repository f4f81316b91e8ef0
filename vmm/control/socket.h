/* SPDX-License-Identifier: BSD-3-Clause */
/* control_socket: the file system's side of the control socket. Main thread. */
#ifndef VMM_CONTROL_SOCKET_H
#define VMM_CONTROL_SOCKET_H

#include <sys/types.h>

struct control_socket {
	int fd; /* listening, non-blocking; -1: none */
	const char *path;
	dev_t dev; /* of the file, when it was made */
	ino_t ino;
};

/*
 * Make a socket at `path`, which is lent, that only its owner can connect to, from its
 * first moment on. A socket where nobody listens any more is replaced. -errno, and *why in words (a
 * static string, or strerror's) says what is wrong with `path`; NULL: the host has no socket.
 */
int control_socket_open(struct control_socket *s, const char *path, const char **why);

/* Removes the file, unless another one has taken its place. As long as there are paths. */
void control_socket_remove(const struct control_socket *s);

/* The file stays: the sandbox has no path to remove it by. A supervisor removes it (runfile.h), or
 * the next VM replaces it. */
void control_socket_close(struct control_socket *s);

#endif
