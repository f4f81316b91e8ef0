/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * on_tty PROGRAM [ARG...]: runs the program, as this process, with a terminal of its own as standard input, output and
 * error, for one that reads from nothing else (lkvm). What comes by our input is typed there, and what is shown there
 * goes to our output, unchanged, until the program and whoever has its terminal have ended.
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

/* False at the end of what can be read, and when nobody takes it any more. */
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

	/* A Ctrl-C is the program's business: it ends, and so does this. */
	signal(SIGINT, SIG_IGN);
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents && !pass(terminal, STDOUT_FILENO))
			return;
		/* The terminal stays, without anybody who types. */
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
		/* Not the program's child, but nobody's: it may wait for those that it has. */
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
