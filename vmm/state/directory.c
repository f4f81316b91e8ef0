/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/state/directory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"

#define FILE_MODE 0600
#define DIR_MODE  0700

bool snapshot_name_valid(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return len && len <= SNAPSHOT_NAME_MAX && name[0] != '.';
}

void snapshot_disk_name(char name[SNAPSHOT_DISK_NAME], unsigned int disk)
{
	snprintf(name, SNAPSHOT_DISK_NAME, "disk%u.img", disk);
}

/* Removes the directory and the files that a snapshot has. */
static int remove_dir(int parent_fd, const char *name)
{
	static const char *const files[] = { SNAPSHOT_STATE, SNAPSHOT_MEMORY, SNAPSHOT_SET,
					     SNAPSHOT_SET_STAGED };
	char path[SNAPSHOT_NAME_MAX + 10 + SNAPSHOT_DISK_NAME], disk[SNAPSHOT_DISK_NAME];

	for (unsigned int i = 0; i < ARRAY_SIZE(files) + SNAPSHOT_DISKS; i++) {
		snapshot_disk_name(disk, i - (unsigned int)ARRAY_SIZE(files));
		snprintf(path, sizeof(path), "%s/%s", name,
			 i < ARRAY_SIZE(files) ? files[i] : disk);
		if (unlinkat(parent_fd, path, 0) && errno != ENOENT)
			return -errno;
	}
	return unlinkat(parent_fd, name, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
}

int snapshot_dir_create(struct snapshot_dir *dir, int parent_fd, const char *name)
{
	struct stat st;
	int err;

	*dir = (struct snapshot_dir){ .parent_fd = parent_fd, .fd = -1 };
	/* Only a directory may be replaced. */
	if (!fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	snprintf(dir->name, sizeof(dir->name), "%s", name);
	snprintf(dir->staged, sizeof(dir->staged), ".%s.new", dir->name);
	err = remove_dir(parent_fd, dir->staged);
	if (err)
		return err;
	if (mkdirat(parent_fd, dir->staged, DIR_MODE))
		return -errno;
	dir->fd = openat(parent_fd, dir->staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir->fd < 0 ? -errno : 0;
}

int snapshot_dir_file(const struct snapshot_dir *dir, const char *name)
{
	int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			FILE_MODE);

	return fd < 0 ? -errno : fd;
}

int snapshot_rename(int parent_fd, const char *staged, const char *name)
{
	if (!renameat2(parent_fd, staged, parent_fd, name, RENAME_NOREPLACE))
		return 0;
	if (errno != EEXIST || renameat2(parent_fd, staged, parent_fd, name, RENAME_EXCHANGE))
		return -errno;
	return 1;
}

int snapshot_dir_commit(struct snapshot_dir *dir)
{
	int replaced =
		fsync(dir->fd) ? -errno : snapshot_rename(dir->parent_fd, dir->staged, dir->name);
	int err;

	if (replaced < 0) {
		snapshot_dir_cancel(dir);
		return replaced;
	}
	err = fsync(dir->parent_fd) ? -errno : 0;
	if (!err && replaced)
		err = remove_dir(dir->parent_fd, dir->staged);
	close(dir->fd);
	dir->fd = -1;
	return err;
}

void snapshot_dir_cancel(struct snapshot_dir *dir)
{
	if (dir->fd < 0)
		return;
	close(dir->fd);
	dir->fd = -1;
	remove_dir(dir->parent_fd, dir->staged);
}
