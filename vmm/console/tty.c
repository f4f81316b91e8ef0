/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/console/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "dataplane/base.h"

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

/* The state is static, because a signal handler cannot be passed a pointer. */
static struct {
	int fd; /* -1: nothing to restore */
	struct termios termios;
	struct sigaction previous[ARRAY_SIZE(crash_signals)];
} saved = { .fd = -1 };

bool console_tty_ours(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	/*
	 * An error means that this is not the controlling terminal, so job control does not apply.
	 */
	return foreground < 0 || foreground == getpgrp();
}

/*
 * Restore the terminal, then pass the signal to the previous handler: the default action, or a
 * sanitizer's. The signal is blocked in its own handler, so the one raised here is delivered when
 * the handler returns, at the place of the crash.
 */
static void on_crash(int sig)
{
	int err = errno;

	tcsetattr(saved.fd, TCSANOW, &saved.termios);
	for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++) {
		if (crash_signals[i] == sig)
			sigaction(sig, &saved.previous[i], NULL);
	}
	raise(sig);
	errno = err;
}

static void install_handlers(void)
{
	struct sigaction action = { .sa_handler = on_crash };

	/* A background process that sets terminal modes is stopped by SIGTTOU unless that is
	 * blocked. */
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGTTOU);
	for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++)
		sigaction(crash_signals[i], &action, &saved.previous[i]);
}

void console_tty_raw(int fd)
{
	struct termios raw;

	if (saved.fd >= 0 || tcgetattr(fd, &saved.termios) < 0)
		return;
	saved.fd = fd;
	install_handlers();

	raw = saved.termios;
	raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag &= ~(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	/* TCSADRAIN would wait for a terminal whose output is stopped. */
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		console_tty_restore();
}

void console_tty_restore(void)
{
	sigset_t block, before;

	if (saved.fd < 0)
		return;
	/* The process may be in the background by now, e.g. when its parent died. The restore must
	 * work then, too, so SIGTTOU is blocked. */
	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &before);
	tcsetattr(saved.fd, TCSANOW, &saved.termios);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++)
		sigaction(crash_signals[i], &saved.previous[i], NULL);
	saved.fd = -1;
}

int console_reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}
