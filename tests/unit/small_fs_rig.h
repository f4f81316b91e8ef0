/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * small_fs_rig: a file system of 2 MiB, which a file of its own, `ballast`, fills up.
 *
 * For the test files that include it. A failure of fill_up or unmount_small fails the test.
 */
#ifndef TESTS_UNIT_SMALL_FS_RIG_H
#define TESTS_UNIT_SMALL_FS_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/mockdrv.h"

#define SMALL_FS "size=2m"

static char mount_point[280];
static int ballast = -1;

static bool put_line(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, line, strlen(line)) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/*
 * Enters a user namespace in which an ordinary user is root. The process must be single-threaded.
 */
static bool become_root(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", getuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getgid());
	return !unshare(CLONE_NEWUSER) && put_line("/proc/self/setgroups", "deny") &&
	       put_line("/proc/self/uid_map", users) && put_line("/proc/self/gid_map", groups);
}

/* Mounts a small file system that only this process sees, at a path that begins with `beside`. The
 * mount ends with the process. */
static bool mount_small(const char *beside)
{
	snprintf(mount_point, sizeof(mount_point), "%s.mnt", beside);
	if (mkdir(mount_point, 0700))
		return false;
	if ((unshare(CLONE_NEWNS) && (!become_root() || unshare(CLONE_NEWNS))) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", mount_point, "tmpfs", 0, SMALL_FS)) {
		rmdir(mount_point);
		return false;
	}
	return true;
}

static void unmount_small(void)
{
	close(ballast);
	ck_assert_int_eq(umount2(mount_point, MNT_DETACH), 0);
	rmdir(mount_point);
}

static void fill_up(void)
{
	static const char page[4096];

	while (write(ballast, page, sizeof(page)) > 0)
		;
	must(errno == ENOSPC);
}

#endif
