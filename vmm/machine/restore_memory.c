/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest RAM of a VM that is restored: a private mapping of the memory file of a full snapshot, over
 * which the pages of a diff are laid.
 *
 * A diff names the snapshot that it belongs to. That has to be beside it, with the identity that it
 * had. Pages of a working set are mapped before the guest runs; a set that does not fit is ignored,
 * because the guest runs without it as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/machine/restore.h"
#include "vmm/report.h"
#include "vmm/state/memory_file.h"

#define SHOWN_SIZE (SNAPSHOT_NAME_MAX + 24) /* "../NAME/memory" */
#define WHY_SIZE   100
#define DATA_UNIT  65536 /* a multiple of all page sizes */

/* Opens the memory file in the directory and checks its kind and size. Messages show `shown`. */
static int open_memory(const struct machine *m, int dir_fd, const char *shown, uint64_t size,
		       int *fd)
{
	struct stat st;
	char why[WHY_SIZE];

	*fd = restore_open_file(m, dir_fd, SNAPSHOT_MEMORY, shown);
	if (*fd < 0)
		return *fd;
	if (fstat(*fd, &st))
		return restore_refuse_errno(m, -errno, shown);
	if (!S_ISREG(st.st_mode))
		return restore_refuse(m, -EINVAL, shown, "is not a regular file");
	if ((uint64_t)st.st_size == size)
		return 0;
	snprintf(why, sizeof(why), "has %lld bytes instead of %" PRIu64, (long long)st.st_size,
		 size);
	return restore_refuse(m, -EINVAL, shown, why);
}

/* Checks that the snapshot in the directory is the base: a full one, with its identity. */
static int check_base(const struct machine *m, int dir_fd, const char *shown)
{
	const struct restore *r = m->restore;
	struct state_reader in = { .data = NULL };
	struct identity identity;
	void *data = NULL;
	size_t size;
	int err = restore_load(m, dir_fd, shown, &in, &data, &identity);

	if (!err && memcmp(&identity, &r->base.identity, sizeof(identity)) != 0)
		err = restore_refuse(m, -EINVAL, shown, "is not that of the diff's base");
	if (!err && state_find(&in, TAG_BASE, 0, &size))
		err = restore_refuse(m, -EINVAL, shown, "is that of a diff, which is no base");
	free(data);
	return err;
}

/* Opens the base of a diff. All its files are those of one directory, even if another one gets the
 * name meanwhile. */
static int open_base(struct machine *m, int dir_fd)
{
	struct restore *r = m->restore;
	char path[SHOWN_SIZE], shown[SHOWN_SIZE];
	int base_fd, err;

	snprintf(path, sizeof(path), "../%s", r->base.name);
	base_fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base_fd < 0)
		return restore_refuse_errno(m, -errno, path);
	snprintf(shown, sizeof(shown), "../%s/" SNAPSHOT_STATE, r->base.name);
	err = check_base(m, base_fd, shown);
	snprintf(shown, sizeof(shown), "../%s/" SNAPSHOT_MEMORY, r->base.name);
	if (!err)
		err = open_memory(m, base_fd, shown, r->machine.memory, &r->memory_fd);
	close(base_fd);
	return err;
}

/* Reads the sections of a diff. 0 or -EINVAL with r->in.why. */
static int read_diff(struct restore *r)
{
	struct base_section *base = &r->base;
	int err = state_get(&r->in, TAG_BASE, 0, base, sizeof(*base));

	if (!err && (memchr(base->name, '\0', sizeof(base->name)) == NULL ||
		     !snapshot_name_valid(base->name)))
		err = state_refuse(&r->in, TAG_BASE, 0, "has an invalid name");
	return err ? err : page_set_get(&r->changed, &r->in, r->machine.memory);
}

