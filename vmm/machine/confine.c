/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/machine/confine.h"

#include "vmm/report.h"

int confine_init(struct confine *c, const struct machine_config *config)
{
	const char *why;
	int err = 0;

	*c = (struct confine){
		.config = config,
		.threads = {
			.make = maker_run,
			.plane = {
				[BLK_ENGINE_URING] = sandbox_thread(SANDBOX_URING),
				[BLK_ENGINE_IOPOLL] = sandbox_thread(SANDBOX_URING),
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

struct blk_config confine_disk(const struct confine *c, unsigned int i)
{
	struct blk_config disk = c->config->disk[i];

	if (c->config->sandbox != SANDBOX_OFF)
		disk.threads = &c->threads;
	return disk;
}

int confine_enter(struct confine *c, unsigned int more_fds)
{
	const struct machine_config *config = c->config;
	struct sandbox_config sandbox = {
		.mode = config->sandbox,
		.user = config->user ? &c->user : NULL,
		.core_dump = config->core_dump,
		.more_fds = more_fds,
		.supervisor_fd = config->supervisor_fd,
		.pids_err = config->pids_err,
	};
	int err;

	for (unsigned int i = 0; i < config->disk_count; i++)
		sandbox.lock_memory |= config->disk[i].fixed_buffers;
	err = sandbox_enter(&sandbox);
	if (err || config->sandbox == SANDBOX_OFF)
		return err;
	err = maker_start(&c->maker);
	c->threads.maker = c->maker;
	return err ? report_start(err, "the thread that starts the threads of disks") : 0;
}

void confine_end(struct confine *c)
{
	maker_stop(c->maker);
	c->maker = NULL;
}
