/* SPDX-License-Identifier: BSD-3-Clause */
/* socket: creation and removal of the control socket's file. Main thread. */
#ifndef VMM_CONTROL_SOCKET_H
#define VMM_CONTROL_SOCKET_H

#include <sys/types.h>

struct control_socket {
	int fd; /* listening, non-blocking; -1: none */
	const char *path;
	dev_t dev; /* device number of the file that was created */
	ino_t ino; /* inode number of the file that was created */
};

/*
 * Creates a listening socket at `path`, which must outlive *s. Its mode is 0600 from the moment it
 * exists. A stale socket, on which no process listens, is replaced. On error (-errno), *why says
 * what is wrong with `path` (a static string, or that of strerror); NULL: no socket could be
 * created.
 */
int control_socket_open(struct control_socket *s, const char *path, const char **why);

/* Removes the file, unless another one has taken its name. Only before the sandbox is entered,
 * which makes paths inaccessible. */
void control_socket_remove(const struct control_socket *s);

/* Closes the socket. The file stays, because the sandbox has no access to its path; a supervisor
 * removes it (runfile.h), or the next VM replaces it. */
void control_socket_close(struct control_socket *s);

#endif
