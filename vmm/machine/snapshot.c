/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command snapshot, on the job thread.
 *
 * The guest is paused while its state, its memory and with --clone-disks its disks are written, and
 * goes on before they are synced: the page cache has them by then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/console/serial.h"
#include "vmm/machine/restore.h"
#include "vmm/report.h"
#include "vmm/state/memory_file.h"
#include "vmm/write_all.h"

#define NS_PER_US 1000u

/* A snapshot that is being taken. Descriptors are -1 if a file is not open. */
struct snapshot {
	struct control_job *job;
	struct machine *machine;
	struct snapshot_dir dir;
	int state_fd, memory_fd;
	struct memory_image image;
	struct page_set own;		/* pages that the guest has of its own */
	struct base_section base;	/* of a diff */
	int disk_fd[DEVLIST_MAX_DISKS]; /* clones */
};

int machine_snapshots_open(struct machine *m)
{
	const char *path = m->config->snapshot_dir;

	if (!path)
		return 0;
	m->snapshot_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->snapshot_fd < 0)
		return report_option(-errno, "--snapshot-dir", path, NULL);
	if (faccessat(m->snapshot_fd, ".", W_OK, AT_EACCESS))
		return report_option(-errno, "--snapshot-dir", path, NULL);
	if (getrandom(&m->next_identity, sizeof(m->next_identity), 0) != sizeof(m->next_identity))
		return report_host(-EIO, "--snapshot-dir: random bytes");
	m->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return m->pagemap_fd < 0 ? report_host(-errno, "--snapshot-dir: /proc/self/pagemap") : 0;
}

/* ---- state ---- */

static int refuse(struct snapshot *s, int err, const char *what)
{
	control_refuse(&s->job->answer, "failed", "%s: %s", what, strerror(-err));
	return err;
}

static int check_vcpus(struct snapshot *s)
{
	struct machine *m = s->machine;

	/* The pause may have been cut short. */
	if (machine_is_ending(m))
		return refuse(s, -ECANCELED, "the VM ends");
	for (unsigned int i = 0; i < m->vcpu_count; i++) {
		if (!m->vcpu[i].parked_err)
			continue;
		control_refuse(&s->job->answer, "failed",
			       "vCPU %u does not complete its instruction", i);
		return m->vcpu[i].parked_err;
	}
	return 0;
}

static void save_requests(struct snapshot *s, unsigned int i, struct state_writer *out)
{
	struct blk *blk = s->machine->disk[i].blk;

	for (unsigned int n = 0; n < blk_virtio(blk)->queue_count; n++) {
		size_t size = blk_save_requests(blk, n, NULL);
		void *data =
			size ? state_reserve(out, TAG_PARKED, section_queue(i, n), size) : NULL;

		if (data)
			blk_save_requests(blk, n, data);
	}
}

static int save_disk(struct snapshot *s, unsigned int i, struct state_writer *out)
{
	struct disk *disk = &s->machine->disk[i];
	struct disk_section section;
	unsigned int queue = 0;
	int err;

	memset(&section, 0, sizeof(section));
	err = virtio_mmio_save(&disk->mmio, &section.mmio, &queue);
	if (err) {
		control_refuse(&s->job->answer, "failed", "disk %u does not finish its requests",
			       i);
		return err;
	}
	blk_save(disk->blk, &section.blk);
	state_put(out, TAG_DISK, i, &section, sizeof(section));
	save_requests(s, i, out);
	return 0;
}

/* Writes the sections about memory. The random bytes were drawn when the VM was set up; counting
 * makes them different for each of its snapshots. */
static void save_memory(struct snapshot *s, struct state_writer *out)
{
	struct machine *m = s->machine;

	for (unsigned int i = 0; !++m->next_identity.byte[i] && i + 1 < sizeof(m->next_identity);)
		i++;
	state_put(out, TAG_IDENTITY, 0, &m->next_identity, sizeof(m->next_identity));
	if (!s->job->request.diff)
		return;
	state_put(out, TAG_BASE, 0, &s->base, sizeof(s->base));
	page_set_put(&s->own, out);
}

/* Writes the sections of the devices. They come before KVM's state: a disk that finishes its last
 * requests may raise an interrupt. */
