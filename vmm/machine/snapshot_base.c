/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the commands of a restored VM refer to, on the job thread: the base of a diff, and the
 * snapshot whose working set is recorded. Both have to be in --snapshot-dir.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/machine/restore.h"

/* Returns whether the file of a snapshot in --snapshot-dir is still the one that was opened. */
static bool is_there(const struct machine *m, const char *name, const char *file,
		     const struct stat *opened)
{
	char path[SNAPSHOT_NAME_MAX + 20];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", name, file);
	return *name && !fstatat(m->snapshot_fd, path, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_dev == opened->st_dev && st.st_ino == opened->st_ino;
}

/* Refuses the command because of the snapshot that the VM was restored from. */
static int refuse(struct control_job *job, const char *fmt, const char *name)
{
	control_refuse(&job->answer, "no-base", fmt, name);
	return -EINVAL;
}

static int check_restored(struct control_job *job, const struct machine *m)
{
	return m->restore ? 0 : refuse(job, "the VM was not restored%s", "");
}

int machine_snapshot_base(struct control_job *job, const struct machine *m,
			  struct base_section *base)
{
	struct stat opened;
	int err = check_restored(job, m);

	if (err)
		return err;
	*base = m->restore->base;
	if (fstat(m->restore->memory_fd, &opened) ||
	    !is_there(m, base->name, SNAPSHOT_MEMORY, &opened))
		return refuse(job, "the base %s is not in --snapshot-dir, or was replaced",
			      base->name);
	if (!strcmp(base->name, job->request.name))
		return refuse(job, "a diff cannot replace its base, %s", base->name);
	return 0;
}

void machine_record(struct control_job *job, const struct machine *m)
{
	const struct restore *r = m->restore;
	struct page_set set = { .bits = NULL };
	int err;

	if (check_restored(job, m))
		return;
	if (!is_there(m, r->name, SNAPSHOT_STATE, &r->state_at)) {
		refuse(job, "the snapshot %s is not in --snapshot-dir, or was replaced", r->name);
		return;
	}
	if (m->config->prefault != PREFAULT_NONE) {
		refuse(job, "the VM was restored with --prefault%s", "");
		return;
	}
	err = page_set_scan(&set, m->pagemap_fd, m->memory.base, m->memory.size, PAGES_PRESENT,
			    &m->vm_exit.why);
	job->pages = page_set_count(&set);
	if (!err)
		err = working_set_write(m->snapshot_fd, r->name, arch_state_machine(), &r->identity,
					&set);
	if (err)
		control_refuse(&job->answer, "failed", SNAPSHOT_SET ": %s", strerror(-err));
	page_set_free(&set);
}
