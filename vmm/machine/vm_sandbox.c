/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/machine/vm_sandbox.h"

#include "vmm/report.h"

int vm_sandbox_init(struct vm_sandbox *c, const struct machine_config *config)
{
	const char *why;
	int err = 0;

	*c = (struct vm_sandbox){
		.config = config,
		.threads = {
			.make = spawner_run,
			.plane = {
				[BLK_ENGINE_URING] = sandbox_thread(SANDBOX_URING),
				[BLK_ENGINE_LIBAIO] = sandbox_thread(SANDBOX_LIBAIO),
				[BLK_ENGINE_SYNC] = sandbox_thread(SANDBOX_SYNC),
			},
			.worker = sandbox_thread(SANDBOX_WORKER),
		},
	};
	if (config->user)
		err = sandbox_find_user(&c->user, config->user, &why);
	return err ? report_option(err, "--user", config->user, why) : 0;
}

struct blk_config vm_sandbox_disk(const struct vm_sandbox *c, unsigned int i)
{
	struct blk_config disk = c->config->disk[i];

	if (c->config->sandbox != SANDBOX_OFF)
		disk.threads = &c->threads;
	return disk;
}

int vm_sandbox_enter(struct vm_sandbox *c, const struct supervisor_link *link, int snapshot_fd,
		     unsigned int more_fds)
{
	const struct machine_config *config = c->config;
	struct sandbox_config sandbox = {
		.mode = config->sandbox,
		.user = config->user ? &c->user : NULL,
		.core_dump = config->core_dump,
		.more_fds = more_fds,
		.supervisor_fd = link->fd,
		.snapshot_fd = snapshot_fd,
		.pids_err = link->pids_err,
	};
	int err = sandbox_enter(&sandbox);

	if (err || config->sandbox == SANDBOX_OFF)
		return err;
	err = spawner_start(&c->spawner);
	c->threads.spawner = c->spawner;
	return err ? report_start(err, "the spawner thread") : 0;
}

void vm_sandbox_end(struct vm_sandbox *c)
{
	spawner_stop(c->spawner);
	c->spawner = NULL;
}
