/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/report.h"

bool startup_fill_fds(void)
{
	bool open_output = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return open_output;
}

void startup_stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGQUIT);
}

void startup_hold_signals(void)
{
	sigset_t set;

	/* Threads inherit the mask. */
	startup_stop_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* The program goes on when its terminal or the reader of its output disappears. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	/* A write beyond RLIMIT_FSIZE then fails with EFBIG: an I/O error of the disk, or, for the
	 * pidfile, of the set-up. */
	signal(SIGXFSZ, SIG_IGN);
}

int startup_open_log(const char *path, enum log_level level)
{
	/* O_NONBLOCK: neither open nor a later write may block, even if the path is a FIFO. */
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = path ? open(path, flags, 0640) : -1;

	if (path && fd < 0)
		return report_option(-errno, "--log", path, NULL);
	if (path)
		log_to_file(fd);
	log_set_level(level);
	return 0;
}

int startup_print(const char *text, bool open)
{
	/* A standard output that was closed is an error, although descriptor 1 is now /dev/null. */
	if (!open)
		errno = EBADF;
	else if (fputs(text, stdout) != EOF && fflush(stdout) != EOF)
		return 0;
	return report_host(-errno, "standard output");
}
