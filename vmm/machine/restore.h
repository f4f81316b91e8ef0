/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore: the snapshot of --restore.
 *
 * For restore.c, which has the devices, restore_memory.c, and snapshot_base.c.
 */
#ifndef VMM_MACHINE_RESTORE_H
#define VMM_MACHINE_RESTORE_H

#include <sys/stat.h>

#include "vmm/machine/internal.h"
#include "vmm/machine/sections.h"

struct restore {
	struct machine_config config; /* the command line's, completed by the snapshot */
	struct state_reader in;
	void *data; /* the state file; NULL once all is restored */
	struct machine_section machine;
	struct identity identity;
	/* Name of the directory, for working sets and diffs; empty without --snapshot-dir. */
	char name[SNAPSHOT_NAME_MAX + 1];
	struct stat state_at; /* the state file */
	/* The full snapshot: this one, or the base of a diff. */
	struct base_section base;
	int memory_fd;		 /* its memory file */
	int diff_fd;		 /* the memory file of a diff; -1: none */
	struct page_set changed; /* the pages in diff_fd */
	struct page_set set;	 /* the pages of --prefault set */
};

/* Reports why the snapshot cannot be restored; `file` is the one at fault, or "". Returns err. */
int restore_refuse(const struct machine *m, int err, const char *file, const char *why);
int restore_refuse_errno(const struct machine *m, int err, const char *file);

/* Opens the file `name` of the snapshot, or of its base, for reading; any kind of file, without
 * waiting. Messages show `shown`. Returns its descriptor or -errno, logged. */
int restore_open_file(const struct machine *m, int dir_fd, const char *name, const char *shown);

/* Loads and checks the state file in a directory into *data, which the caller frees in any case.
 * 0 or -errno, logged. */
int restore_load(const struct machine *m, int dir_fd, const char *shown, struct state_reader *in,
		 void **data, struct identity *identity);

/* Opens and checks the memory file of the snapshot in the directory, its base and its working set,
 * once state and machine are read. 0 or -errno, logged. */
int restore_open_memory(struct machine *m, int dir_fd);

void restore_close_memory(struct restore *r);

/* Stores the base of the diff that the job asks for. Returns 0, or -EINVAL if there can be none,
 * which is the job's answer. */
int machine_snapshot_base(struct control_job *job, const struct machine *m,
			  struct base_section *base);

/* Executes the command record. */
void machine_record(struct control_job *job, const struct machine *m);

#endif
