/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Landlock rulesets of the VM process and of its supervisor.
 *
 * All files are open by now, so the VM's ruleset allows access to no path but the directory of
 * snapshots. The supervisor's allows it to remove files. The system's headers may be older than the running kernel, hence the
 * definitions here.
 */
#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/layers.h"

struct ruleset {
	uint64_t files;
	uint64_t network; /* ABI 4: TCP bind and connect */
	uint64_t scoped;  /* ABI 6: abstract sockets, signals */
};

/* Number of file access rights that each ABI version knows, indexed by the version. */
static const uint8_t file_rights[] = { 0, 13, 14, 15, 15, 16 };

#define NETWORK 3u
#define SCOPED	3u

/* What a snapshot does in its directory. Opening a directory, to sync it, is reading it. */
#define SNAPSHOT_RIGHTS                                                   \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR |    \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |      \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_TRUNCATE)
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif

static void allow(int fd, int directory, uint64_t rights)
{
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = rights,
		.parent_fd = directory,
	};

	if (directory >= 0)
		syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* `dirs` may be NULL. */
static int enter(uint64_t scoped, const int *dirs, int snapshot_fd)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	size_t known = ARRAY_SIZE(file_rights) - 1;
	struct ruleset rules = { 0 };
	int fd, err;

	if (abi < 1)
		return abi < 0 ? -errno : -EOPNOTSUPP;
	if ((size_t)abi < known)
		known = (size_t)abi;
	rules.files = (1ull << file_rights[known]) - 1;
	if (abi >= 4)
		rules.network = NETWORK;
	if (abi >= 6)
		rules.scoped = scoped;

	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0)
		return -errno;
	for (unsigned int i = 0; dirs && i < SANDBOX_DIRS; i++)
		allow(fd, dirs[i], LANDLOCK_ACCESS_FS_REMOVE_FILE);
	allow(fd, snapshot_fd, SNAPSHOT_RIGHTS & rules.files);
	err = syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
	close(fd);
	return err;
}

int sandbox_landlock(int snapshot_fd)
{
	return enter(SCOPED, NULL, snapshot_fd ? snapshot_fd : -1);
}

int sandbox_landlock_removing(const int dirs[SANDBOX_DIRS])
{
	/* The kernel treats the parent death signal like any other, so signals must not be
	 * restricted. */
	return enter(0, dirs, -1);
}
