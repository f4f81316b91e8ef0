/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * on_tty PROGRAM [ARG...]: runs the program, as this process, on a terminal of its own, for
 * programs that use only a terminal (lkvm). Standard input is typed on that terminal, and the
 * terminal's output is copied to standard output unchanged, until the program and all other
 * processes that have the terminal open have ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "on_tty: %s: %s\n", what, strerror(errno));
	exit(127);
}

/* Copies available data. Returns false at end of file, and when the output cannot be written. */
static bool pass(int from, int to)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	for (ssize_t done = 0; done < n;) {
		ssize_t m = write(to, buf + done, (size_t)(n - done));

		if (m < 0)
			return false;
		done += m;
	}
	return n > 0;
}

static void relay(int terminal)
{
	struct pollfd fds[] = { { .fd = terminal, .events = POLLIN },
				{ .fd = STDIN_FILENO, .events = POLLIN } };

	/* Ctrl-C is for the program: when it ends, this process ends as well. */
	signal(SIGINT, SIG_IGN);
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents && !pass(terminal, STDOUT_FILENO))
			return;
		/* At the end of standard input the terminal stays open, without further input. */
		if (fds[1].revents && !pass(STDIN_FILENO, terminal))
			fds[1].fd = -1;
	}
}

int main(int argc, char **argv)
{
	struct termios raw;
	int terminal, end;

	if (argc < 2) {
		fprintf(stderr, "usage: on_tty PROGRAM [ARG...]\n");
		return 2;
	}
	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal))
		fail("terminal");
	end = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (end < 0 || tcgetattr(end, &raw))
		fail("terminal");
	cfmakeraw(&raw);
	if (tcsetattr(end, TCSANOW, &raw))
		fail("terminal");
	switch (fork()) {
	case -1:
		fail("fork");
	case 0:
		/* A double fork, because the program may wait for all of its children. */
		if (fork() == 0) {
			close(end);
			relay(terminal);
		}
		_exit(0);
	default:
		while (wait(NULL) < 0 && errno == EINTR)
			;
	}
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(end, fd) < 0)
			fail("terminal");
	execvp(argv[1], argv + 1);
	fail(argv[1]);
}
