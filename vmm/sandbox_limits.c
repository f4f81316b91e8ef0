/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors and limits. RLIMIT_FSIZE is left alone: standard output may be a file, and a disk may be
 * made larger while it is in use; RLIMIT_NPROC, too, which counts all threads of a user. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/sandbox_parts.h"

/* As many as io_uring_register_files asks for, and some: no promise depends on it. */
#define FDS_LEAST 128

/* An inherited one has no close-on-exec flag, since it came by exec. */
static bool inherited(int fd)
{
	int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : FD_CLOEXEC;

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* As sandbox_limit_fds; *most is the largest number in use. */
static int close_inherited(int *most)
{
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buffer[1024] __attribute__((aligned(8)));
	ssize_t n;

	if (dir < 0)
		return -errno;
	while ((n = getdents64(dir, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
			int fd = atoi(entry->d_name);

			at += entry->d_reclen;
			if (inherited(fd))
				close(fd);
			else if (fd > *most)
				*most = fd;
		}
	}
	close(dir);
	return n < 0 ? -errno : 0;
}

int sandbox_limit_fds(unsigned int more)
{
	struct rlimit limit;
	int most = 0;
	int err = close_inherited(&most);

	if (err)
		return err;
	more += (unsigned int)most + 1;
	if (more < FDS_LEAST)
		more = FDS_LEAST;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max <= more)
		return 0;
	limit.rlim_cur = limit.rlim_max = more;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

void sandbox_limit_memory(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit most;

	/* Root's rights count as little later as anybody's. Who may not raise the limit has what he is
	 * lent; where that does not do, the disk does without, and says so. */
	if (!setrlimit(RLIMIT_MEMLOCK, &all) || getrlimit(RLIMIT_MEMLOCK, &most))
		return;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &most);
}
