/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inherited file descriptors, and RLIMIT_NOFILE.
 *
 * RLIMIT_FSIZE stays as it is: standard output may be a file, and a disk may grow while it is in
 * use. RLIMIT_NPROC stays, too: it counts all threads of the user, not only those of this process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/sandbox/layers.h"

/* RLIMIT_NOFILE is never lowered below this; a tighter limit would protect nothing. */
#define FDS_LEAST 128
/* Descriptors that are open temporarily while the process enters the sandbox. */
#define FDS_PASSING 4

/* Open descriptors: their number, and the largest one. */
struct fds {
	unsigned int count;
	int most;
};

/* Descriptors that were inherited across exec have no close-on-exec flag; the program's own have
 * it. */
static bool inherited(int fd)
{
	int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : FD_CLOEXEC;

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* Close the descriptor if it is inherited and `keep` is not set; otherwise count it. */
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
		log_error(
			"RLIMIT_NOFILE: this process may need %llu file descriptors, and the hard "
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
