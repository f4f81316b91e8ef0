/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runfile: removal of a VM's pidfile and control socket by the supervisor.
 *
 * The supervisor removes the files that the VM's process has created, once that process has ended.
 * A different file (another device or inode) that has taken the name meanwhile is not removed, and
 * a process that is creating a new file of this name (control/socket.c) is not disturbed. Failures
 * are silent: the file then stays. Main thread.
 */
#ifndef VMM_SERVICE_RUNFILE_H
#define VMM_SERVICE_RUNFILE_H

struct runfile {
	const char *name; /* relative to dir_fd */
	int dir_fd;	  /* -1: there is no file to remove */
	int file_fd;	  /* an O_PATH descriptor; -1: runfile_see has not found the file */
};

/* Opens the directory of the file `path`, before the sandbox makes paths inaccessible. If path is
 * NULL or the directory does not exist, the other functions do nothing. */
void runfile_open(struct runfile *file, const char *path);

/* Records the identity of the file, once it exists; only the first success counts. */
void runfile_see(struct runfile *file);

/* Removes the recorded file after the VM has ended, if its name still refers to it and the
 * directory permits this. */
void runfile_remove(struct runfile *file);

#endif
