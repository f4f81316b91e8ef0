/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * supervisor: the second process of a VM that root starts with --user. The VM is process 1 of a namespace
 * of its own, and sees no other process; the supervisor stays outside, as what was started, and stands for
 * it: it is told signals, has the id in the pidfile, speaks with the service manager, and ends as the VM
 * does. It holds neither image nor KVM nor console, and hears no more of the VM than three words and its end.
 *
 * When it dies, be it by SIGKILL, the kernel kills the VM. Each process has one thread as long as this
 * is set up.
 */
#ifndef VMM_SUPERVISOR_H
#define VMM_SUPERVISOR_H

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "vmm/options/options.h"
#include "vmm/service/runfile.h"
#include "vmm/service/service.h"

struct supervisor {
	pid_t vm;	    /* as the supervisor sees it */
	int fd;		    /* between the two, a socket: this process's end */
	unsigned int words; /* of the VM's, that have been heard */
	struct runfile pidfile, control;
	sigset_t heard; /* signals that the supervisor takes from signal_fd */
	int signal_fd;
};

/*
 * Makes the namespace and forks, before any thread, file and KVM. Returns 1 in the supervisor; 0 in the
 * VM, where SUPERVISOR_SIGNAL is blocked from now on; or -errno, and nothing has changed: the
 * host has no such namespace, or lacks what a supervisor needs.
 */
int supervisor_fork(struct supervisor *supervisor);

/*
 * The supervisor: confines itself, waits, and removes the pidfile and the control socket. Returns the VM's
 * exit code, or minus the signal that has ended it.
 */
int supervisor_run(struct supervisor *supervisor, const struct service *service,
		   const struct machine_config *config);

/*
 * The signal by which the VM is told of those that its supervisor got. The VM heeds no others: what a
 * terminal or kill(1) sends to a group reaches both processes, and is to count once.
 */
#define SUPERVISOR_SIGNAL (SIGRTMIN + 1)

/* Which one that was: SIGTERM, SIGINT or SIGQUIT. 0: it came from somebody else. */
int supervisor_passed(const struct signalfd_siginfo *info);

#endif
