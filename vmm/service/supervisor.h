/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * supervisor: parent process of a VM that runs in its own PID namespace.
 *
 * If root starts a VM with --user, the VM's process becomes process 1 of a new PID namespace, where
 * it sees no other process. The process that was started stays outside as the supervisor: it
 * receives and forwards signals, its id is in the pidfile, it notifies the service manager, and it
 * ends with the status of the VM. The supervisor holds no image, KVM or console descriptor; it
 * receives only the three notifications of service.h and the exit status from the VM.
 *
 * If the supervisor dies, even by SIGKILL, the kernel kills the VM. Both processes are
 * single-threaded during this set-up.
 */
#ifndef VMM_SERVICE_SUPERVISOR_H
#define VMM_SERVICE_SUPERVISOR_H

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "vmm/options/options.h"
#include "vmm/service/runfile.h"
#include "vmm/service/service.h"

struct supervisor {
	pid_t vm;	    /* the VM's process id in the supervisor's namespace */
	int fd;		    /* this process's end of the socket pair between the two */
	unsigned int words; /* number of notifications received from the VM */
	struct runfile pidfile, control, console;
	sigset_t heard; /* signals that the supervisor reads from signal_fd */
	int signal_fd;	/* a signalfd; -1 in the VM's process */
};

/*
 * Creates the PID namespace and forks, before any thread, control socket or KVM descriptor exists.
 * Returns 1 in the supervisor, and 0 in the VM's process, where SUPERVISOR_SIGNAL is blocked from
 * now on. -errno: there is no supervisor and the process runs as before, because the host has no
 * PID namespaces or the process lacks CAP_KILL. -EAGAIN: a limit on processes forbids the fork.
 */
int supervisor_fork(struct supervisor *supervisor);

/*
 * Runs the supervisor: enters its sandbox, waits for the VM to end, and removes the pidfile and the
 * sockets. Returns the VM's exit code, or minus the number of the signal that killed it.
 */
int supervisor_run(struct supervisor *supervisor, const struct service *service,
		   const struct machine_config *config);

/*
 * Signal by which the supervisor forwards SIGTERM, SIGINT and SIGQUIT to the VM. The VM's process
 * reads no other signal, because a signal that a terminal or kill(1) sends to the process group
 * reaches both processes and must count once.
 */
#define SUPERVISOR_SIGNAL (SIGRTMIN + 1)

/* The connection of the VM's process with its supervisor. */
struct supervisor_link {
	int fd;	      /* its end of the socket pair; 0: there is no supervisor */
	int pids_err; /* -errno of the PID namespace, if one was wanted and failed */
};

/* Returns the forwarded signal (SIGTERM, SIGINT or SIGQUIT) of a SUPERVISOR_SIGNAL; 0: the signal
 * carries none of these, and was not sent by the supervisor. */
int supervisor_passed(const struct signalfd_siginfo *info);

#endif
