/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * confine: the sandbox of one VM: what the command line says of it, the thread that makes what vCPUs
 * may not, and what each thread does first. Main thread.
 */
#ifndef VMM_CONFINE_H
#define VMM_CONFINE_H

#include "devices/virtio/blk.h"
#include "vmm/sandbox/spawner.h"
#include "vmm/options/options.h"
#include "vmm/sandbox/sandbox.h"

struct vm_sandbox {
	const struct machine_config *config;
	struct sandbox_user user;
	struct spawner *spawner;
	struct blk_threads threads; /* for the disks */
};

/* Before anything is opened. 0, or -errno, and a line has been logged. */
int confine_init(struct vm_sandbox *vm_sandbox, const struct machine_config *config);

/* The configuration of disk i, with what confines its threads. */
struct blk_config confine_disk(const struct vm_sandbox *vm_sandbox, unsigned int i);

/* When this is the only thread and all but more_fds descriptors are open. As confine_init. */
int confine_enter(struct vm_sandbox *vm_sandbox, unsigned int more_fds);

/* When all vCPU threads are gone; zeroed and not entered: nothing. */
void confine_end(struct vm_sandbox *vm_sandbox);

#endif
