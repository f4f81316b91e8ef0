/* SPDX-License-Identifier: BSD-3-Clause */
/* Pause and resume of the guest, on the job thread. */
#include "dataplane/base.h"
#include "vmm/machine/internal.h"

void machine_stop_vcpus(struct machine *m)
{
	vcpu_pause_request(&m->vcpu_pause);
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_kick(&m->vcpu[i]);
	vcpu_pause_wait_all(&m->vcpu_pause);
}

bool machine_is_ending(const struct machine *m)
{
	return LOAD_ACQUIRE(m->vm_exit.why) != VM_RUNNING;
}

/* Pauses the guest. The vCPUs are paused first, so that none of them activates a queue or resets a
 * disk while the disks are being paused. */
void machine_halt(struct machine *m)
{
	machine_stop_vcpus(m);
	for (unsigned int i = 0; i < m->disk_count; i++)
		blk_hold(m->disk[i].blk);
	for (unsigned int i = 0; i < m->disk_count && !machine_is_ending(m); i++)
		blk_pause(m->disk[i].blk);
}

void machine_resume(struct machine *m)
{
	for (unsigned int i = 0; i < m->disk_count; i++)
		blk_resume(m->disk[i].blk);
	vcpu_pause_release(&m->vcpu_pause);
}
