/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Last part of the set-up: sandbox and threads. A failure here still counts as a set-up error,
 * because the vCPUs execute nothing before machine_run releases the vCPU pause.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/console/console.h"
#include "vmm/machine/internal.h"
#include "vmm/report.h"
#include "vmm/machine/trim.h"

/* Closes /dev/kvm, which is only needed to create VMs and vCPUs, and enters the sandbox. */
static int enter_sandbox(struct machine *m)
{
	unsigned int fds =
		(m->commands.control ? COMMANDS_FDS : 0) + (m->console ? CONSOLE_FDS : 0);
	int err;

	close(m->vm.kvm_fd);
	m->vm.kvm_fd = -1;
	for (unsigned int i = 0; i < m->disk_count; i++)
		fds += blk_fds(m->disk[i].blk);
	if (m->snapshot_fd >= 0)
		fds += MACHINE_SNAPSHOT_FDS;
	err = vm_sandbox_enter(&m->vm_sandbox, m->link, m->snapshot_fd < 0 ? 0 : m->snapshot_fd,
			       fds);
	/* -EMFILE (the descriptor limit is too low) is returned before any privilege is given
	 * up. */
	m->confined = m->config->sandbox != SANDBOX_OFF && err != -EMFILE;
	return err;
}

bool machine_guest_has_run(const struct machine *m)
{
	return m->guest_runs;
}

bool machine_is_confined(const struct machine *m)
{
	return m->confined;
}

static int vcpu_not_started(int err, unsigned int index)
{
	char what[32];

	snprintf(what, sizeof(what), "the thread of vCPU %u", index);
	return report_start(err, what);
}

/* Starts the vCPU threads and waits until each is parked or has failed, so that the guest has
 * executed nothing if one of them cannot run. */
static int start_vcpus(struct machine *m)
{
	vcpu_pause_request(&m->vcpu_pause);
	for (unsigned int i = 0; i < m->vcpu_count; i++) {
		int err = vcpu_start(&m->vcpu[i]);

		if (err)
			return vcpu_not_started(err, i);
	}
	vcpu_pause_wait_all(&m->vcpu_pause);
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		if (m->vcpu[i].start_err)
			return vcpu_not_started(m->vcpu[i].start_err, i);
	return 0;
}

static int begin_main_thread(void)
{
	int err = thread_init(sandbox_thread(SANDBOX_MAIN));

	return err ? report_host(err, "sandbox") : 0;
}

int machine_start(struct machine *m)
{
	int err = enter_sandbox(m);

	if (!err)
		err = commands_start(&m->commands);
	if (!err) {
		trim_start();
		err = start_vcpus(m);
	}
	if (!err)
		err = machine_console_ready(m);
	/* The disks come last: they may write at once. */
	if (!err)
		err = machine_restore_disks(m);
	if (!err)
		err = begin_main_thread();
	return err ? err : machine_stop_asked(m);
}
