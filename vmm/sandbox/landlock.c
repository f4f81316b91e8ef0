/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Landlock rulesets of the VM process and of its supervisor.
 *
 * All files are open by now, so the VM's ruleset allows access to no path. The supervisor's allows
 * it to remove files. The system's headers may be older than the running kernel, hence the
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

static void allow_removing(int fd, int directory)
{
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE,
		.parent_fd = directory,
	};

	if (directory >= 0)
		syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* `dirs` may be NULL. */
static int enter(uint64_t scoped, const int *dirs)
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
		allow_removing(fd, dirs[i]);
	err = syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
	close(fd);
	return err;
}

int sandbox_landlock(void)
{
	return enter(SCOPED, NULL);
}

int sandbox_landlock_removing(const int dirs[SANDBOX_DIRS])
{
	/* The kernel treats the parent death signal like any other, so signals must not be
	 * restricted. */
	return enter(0, dirs);
}
