/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/ctl/console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/console/tty.h"

#define ESCAPE 0x01 /* Ctrl-A */
/* Largest write to standard output, which is blocking: a pipe that is ready takes this much, and a
 * terminal almost always does. */
#define CHUNK 256

enum { AT_SIGNAL, AT_KEYS, AT_OUT, AT_VM, AT_COUNT };

struct session {
	int fd;
	int in_fd;	/* -1: no input, or its end has been read */
	bool in_tty;	/* in_fd is a terminal: Ctrl-A is a command */
	bool escaped;	/* the last key was Ctrl-A */
	bool shut;	/* the VM has been told that the input has ended, or has hung up */
	bool over;	/* the user has detached, or the VM has closed the connection */
	int result;	/* that of console_session */
	int signal_fd;	/* a signalfd of the signals below */
	size_t key_len; /* keys that the VM has not taken yet */
	char key[4096];
	size_t out_start, out_len; /* output that has not been written yet */
	char out[4096];
};

/* Signals that end the session, or stop and continue the process. The terminal is restored before
 * the process ends or stops. */
static const int heard[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT };

/* Writes a line to a user at a terminal, where the cursor may be behind the guest's output. */
static void tell(const struct session *s, const char *before, const char *text)
{
	if (s->in_tty && isatty(STDERR_FILENO))
		dprintf(STDERR_FILENO, "%s[microvm-ctl: %s]\n", before, text);
}

static void open_signals(struct session *s)
{
	struct sigaction now;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(heard) / sizeof(*heard); i++)
		if (!sigaction(heard[i], NULL, &now) && now.sa_handler != SIG_IGN)
			sigaddset(&set, heard[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signal(struct session *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP:
		console_tty_restore();
		raise(SIGSTOP);
		break;
	case SIGCONT:
		/* The shell may have changed the modes while the process was stopped. */
		console_tty_restore();
		if (s->in_tty && console_tty_ours(s->in_fd))
			console_tty_raw(s->in_fd);
		break;
	default:
		s->result = (int)info.ssi_signo;
		s->over = true;
	}
}

/* Queues a key for the VM, or drops it if the queue is full. */
static void add_key(struct session *s, char key)
{
	if (!s->shut && s->key_len < sizeof(s->key))
		s->key[s->key_len++] = key;
}

static void on_key(struct session *s, char key)
{
	if (!s->in_tty || (!s->escaped && key != ESCAPE)) {
		add_key(s, key);
		return;
	}
	s->over |= s->escaped && key == 'x';
	if (s->escaped && key == ESCAPE)
		add_key(s, key);
	s->escaped = !s->escaped;
}

static void read_keys(struct session *s)
{
	char data[256];
	ssize_t n = read(s->in_fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		s->in_fd = -1;
	for (ssize_t i = 0; i < n && !s->over; i++)
		on_key(s, data[i]);
}

static void send_keys(struct session *s)
{
	ssize_t n = send(s->fd, s->key, s->key_len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		s->shut = true;
		n = (ssize_t)s->key_len;
	}
	s->key_len -= (size_t)n;
	memmove(s->key, s->key + n, s->key_len);
}

static void read_output(struct session *s)
{
	ssize_t n = recv(s->fd, s->out, sizeof(s->out), MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	s->out_start = 0;
	s->out_len = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return;
	s->over = true;
	tell(s, "\n", "the VM has closed the console");
}

static void write_output(struct session *s)
{
	size_t len = s->out_len < CHUNK ? s->out_len : CHUNK;
	ssize_t n = write(STDOUT_FILENO, s->out + s->out_start, len);

	if (n >= 0) {
		s->out_start += (size_t)n;
		s->out_len -= (size_t)n;
	} else if (errno != EINTR && errno != EAGAIN) {
		s->result = -errno;
		s->over = true;
	}
}

static void prepare(const struct session *s, struct pollfd fds[AT_COUNT])
{
	/* A terminal is read even if the VM takes no keys, for Ctrl-A x. */
	bool reads = s->in_fd >= 0 && (s->in_tty || !s->key_len);
	short vm = (short)((s->out_len ? 0 : POLLIN) | (s->key_len ? POLLOUT : 0));

	fds[AT_SIGNAL] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
	fds[AT_KEYS] = (struct pollfd){ .fd = reads ? s->in_fd : -1, .events = POLLIN };
	fds[AT_OUT] = (struct pollfd){ .fd = s->out_len ? STDOUT_FILENO : -1, .events = POLLOUT };
	fds[AT_VM] = (struct pollfd){ .fd = vm ? s->fd : -1, .events = vm };
}

static void copy(struct session *s)
{
	struct pollfd fds[AT_COUNT];

	while (!s->over) {
		if (s->in_fd < 0 && !s->key_len && !s->shut) {
			shutdown(s->fd, SHUT_WR);
			s->shut = true;
		}
		prepare(s, fds);
		if (poll(fds, AT_COUNT, -1) < 0)
			continue;
		if (fds[AT_SIGNAL].revents)
			take_signal(s);
		if (fds[AT_KEYS].revents)
			read_keys(s);
		if (fds[AT_OUT].revents)
			write_output(s);
		if (fds[AT_VM].revents && s->key_len)
			send_keys(s);
		if (fds[AT_VM].revents && !s->out_len)
			read_output(s);
	}
}

int console_session(int fd, bool types)
{
	static struct session session;
	struct session *s = &session;

	s->fd = fd;
	s->in_tty = isatty(STDIN_FILENO);
	/* In the background, reading the terminal would stop the process. */
	s->in_fd = s->in_tty && !console_tty_ours(STDIN_FILENO) ? -1 : STDIN_FILENO;
	open_signals(s);
	tell(s, "",
	     types ? "Ctrl-A x detaches, Ctrl-A Ctrl-A sends Ctrl-A"
		   : "Ctrl-A x detaches; another client types, this one watches");
	if (s->in_tty && s->in_fd >= 0)
		console_tty_raw(s->in_fd);
	copy(s);
	console_tty_restore();
	return s->result;
}
