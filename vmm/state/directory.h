/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * directory: directory of a snapshot, which appears under its name when it is complete.
 *
 * A snapshot NAME is written to .NAME.new beside it. When all of it is on stable storage, it takes
 * the name in one step, and a snapshot that had the name is removed: its files live on as long as a
 * VM has them open. All paths are relative to a descriptor of the parent directory. One thread at a
 * time. Errors are -errno.
 */
#ifndef VMM_STATE_DIRECTORY_H
#define VMM_STATE_DIRECTORY_H

#include <stdbool.h>

#define SNAPSHOT_NAME_MAX 64

/* Returns whether the name is one of 1 to SNAPSHOT_NAME_MAX letters, digits, '.', '_' and '-', of
 * which the first is no '.'. */
bool snapshot_name_valid(const char *name);

struct snapshot_dir {
	int parent_fd;
	int fd; /* .NAME.new; -1: none */
	char name[SNAPSHOT_NAME_MAX + 1];
	char staged[SNAPSHOT_NAME_MAX + 6]; /* ".NAME.new" */
};

/* Creates the empty directory .NAME.new; one that an interrupted snapshot has left is removed. */
int snapshot_dir_create(struct snapshot_dir *dir, int parent_fd, const char *name);

/* Creates a file for writing. Returns its descriptor, which the caller closes, or -errno. */
int snapshot_dir_file(const struct snapshot_dir *dir, const char *name);

/* Makes the directory, whose files the caller has synced, durable and gives it its name. Afterwards
 * the directory is closed, and after an error that keeps it from its name removed. */
int snapshot_dir_commit(struct snapshot_dir *dir);

/* Removes an incomplete directory. Does nothing if it is closed. */
void snapshot_dir_cancel(struct snapshot_dir *dir);

/* Renames a file or directory. One that has the name already gets the other name in the same step.
 * Returns 1 in that case, 0, or -errno. */
int snapshot_rename(int parent_fd, const char *staged, const char *name);

/* The files of a snapshot. */
#define SNAPSHOT_STATE	    "state"
#define SNAPSHOT_MEMORY	    "memory"
#define SNAPSHOT_SET	    "set"     /* of working_set.h; may be missing */
#define SNAPSHOT_SET_STAGED "set.new" /* one that is being written */

/* Most disks of which a snapshot can have clones, and the size of the name of a clone. */
#define SNAPSHOT_DISKS	   16u
#define SNAPSHOT_DISK_NAME 16u

/* Writes the name of the clone of a disk, "disk0.img" for example. */
void snapshot_disk_name(char name[SNAPSHOT_DISK_NAME], unsigned int disk);

#endif
