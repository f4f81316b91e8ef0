/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors and limits. RLIMIT_FSIZE is left alone: standard output may be a file, and a disk may be
 * made larger while it is in use; RLIMIT_NPROC, too, which counts all threads of a user. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/sandbox/layers.h"

/* Fewer are never allowed: below that, no promise depends on the limit. */
#define FDS_LEAST 128
/* Open for a moment while the sandbox is entered. */
#define FDS_PASSING 4

/* In use: how many, and the largest. */
struct fds {
	unsigned int count;
	int most;
};

/* An inherited one has no close-on-exec flag, since it came by exec. */
static bool inherited(int fd)
{
	int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : FD_CLOEXEC;

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* One of /proc/self/fd. */
static void look_at(struct fds *fds, int fd, bool keep)
{
	if (!keep && inherited(fd)) {
		close(fd);
		return;
	}
	fds->count++;
	if (fd > fds->most)
		fds->most = fd;
}

static int look_at_all(struct fds *fds, bool keep)
{
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buffer[1024] __attribute__((aligned(8)));
	ssize_t n;

	if (dir < 0)
		return -errno;
	while ((n = getdents64(dir, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);

			at += entry->d_reclen;
			if (entry->d_name[0] != '.' && atoi(entry->d_name) != dir)
				look_at(fds, atoi(entry->d_name), keep);
		}
	}
	close(dir);
	return n < 0 ? -errno : 0;
}

int sandbox_limit_fds(unsigned int more, bool keep)
{
	struct fds fds = { 0 };
	struct rlimit limit;
	int err = look_at_all(&fds, keep);
	rlim_t need, want;

	if (!err && getrlimit(RLIMIT_NOFILE, &limit))
		err = -errno;
	if (err)
		return err;
	if (more < FDS_PASSING)
		more = FDS_PASSING;
	need = fds.count + more;
	if (limit.rlim_max < need) {
		log_error("RLIMIT_NOFILE: this VM may need %llu file descriptors, and the hard "
			  "limit is "
			  "%llu",
			  (unsigned long long)need, (unsigned long long)limit.rlim_max);
		return -EMFILE;
	}
	want = (rlim_t)fds.most + 1 + more;
	if (want < FDS_LEAST)
		want = FDS_LEAST;
	if (want > limit.rlim_max)
		want = limit.rlim_max;
	if (keep && limit.rlim_cur >= want)
		return 0;
	limit.rlim_cur = want;
	if (!keep)
		limit.rlim_max = want;
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
