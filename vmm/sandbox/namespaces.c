/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * User, mount, network and IPC namespaces, and an empty root directory.
 *
 * The PID namespace is not created here: it needs a second process to represent this one, so it is
 * created for root's --user only (supervisor.h). Without it, the process still has no system call
 * left that could act on another process (seccomp/rules.h, Landlock's signal scope).
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
/* A directory that exists on every host; the new root is mounted on it. */
#define PLACE "/proc"
/* Link count of a directory without subdirectories; /proc/self/task has one subdirectory per
 * thread. */
#define TASK_LINKS  2
#define ALONE_TRIES 10000

/*
 * Replace the root directory by an empty, read-only tmpfs. The old root stays mounted below it:
 * unmounting it would cost a millisecond, and an initial RAM file system cannot be unmounted. The
 * process cannot reach the old root without capabilities. Unmounts on the host propagate to this
 * namespace.
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

/* Map only the process's own user and group ID, each to itself. */
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
 * Wait until this is the only thread: the kernel refuses a user namespace to a process with several
 * threads, and a thread that has been joined may not have left the kernel yet. No event reports
 * that; it takes microseconds unless the host is busy.
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

/* Create a user namespace and, together with it, the namespaces in `spaces` (CLONE_NEW* flags; 0:
 * none). */
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

/*
 * Sysctls that can forbid namespaces: the path below /proc/sys, the value that forbids them, and
 * the error that the kernel then returns. The first row is about PID namespaces, the others are
 * not.
 */
static const struct {
	const char *name;
	char value;
	int err;
} sysctls[] = {
	{ "user/max_pid_namespaces", '0', ENOSPC },
	{ "user/max_user_namespaces", '0', ENOSPC },
	{ "user/max_mnt_namespaces", '0', ENOSPC },
	{ "user/max_net_namespaces", '0', ENOSPC },
	{ "user/max_ipc_namespaces", '0', ENOSPC },
	{ "kernel/unprivileged_userns_clone", '0', EPERM },		/* Debian */
	{ "kernel/apparmor_restrict_unprivileged_userns", '1', EPERM }, /* Ubuntu */
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
	/* Root creates the namespaces directly: some hosts forbid unprivileged user namespaces. */
	if (geteuid() == 0 && !unshare(SPACES)) {
		spaces = 0;
		*spaces_err = empty_root();
	}
	if (user)
		err = sandbox_become(user);
	if (!err) {
		/* Otherwise root owns uid_map and gid_map in /proc, and the process cannot write
		 * them. */
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
