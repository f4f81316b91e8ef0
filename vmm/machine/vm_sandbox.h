/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm_sandbox: sandbox of one VM, as configured on the command line.
 *
 * The struct holds the user to switch to, the spawner (the thread that creates threads and rings
 * for vCPUs, whose seccomp filter forbids this), and the filters of the disks' threads. Main
 * thread.
 */
#ifndef VMM_MACHINE_VM_SANDBOX_H
#define VMM_MACHINE_VM_SANDBOX_H

#include "devices/virtio/blk.h"
#include "vmm/sandbox/spawner.h"
#include "vmm/options/options.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/service/supervisor.h"

struct vm_sandbox {
	const struct machine_config *config;
	struct sandbox_user user;
	struct spawner *spawner;
	struct blk_threads threads; /* how the disks create and restrict their threads */
};

/* Initialises *vm_sandbox and looks up the user of --user, before any file is opened. 0 or -errno;
 * a failure has been logged. */
int vm_sandbox_init(struct vm_sandbox *vm_sandbox, const struct machine_config *config);

/* Returns the configuration of disk i, completed by the sandbox of its threads. */
struct blk_config vm_sandbox_disk(const struct vm_sandbox *vm_sandbox, unsigned int i);

/* Enters the sandbox and starts the spawner. The caller is the only thread, and at most more_fds
 * descriptors will be opened afterwards. Only below the directory snapshot_fd (0: none) the
 * process can still create files. 0 or -errno; a failure has been logged. */
int vm_sandbox_enter(struct vm_sandbox *vm_sandbox, const struct supervisor_link *link,
		     int snapshot_fd, unsigned int more_fds);

/* Stops the spawner, after all vCPU threads have ended. Does nothing if the sandbox was not
 * entered; *vm_sandbox may be zeroed. */
void vm_sandbox_end(struct vm_sandbox *vm_sandbox);

#endif
