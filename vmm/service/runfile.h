/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runfile: a file that is there for as long as a VM is, its pidfile or its control socket, and is removed
 * behind it by somebody who has seen it and not made it. Whatever its directory is made to hold meanwhile:
 * nothing but that very file is removed, and a process that makes a new one of the name (control_socket.c)
 * is not disturbed.
 */
#ifndef VMM_RUNFILE_H
#define VMM_RUNFILE_H

struct runfile {
	const char *name; /* in its directory */
	int dir_fd;	  /* -1: there is nothing to remove */
	int file_fd;	  /* -1: the file has not been seen */
};

/* Its directory, while there are still paths. One that is not there, or NULL: nothing. */
void runfile_open(struct runfile *file, const char *path);

/* The file is there now. */
void runfile_see(struct runfile *file);

/* When its VM is gone: removes what was seen, if it is still there and its directory lets this. */
void runfile_remove(struct runfile *file);

#endif
