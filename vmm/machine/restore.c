/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --restore: the set-up of a VM that continues a snapshot.
 *
 * Memory size, CPUs and the kinds of devices come from the snapshot; paths, sockets, the console
 * and the sandbox from the command line. What does not fit is refused before KVM is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/console/serial.h"
#include "vmm/machine/restore.h"
#include "vmm/report.h"

#define WHY_SIZE 200

static int load_state(struct machine *m, int dir_fd)
{
	struct restore *r = m->restore;
	int err = restore_load(m, dir_fd, SNAPSHOT_STATE, &r->in, &r->data, &r->identity);

	if (err)
		return err;
	err = state_get(&r->in, TAG_MACHINE, 0, &r->machine, sizeof(r->machine));
	return err ? restore_refuse(m, err, SNAPSHOT_STATE, r->in.why) : 0;
}

/* Checks the machine of the snapshot against the command line. */
static int check_machine(const struct machine *m)
{
	const struct machine_section *machine = &m->restore->machine;
	const struct machine_config *config = m->config;
	char why[WHY_SIZE];

	if (machine->memory < MEMORY_MIN || machine->memory > MEMORY_MAX ||
	    machine->memory % 4096 || !machine->cpus || machine->cpus > CPUS_MAX ||
	    (machine->description != DESCRIBE_ACPI && machine->description != DESCRIBE_FDT))
		return restore_refuse(m, -EINVAL, SNAPSHOT_STATE, "describes no possible machine");
	if (machine->serial != config->console)
		return report_option(-EINVAL, "--console", config->console_text,
				     machine->serial ? "the guest of the snapshot has a serial port"
						     : "the guest of the snapshot has no serial "
						       "port: --console off");
	if (machine->disks != config->disk_count) {
		snprintf(why, sizeof(why), "the snapshot has %u disks, the command line has %u",
			 machine->disks, config->disk_count);
		return restore_refuse(m, -EINVAL, "", why);
	}
	if (machine->exit_port == config->exit_port.port)
		return 0;
	snprintf(why, sizeof(why), "the guest of the snapshot has %s exit port",
		 machine->exit_port ? "another" : "no");
	return restore_refuse(m, -EINVAL, "", why);
}

static int get_disk(struct machine *m, unsigned int i, struct disk_section *section)
{
	struct restore *r = m->restore;
	int err = state_get(&r->in, TAG_DISK, i, section, sizeof(*section));

	return err ? restore_refuse(m, err, SNAPSHOT_STATE, r->in.why) : 0;
}

/* Replaces the configuration by one that has the snapshot's values. */
static int complete_config(struct machine *m)
{
	struct restore *r = m->restore;
	unsigned int queues[DEVLIST_MAX_DISKS] = { 0 };
	struct disk_section section;
	int err = 0;

	r->config = *m->config;
	r->config.memory = r->machine.memory;
	r->config.memory_text = "of the snapshot";
	r->config.cpus = r->machine.cpus;
	r->config.description = (enum description)r->machine.description;
	for (unsigned int i = 0; i < r->config.disk_count && !err; i++) {
		err = get_disk(m, i, &section);
		queues[i] = section.mmio.queue_count;
	}
	if (!err)
		err = options_settle_restored(&r->config, queues);
	m->config = m->vm_sandbox.config = &r->config;
	return err;
}

int machine_restore_open(struct machine *m)
{
	const char *path = m->config->restore;
	int dir_fd, err;

	if (!path)
		return 0;
	m->restore = calloc(1, sizeof(*m->restore));
	if (!m->restore)
		return report_host(-ENOMEM, "--restore");
	m->restore->memory_fd = m->restore->diff_fd = -1;
	dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return report_option(-errno, "--restore", path, NULL);
	err = load_state(m, dir_fd);
	if (!err)
		err = check_machine(m);
	if (!err)
		err = restore_open_memory(m, dir_fd);
	close(dir_fd);
	return err ? err : complete_config(m);
}

int machine_restore_check(struct machine *m)
{
	struct disk_section section;

	for (unsigned int i = 0; m->restore && i < m->disk_count; i++) {
		struct disk *disk = &m->disk[i];
		const char *why;
		int err = get_disk(m, i, &section);

		if (err)
			return err;
		why = virtio_mmio_check(&disk->mmio, &section.mmio);
		if (!why)
			why = blk_check(disk->blk, &section.blk, section.mmio.accepted);
		if (why)
			return report_option(-EINVAL, "--disk", m->config->disk[i].path, why);
	}
	return 0;
}

static int restore_kvm(struct machine *m)
{
	struct restore *r = m->restore;
	int *fds = calloc(m->vcpu_count, sizeof(*fds));
	const char *call = "";
	char why[WHY_SIZE];
	int err;

	if (!fds)
		return report_host(-ENOMEM, "vCPUs");
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		fds[i] = m->vcpu[i].fd;
	err = arch_state_restore(m->vm.kvm_fd, m->vm.fd, fds, m->vcpu_count,
				 m->config->advance_clock, &r->in, &call);
	free(fds);
	if (err && r->in.why[0])
		return restore_refuse(m, err, SNAPSHOT_STATE, r->in.why);
	snprintf(why, sizeof(why), "KVM_SET_%s", call);
	return err ? restore_refuse_errno(m, err, why) : 0;
}

int machine_restore_vcpus(struct machine *m)
{
	struct serial_state serial;
	struct restore *r = m->restore;
	int err;

	if (!r)
		return 0;
	err = restore_kvm(m);
	if (err || !m->serial)
		return err;
	err = state_get(&r->in, TAG_SERIAL, 0, &serial, sizeof(serial));
	if (!err && serial_restore(m->serial, &serial))
		err = state_refuse(&r->in, TAG_SERIAL, 0, "is not possible");
	return err ? restore_refuse(m, err, SNAPSHOT_STATE, r->in.why) : 0;
}

/* Hands the failed requests of a disk over, which are repeated when its queues start. */
static void restore_requests(struct machine *m, unsigned int i)
{
	struct blk *blk = m->disk[i].blk;

	for (unsigned int n = 0; n < blk_virtio(blk)->queue_count; n++) {
		size_t size = 0;
		const void *data =
			state_find(&m->restore->in, TAG_PARKED, section_queue(i, n), &size);

		blk_restore_requests(blk, n, data, size);
	}
}

int machine_restore_disks(struct machine *m)
{
	struct restore *r = m->restore;
	struct disk_section section;
	int err = 0;

	if (!r)
		return 0;
	for (unsigned int i = 0; i < m->disk_count && !err; i++) {
		err = get_disk(m, i, &section);
		if (err)
			break;
		blk_restore(m->disk[i].blk, &section.blk);
		restore_requests(m, i);
		err = virtio_mmio_restore(&m->disk[i].mmio, &section.mmio);
		if (err)
			report_option(err, "--disk", m->config->disk[i].path,
				      "cannot continue with the state of the snapshot");
	}
	free(r->data);
	r->data = NULL;
	return err;
}

void machine_restore_close(struct machine *m)
{
	struct restore *r = m->restore;

	if (!r)
		return;
	restore_close_memory(r);
	free(r->data);
	free(r);
	m->restore = NULL;
}