static int open_diff(struct machine *m, int dir_fd)
{
	struct restore *r = m->restore;
	int err = read_diff(r);

	if (err)
		return restore_refuse(m, err, SNAPSHOT_STATE,
				      r->in.why[0] ? r->in.why : strerror(-err));
	err = open_memory(m, dir_fd, SNAPSHOT_MEMORY, page_set_count(&r->changed) * r->changed.page,
			  &r->diff_fd);
	return err ? err : open_base(m, dir_fd);
}

/* Reads the working set, or says why it is ignored. */
static void open_set(struct machine *m, int dir_fd)
{
	struct restore *r = m->restore;
	struct state_reader in = { .data = NULL };
	int fd = openat(dir_fd, SNAPSHOT_SET, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int err = fd < 0 ? -errno
			 : working_set_read(fd, arch_state_machine(), &r->identity,
					    r->machine.memory, &r->set, &in);

	if (fd >= 0)
		close(fd);
	if (!err)
		return;
	page_set_free(&r->set);
	log_warn("--prefault set: ignored: " SNAPSHOT_SET "%s%s", in.why[0] ? " " : ": ",
		 in.why[0] ? in.why : strerror(-err));
}

/* Finds the name of the snapshot's directory, for commands that refer to it. */
static void find_name(struct restore *r, int dir_fd)
{
	char link[40], path[PATH_MAX];
	const char *name;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len > 0 ? len : 0] = '\0';
	name = strrchr(path, '/');
	if (name && snapshot_name_valid(name + 1) &&
	    !fstatat(dir_fd, SNAPSHOT_STATE, &r->state_at, 0))
		strcpy(r->name, name + 1);
}

int restore_open_memory(struct machine *m, int dir_fd)
{
	struct restore *r = m->restore;
	size_t size;
	int err;

	if (m->config->snapshot_dir)
		find_name(r, dir_fd);
	if (state_find(&r->in, TAG_BASE, 0, &size)) {
		err = open_diff(m, dir_fd);
	} else {
		r->base.identity = r->identity;
		strcpy(r->base.name, r->name);
		err = open_memory(m, dir_fd, SNAPSHOT_MEMORY, r->machine.memory, &r->memory_fd);
	}
	if (!err && m->config->prefault == PREFAULT_SET)
		open_set(m, dir_fd);
	return err;
}

int machine_restore_memory(const struct machine *m)
{
	return m->restore ? m->restore->memory_fd : -1;
}

/* Maps the pages for which the memory file has data. The holes of the file would take memory. */
static void prefault_all(const struct machine *m)
{
	off_t size = (off_t)m->memory.size, at = 0, data;
	int fd = m->restore->memory_fd;

	while (at < size && (data = lseek(fd, at, SEEK_DATA)) >= 0) {
		off_t hole = lseek(fd, data, SEEK_HOLE);

		data -= data % DATA_UNIT;
		at = hole > data && hole < size ? hole : size;
		memory_prefault(&m->memory, (uint64_t)data, (uint64_t)(at - data));
	}
}

int machine_restore_fill(struct machine *m)
{
	struct restore *r = m->restore;
	struct page_run run = { 0 };
	int err = 0;

	if (!r)
		return 0;
	if (r->diff_fd >= 0) {
		err = memory_file_read_diff(r->diff_fd, m->memory.base, &r->changed);
		close(r->diff_fd);
		r->diff_fd = -1;
	}
	if (err)
		return restore_refuse_errno(m, err, SNAPSHOT_MEMORY);
	page_set_free(&r->changed);
	if (m->config->prefault == PREFAULT_ALL)
		prefault_all(m);
	while (page_set_next(&r->set, &run))
		memory_prefault(&m->memory, run.first * r->set.page, run.count * r->set.page);
	page_set_free(&r->set);
	return 0;
}

void restore_close_memory(struct restore *r)
{
	if (r->memory_fd >= 0)
		close(r->memory_fd);
	if (r->diff_fd >= 0)
		close(r->diff_fd);
	page_set_free(&r->changed);
	page_set_free(&r->set);
}
