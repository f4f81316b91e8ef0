/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm_exit: why a VM ended, and the callback by which devices and vCPUs end it.
 */
#ifndef VMM_VM_EXIT_H
#define VMM_VM_EXIT_H

#include <stdint.h>

/* Reason why the VM ended; the first one reported counts. */
enum vm_end {
	VM_RUNNING = 0,
	VM_END_POWEROFF,
	VM_END_REBOOT,
	VM_END_PANIC,	     /* the guest reported a panic by pvpanic */
	VM_END_PANIC_REBOOT, /* the guest rebooted, and its console shows a panic before that */
	VM_END_STATUS,	     /* the guest wrote its exit status to the port of --exit-port */
	VM_END_CRASH,	     /* triple fault, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY */
	VM_END_QUIT,	     /* requested by the user or a signal */
	VM_END_ERROR,	     /* the VMM cannot continue */
};

/* Exit codes of the process, documented in --help, the man page and README.md. */
enum exit_code {
	EXIT_POWEROFF = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_SETUP = 3,
	EXIT_REBOOT = 4,
	EXIT_PANIC = 5,
	EXIT_CRASH = 6,
	EXIT_QUIT = 7,
};

/* Added to the codes of enum exit_code with --exit-port, so that they differ from the guest's. */
#define EXIT_CODE_OWN 120

/* How each end is reported to users, by enum vm_end. */
extern const struct vm_end_info {
	const char *reason;  /* in the shutdown event of the control socket */
	enum exit_code code; /* the guest's own code takes its place for VM_END_STATUS */
	const char *line;    /* logged at the end; NULL: none, or another module logs it */
} vm_end_info[];

#define VM_CRASH_MAX 128

/* end() may be called from any thread and returns at once: vCPUs stop when they see `why` set. */
struct vm_exit {
	void (*end)(struct vm_exit *vm_exit, enum vm_end why);
	uint32_t why;		  /* enum vm_end; atomic; set once */
	uint32_t crashed;	  /* atomic; 1: a vCPU has crashed, and describes that in `crash` */
	char crash[VM_CRASH_MAX]; /* may be read when the vCPU threads have ended; empty: none */
};

#endif
