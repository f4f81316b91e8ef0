/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/service/runfile.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void runfile_open(struct runfile *f, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	char directory[PATH_MAX] = ".";

	*f = (struct runfile){ .dir_fd = -1, .file_fd = -1 };
	if (!path || (slash && slash - path >= PATH_MAX - 1))
		return;
	/* The slash is kept, so that "/file" gives the directory "/". */
	if (slash)
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash + 1 - path), path);
	f->name = slash ? slash + 1 : path;
	f->dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void runfile_see(struct runfile *f)
{
	/* While this descriptor is open, no other file can get the same inode number. */
	if (f->dir_fd >= 0 && f->file_fd < 0)
		f->file_fd = openat(f->dir_fd, f->name, O_PATH | O_CLOEXEC);
}

void runfile_remove(struct runfile *f)
{
	struct stat seen, there;

	/* A process that holds this lock is replacing or removing the file itself. */
	if (f->file_fd < 0 || flock(f->dir_fd, LOCK_EX | LOCK_NB))
		return;
	if (!fstat(f->file_fd, &seen) &&
	    !fstatat(f->dir_fd, f->name, &there, AT_SYMLINK_NOFOLLOW) &&
	    seen.st_dev == there.st_dev && seen.st_ino == there.st_ino)
		unlinkat(f->dir_fd, f->name, 0);
	flock(f->dir_fd, LOCK_UN);
}