static int save_devices(struct snapshot *s, struct state_writer *out)
{
	struct machine *m = s->machine;
	const struct machine_section machine = {
		.memory = m->config->memory,
		.cpus = m->config->cpus,
		.description = m->devices.description,
		.serial = m->serial != NULL,
		.disks = m->disk_count,
		.exit_port = m->config->exit_port.port,
	};
	int err = 0;

	state_put(out, TAG_MACHINE, 0, &machine, sizeof(machine));
	for (unsigned int i = 0; i < m->disk_count && !err; i++)
		err = save_disk(s, i, out);
	if (!err && m->serial) {
		struct serial_state serial;

		serial_save(m->serial, &serial);
		state_put(out, TAG_SERIAL, 0, &serial, sizeof(serial));
	}
	return err;
}

static int save_kvm(struct snapshot *s, struct state_writer *out)
{
	struct machine *m = s->machine;
	int *fds = calloc(m->vcpu_count, sizeof(*fds));
	const char *call = "";
	int err;

	if (!fds)
		return refuse(s, -ENOMEM, "state");
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		fds[i] = m->vcpu[i].fd;
	err = arch_state_save(m->arch_state, m->vm.fd, fds, m->vcpu_count, out, &call);
	free(fds);
	if (err)
		control_refuse(&s->job->answer, "failed", "KVM_GET_%s: %s", call, strerror(-err));
	return err;
}

/* Finds the guest's own pages, once the disks have finished their requests: those may write to pages
 * for the first time. */
static int find_pages(struct snapshot *s)
{
	int err = page_set_scan(&s->own, s->machine->pagemap_fd, s->image.base, s->image.size,
				PAGES_OWN, s->image.cancel);

	if (err)
		return refuse(s, err, "page map");
	s->job->pages = page_set_count(&s->own);
	return 0;
}

static int write_state(struct snapshot *s)
{
	struct state_writer out;
	int err;

	state_begin(&out, arch_state_machine());
	err = save_devices(s, &out);
	if (!err)
		err = save_kvm(s, &out);
	if (!err)
		err = find_pages(s);
	if (!err) {
		save_memory(s, &out);
		err = state_end(&out);
		if (!err)
			err = write_all(s->state_fd, out.data, out.size);
		if (err)
			refuse(s, err, "state");
	}
	state_free(&out);
	return err;
}

/* ---- files ---- */

static int create_file(struct snapshot *s, const char *name, int *fd)
{
	*fd = snapshot_dir_file(&s->dir, name);
	return *fd < 0 ? refuse(s, *fd, name) : 0;
}

/* Creates the files, and copies what the guest cannot change. */
static int create_files(struct snapshot *s)
{
	int err = snapshot_dir_create(&s->dir, s->machine->snapshot_fd, s->job->request.name);

	if (err)
		return refuse(s, err, "directory");
	err = create_file(s, SNAPSHOT_STATE, &s->state_fd);
	if (!err)
		err = create_file(s, SNAPSHOT_MEMORY, &s->memory_fd);
	if (err || s->job->request.diff)
		return err;
	err = memory_file_begin(s->memory_fd, &s->image);
	return err ? refuse(s, err, SNAPSHOT_MEMORY) : 0;
}

/* Clones the disks that the guest can write. */
static int clone_disks(struct snapshot *s)
{
	struct machine *m = s->machine;
	char name[SNAPSHOT_DISK_NAME];
	int err = 0;

	_Static_assert(SNAPSHOT_DISKS == DEVLIST_MAX_DISKS, "names of clones");
	for (unsigned int i = 0; s->job->request.clone_disks && i < m->disk_count && !err; i++) {
		if (m->config->disk[i].readonly)
			continue;
		snapshot_disk_name(name, i);
		err = create_file(s, name, &s->disk_fd[i]);
		if (err)
			break;
		err = machine_clone_disk(m, i, s->disk_fd[i]);
		if (err)
			refuse(s, err, name);
	}
	return err;
}

static int write_memory(struct snapshot *s)
{
	int err = memory_file_write(s->memory_fd, &s->image, &s->own, s->job->request.diff);

	return err ? refuse(s, err, SNAPSHOT_MEMORY) : 0;
}

