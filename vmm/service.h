/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * service: what who has started the process may want to know: its id, in a file (--pidfile), and that
 * the guest is about to run, told to the service manager (sd_notify(3)). Main thread.
 */
#ifndef VMM_SERVICE_H
#define VMM_SERVICE_H

#include <stdbool.h>

struct service {
	const char *pidfile; /* NULL: none */
	bool created;	     /* it was not there */
	int pid_fd;
	int notify_fd; /* connected; -1: nobody wants to know */
};

/*
 * Before the sandbox: locks the file of that name, which may be new or another process's old one and
 * is empty from now on, and connects to the socket that
 * $NOTIFY_SOCKET names. 0, or -errno, and a line has been logged. A manager that cannot be reached
 * is no error, but is said.
 */
int service_open(struct service *service, const char *pidfile);

/* In the sandbox: all is set up; and the VM has ended, disks are still to be flushed. */
void service_ready(const struct service *service);
void service_stopping(const struct service *service);

/* `remove`: the set-up failed, nothing new is to be left. Else the file stays, for a sandbox has no
 * paths; that nobody holds its lock says that its process is gone. */
void service_close(const struct service *service, bool remove);

#endif
