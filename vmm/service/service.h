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
	int pid_fd;
	int notify_fd; /* connected; -1: nobody wants to know */
	int relay_fd;  /* where somebody else tells them; -1: nowhere */
};

/*
 * What there is to tell, in this order, and the byte that stands for it on relay_fd. SERVICE_FILES is for the
 * supervisor alone: the VM has made its files, and is about to lose the paths by which it could remove them.
 */
enum service_word { SERVICE_FILES, SERVICE_READY, SERVICE_STOPPING, SERVICE_WORDS };
extern const char service_words[SERVICE_WORDS];

/*
 * Before the sandbox and a supervisor: locks the file of that name, which may be new or another process's
 * old one, and writes this process's id into it; and connects to the socket that $NOTIFY_SOCKET names.
 * 0, or -errno; then a line has been logged, and there is no pidfile. A manager that cannot be reached
 * is no error, but is said. SIGXFSZ must be ignored.
 */
int service_open(struct service *service, const char *pidfile);

/* This process is not the one that was started: what there is to tell goes to that by `relay_fd`, a socket,
 * and is waited for until it comes back. The pidfile and the manager's socket are closed here. */
void service_relay(struct service *service, int relay_fd);
/* And what comes out of it is told here. */
void service_heard(const struct service *service, enum service_word word);

/* The last step before the sandbox is entered: see SERVICE_FILES. */
void service_files(const struct service *service);
/* In the sandbox: all is set up; and the VM has ended, disks are still to be flushed. */
void service_ready(const struct service *service);
void service_stopping(const struct service *service);

/* `remove`: the set-up failed before the sandbox, and the pidfile goes. Else the file stays, for a sandbox has
 * no paths (a supervisor removes it, runfile.h); that nobody holds its lock says that its process is gone. */
void service_close(const struct service *service, bool remove);

#endif