/* Makes all durable, the guest's completed writes as well, and gives the snapshot its name. */
static int commit(struct snapshot *s)
{
	struct machine *m = s->machine;
	int err = 0;

	for (unsigned int i = 0; i < m->disk_count && !err; i++) {
		err = blk_flush(m->disk[i].blk);
		if (err)
			refuse(s, err, m->config->disk[i].path);
	}
	if (!err && (fsync(s->state_fd) || fsync(s->memory_fd)))
		err = refuse(s, -errno, "sync");
	for (unsigned int i = 0; i < m->disk_count && !err; i++)
		if (s->disk_fd[i] >= 0 && fsync(s->disk_fd[i]))
			err = refuse(s, -errno, "sync");
	if (err)
		return err;
	err = snapshot_dir_commit(&s->dir);
	return err ? refuse(s, err, "directory") : 0;
}

/* Refuses VMs whose disks would not be what the restored guest has written: the writes to an
 * ephemeral disk end with this process, unless it is cloned. */
static int check_disks(struct snapshot *s)
{
	struct machine *m = s->machine;

	for (unsigned int i = 0; i < m->disk_count; i++) {
		const struct blk_config *disk = &m->config->disk[i];
		const char *why = NULL;

		if (disk->ephemeral && !s->job->request.clone_disks)
			why = "ephemeral: a snapshot without clones would lack its writes";
		else if (!disk->readonly && s->job->request.clone_disks && !machine_can_clone(m, i))
			why = "a block device, which cannot be cloned";
		if (!why)
			continue;
		control_refuse(&s->job->answer, "failed", "disk %u is %s", i, why);
		return -EINVAL;
	}
	return 0;
}

static void close_file(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Pauses the guest, writes it, and lets it go on unless it has to stay paused. */
static int write_paused(struct snapshot *s)
{
	struct machine *m = s->machine;
	bool was_paused = m->commands.owner_paused;
	uint64_t began = monotonic_ns();
	int err;

	if (!was_paused)
		machine_halt(m);
	err = check_vcpus(s);
	if (!err)
		err = write_state(s);
	if (!err)
		err = clone_disks(s);
	if (!err)
		err = write_memory(s);
	m->commands.owner_paused = was_paused || (s->job->request.stay && !err);
	s->job->changed = m->commands.owner_paused != was_paused;
	if (!m->commands.owner_paused)
		machine_resume(m);
	s->job->paused_us = (monotonic_ns() - began) / NS_PER_US;
	return err;
}

/* Undoes the pause of write_paused. */
static void resume(struct snapshot *s)
{
	s->machine->commands.owner_paused = false;
	s->job->changed = false;
	machine_resume(s->machine);
}

static void take_snapshot(struct control_job *job, struct machine *m)
{
	struct snapshot s = {
		.job = job,
		.machine = m,
		.dir.fd = -1,
		.state_fd = -1,
		.memory_fd = -1,
		.image = { m->memory.base, m->memory.size, machine_restore_memory(m),
			   &m->vm_exit.why },
	};
	uint64_t began = monotonic_ns();
	int err;

	memset(s.disk_fd, -1, sizeof(s.disk_fd));
	if (!snapshot_name_valid(job->request.name)) {
		control_refuse(&job->answer, "bad-request",
			       "a name has letters, digits, '_', '-' and '.', not first");
		return;
	}
	if (check_disks(&s) || (job->request.diff && machine_snapshot_base(job, m, &s.base)))
		return;
	err = create_files(&s);
	if (!err)
		err = write_paused(&s);
	if (!err) {
		err = commit(&s);
		/* Without a snapshot, the guest goes on. */
		if (err && job->changed)
			resume(&s);
	}
	snapshot_dir_cancel(&s.dir);
	close_file(s.state_fd);
	close_file(s.memory_fd);
	page_set_free(&s.own);
	for (unsigned int i = 0; i < m->disk_count; i++)
		close_file(s.disk_fd[i]);
	job->total_us = (monotonic_ns() - began) / NS_PER_US;
}

void machine_snapshot(struct job *queued)
{
	struct control_job *job = container_of(queued, struct control_job, job);
	struct machine *m = container_of(job->commands, struct machine, commands);

	if (job->request.command == CONTROL_RECORD)
		machine_record(job, m);
	else
		take_snapshot(job, m);
}
