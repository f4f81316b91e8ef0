/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Namespaces, but for that of process ids, which needs a second process to stand for this one, and so is
 * made for root's --user only (supervisor.h). Without it, too, there is no call left that takes another
 * process's id (seccomp/rules.h, Landlock's scope).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/sandbox/layers.h"
#include "vmm/write_all.h"

#define SPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC)
/* A directory that every host has, to build the new root on. */
#define PLACE "/proc"
/* A directory's own links; /proc/self/task has one more for each thread. */
#define TASK_LINKS  2
#define ALONE_TRIES 10000

/*
 * An empty directory that cannot be written to. The old root stays below it: to put it away would
 * cost a millisecond, and an initial RAM file system cannot be put away. Nobody gets there without
 * capabilities. What the host unmounts is unmounted here as well.
 */
static int empty_root(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) ||
	    mount("none", PLACE, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=4k,mode=555") ||
	    chdir(PLACE) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return -errno;
	return 0;
}

static int put(int self_fd, const char *file, const char *text)
{
	int fd = openat(self_fd, file, O_WRONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, text, strlen(text));
	close(fd);
	return err;
}

/* Its own ids keep their meaning; there are no others. */
static int map_ids(int self_fd, uid_t uid, gid_t gid)
{
	char users[32], groups[32];
	int err;

	snprintf(users, sizeof(users), "%u %u 1", uid, uid);
	snprintf(groups, sizeof(groups), "%u %u 1", gid, gid);
	err = put(self_fd, "uid_map", users);
	if (!err)
		err = put(self_fd, "setgroups", "deny");
	return err ? err : put(self_fd, "gid_map", groups);
}

void sandbox_keep_capabilities(uint32_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { { .effective = kept,
									   .permitted = kept } };

	syscall(SYS_capset, &header, sets);
}

/*
 * Who has other threads gets no user namespace, and one that has been joined may still be on its way
 * out. There is no event for the end of that way; it takes microseconds, unless the host is busy.
 */
static void wait_until_alone(int self_fd)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	struct stat task;

	for (unsigned int i = 0; i < ALONE_TRIES; i++) {
		if (fstatat(self_fd, "task", &task, 0) || task.st_nlink <= TASK_LINKS + 1)
			return;
		nanosleep(&pause, NULL);
	}
}

/* A user namespace, and in it those of `spaces` that are still wanted. */
static int user_space(int self_fd, int spaces)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int err;

	wait_until_alone(self_fd);
	if (unshare(CLONE_NEWUSER | spaces))
		return -errno;
	err = map_ids(self_fd, uid, gid);
	if (!err && spaces)
		err = empty_root();
	return err;
}

/* Sysctls below /proc/sys, the value with which they refuse a namespace, and the error then. */
static const struct {
	const char *name;
	char value;
	int err;
} sysctls[] = {
	{ "user/max_pid_namespaces", '0', ENOSPC }, /* the first is that of `pids` */
	{ "user/max_user_namespaces", '0', ENOSPC },
	{ "user/max_mnt_namespaces", '0', ENOSPC },
	{ "user/max_net_namespaces", '0', ENOSPC },
	{ "user/max_ipc_namespaces", '0', ENOSPC },
	{ "kernel/unprivileged_userns_clone", '0', EPERM },		/* Debian's kernels */
	{ "kernel/apparmor_restrict_unprivileged_userns", '1', EPERM }, /* Ubuntu's */
};

static bool has_value(int self_fd, const char *sysctl, char value)
{
	char path[REFUSAL_MAX], text[2] = "";
	int fd;

	snprintf(path, sizeof(path), "../sys/%s", sysctl);
	fd = openat(self_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	return n == sizeof(text) && text[0] == value && text[1] == '\n';
}

void sandbox_refusal(int self_fd, bool pids, int err, char text[REFUSAL_MAX])
{
	int refused = err == -EACCES ? EPERM : -err;

	snprintf(text, REFUSAL_MAX, "%s",
		 refused == ENOSPC ? "a limit user.max_*_namespaces is reached" : strerror(-err));
	for (size_t i = pids ? 0 : 1; i < (pids ? 1 : ARRAY_SIZE(sysctls)); i++) {
		if (refused != sysctls[i].err ||
		    !has_value(self_fd, sysctls[i].name, sysctls[i].value))
			continue;
		snprintf(text, REFUSAL_MAX, "%s is %c", sysctls[i].name, sysctls[i].value);
		*strchr(text, '/') = '.';
		return;
	}
}

int sandbox_isolate(const struct sandbox_user *user, int *spaces_err, char refusal[REFUSAL_MAX])
{
	int self_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int spaces = SPACES;
	int err = 0;

	*spaces_err = 0;
	/* Root's own right comes first: users are not allowed to on every host. */
	if (geteuid() == 0 && !unshare(SPACES)) {
		spaces = 0;
		*spaces_err = empty_root();
	}
	if (user)
		err = sandbox_become(user);
	if (!err) {
		/* Or the maps are root's. */
		prctl(PR_SET_DUMPABLE, 1);
		int user_err = self_fd < 0 ? -ENOENT : user_space(self_fd, spaces);
		*spaces_err = *spaces_err ? *spaces_err : user_err;
	}
	sandbox_keep_capabilities(0);
	if (*spaces_err)
		sandbox_refusal(self_fd, false, *spaces_err, refusal);
	if (self_fd >= 0)
		close(self_fd);
	return err;
}
