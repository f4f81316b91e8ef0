/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * service: pidfile (--pidfile) and service manager notification (sd_notify(3)).
 *
 * If there is a supervisor, the notifications of the VM's process go through it. Main thread.
 */
#ifndef VMM_SERVICE_SERVICE_H
#define VMM_SERVICE_SERVICE_H

#include <stdbool.h>

struct service {
	const char *pidfile; /* NULL: none */
	int pid_fd;	     /* locked pidfile; -1: none */
	int notify_fd;	     /* socket to the service manager; -1: none */
	int relay_fd;	     /* socket to the supervisor; -1: none */
};

/*
 * Notifications, in the order in which they are sent. SERVICE_FILES is for the supervisor only: the
 * VM has created its files and is about to enter the sandbox, in which it cannot remove them.
 */
enum service_word { SERVICE_FILES, SERVICE_READY, SERVICE_STOPPING, SERVICE_WORDS };

/* The bytes that are sent on relay_fd, by enum service_word. */
extern const char service_words[SERVICE_WORDS];

/*
 * Locks the pidfile (if not NULL), which may be new or the leftover of another process, writes this
 * process's id into it, and connects to the socket that $NOTIFY_SOCKET names. Called before the
 * sandbox is entered and a supervisor is forked. 0 or -errno; on error a line has been logged and
 * there is no pidfile. A manager that cannot be reached is logged, but is no error. SIGXFSZ must be
 * ignored.
 */
int service_open(struct service *service, const char *pidfile);

/* Makes the VM's process send its notifications to the supervisor through the socket `relay_fd`;
 * each one waits until the supervisor has echoed it. Closes this process's descriptors of the
 * pidfile and of the manager's socket, which the supervisor keeps. */
void service_relay(struct service *service, int relay_fd);

/* Sends a notification to the service manager, if there is one. The supervisor calls this function
 * for each notification that the VM's process has relayed. */
void service_heard(const struct service *service, enum service_word word);

/* Tells the supervisor that this process has created its files (SERVICE_FILES). Called last before
 * the process enters the sandbox. */
void service_files(const struct service *service);

/* Sends SERVICE_READY. Called in the sandbox, when the set-up is complete. */
void service_ready(const struct service *service);

/* Sends SERVICE_STOPPING. Called in the sandbox, when the VM has ended and the disks are still to
 * be flushed. */
void service_stopping(const struct service *service);

/* Closes the descriptors. If `remove` is true, the pidfile is removed, which is possible only
 * outside of the sandbox. Otherwise the file stays until a supervisor removes it (runfile.h); a
 * pidfile that is not locked belongs to a process that has ended. */
void service_close(const struct service *service, bool remove);

#endif
