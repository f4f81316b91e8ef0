/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/console/console.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/console/tty.h"

#define ESCAPE	  0x01 /* Ctrl-A */
#define NS_PER_MS INT64_C(1000000)
#define INPUT_MAX 4096

/* Largest write to a file description that other processes share and that is therefore blocking: a
 * pipe that is ready takes this much without blocking, and a terminal almost always does. */
#define SHARED_CHUNK 256

enum { POLL_WAKE, POLL_IN, POLL_OUT };

static const char help_text[] = "\r\n[microvm: Ctrl-A x  quit\r\n"
				"          Ctrl-A h  this help\r\n"
				"          Ctrl-A Ctrl-A  send Ctrl-A to the guest]\r\n";

struct console {
	struct serial *serial;
	int wake_fd;

	int in_fd; /* -1: no input, or its end of file has been read */
	bool in_tty;
	bool escaped; /* the last key was Ctrl-A */
	int help_fd;  /* the terminal, for the help text; -1: none */
	size_t in_start;
	size_t in_len;
	uint8_t in[INPUT_MAX]; /* input that the guest has not taken yet */

	int out_fd;	  /* -1: no output, or it failed; output stays in the serial port */
	bool out_own;	  /* out_fd is the console's to close, and non-blocking */
	bool out_socket;  /* each send is made non-blocking by a flag */
	bool out_file;	  /* a regular file: has no reader to wait for */
	bool held;	  /* the guest gets no input */
	bool blocked;	  /* waiting until the reader takes more */
	bool gathering;	  /* output is held back until flush_at */
	int64_t flush_at; /* ns, CLOCK_MONOTONIC */
	size_t out_start;
	size_t out_len;
	uint8_t out[PIPE_BUF]; /* output taken from the serial port and not yet written */
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 * NS_PER_MS + ts.tv_nsec;
}

/* Return the milliseconds until `when`, rounded up so that one wait of that length is enough. */
static int ms_until(int64_t when)
{
	int64_t left = when - now_ns();

	return left > 0 ? (int)((left + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

static void set_up_input(struct console *c, int fd)
{
	/* A closed descriptor must not be kept: its number may soon refer to another file. */
	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return;
	c->in_tty = isatty(fd);
	if (c->in_tty && !console_tty_ours(fd))
		return;
	c->in_fd = fd;
	if (!c->in_tty)
		return;
	c->help_fd = console_reopen(fd);
	console_tty_raw(fd);
}

static void set_up_output(struct console *c, int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	c->out_fd = fd;
	c->out_file = S_ISREG(st.st_mode);
	c->out_socket = S_ISSOCK(st.st_mode);
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		int own = console_reopen(fd);

		if (own >= 0) {
			c->out_fd = own;
			c->out_own = true;
		}
	}
}

int console_open(struct console **console, struct serial *serial, int wake_fd, int in_fd,
		 int out_fd)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->serial = serial;
	c->wake_fd = wake_fd;
	c->in_fd = -1;
	c->help_fd = -1;
	c->out_fd = -1;
	set_up_input(c, in_fd);
	set_up_output(c, out_fd);
	*console = c;
	return 0;
}

static void stop_output(struct console *c, int err)
{
	/* A reader that closed the pipe (`| head`) is not worth a warning. */
	if (err != EPIPE)
		log_warn("console: standard output: %s; further output is lost", strerror(err));
	if (c->out_own)
		close(c->out_fd);
	c->out_fd = -1;
	c->out_own = false;
}

/*
 * Refill c->out from the serial port, or with a note about dropped bytes. False: nothing to write.
 */
static bool refill(struct console *c)
{
	uint64_t dropped;

	c->out_start = 0;
	c->out_len = serial_transmitted(c->serial, c->out, sizeof(c->out));
	if (c->out_len)
		return true;
	dropped = serial_dropped(c->serial);
	if (!dropped)
		return false;
	c->out_len =
		snprintf((char *)c->out, sizeof(c->out),
			 "\r\n[microvm: %" PRIu64 " bytes of console output dropped]\r\n", dropped);
	return true;
}

/* Write once without blocking; returns what write(2) does. */
static ssize_t write_some(struct console *c)
{
	const uint8_t *data = c->out + c->out_start;
	struct pollfd ready = { .fd = c->out_fd, .events = POLLOUT };

	if (c->out_socket)
		return send(c->out_fd, data, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (c->out_own || c->out_file)
		return write(c->out_fd, data, c->out_len);
	if (poll(&ready, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(c->out_fd, data, c->out_len < SHARED_CHUNK ? c->out_len : SHARED_CHUNK);
}

/* Write part of c->out. False: the output would block, or has failed. */
static bool write_out(struct console *c)
{
	ssize_t ret = write_some(c);

	if (ret >= 0) {
		c->out_start += ret;
		c->out_len -= ret;
		return true;
	}
	if (errno == EINTR)
		return true;
	if (errno == EAGAIN)
		c->blocked = true;
	else
		stop_output(c, errno);
	return false;
}

/* Write pending output, at most one queue full per call: a guest that floods the console must not
 * keep the main loop from signals and keys. */
static void flush(struct console *c)
{
	c->blocked = false;
	c->gathering = false;
	for (size_t n = 0; n < SERIAL_TX_SIZE / sizeof(c->out); n++) {
		if (!c->out_len && !refill(c))
			return;
		if (!write_out(c))
			return;
	}
	c->gathering = true;
	c->flush_at = now_ns();
}

void console_close(struct console *console, int drain_ms)
{
	int64_t end = now_ns() + drain_ms * NS_PER_MS;

	if (!console)
		return;
	while (console->out_fd >= 0) {
		struct pollfd reader = { .fd = console->out_fd, .events = POLLOUT };
		int left;

		flush(console);
		left = ms_until(end);
		if ((!console->blocked && !console->gathering) || !left)
			break;
		if (console->blocked)
			poll(&reader, 1, left);
	}
	if (console->out_own)
		close(console->out_fd);
	console_tty_restore();
	if (console->help_fd >= 0)
		close(console->help_fd);
	free(console);
}

/* Handle a wake-up from the serial port: it has new output, or the guest can receive. */
static void on_wake(struct console *c, int64_t now)
{
	uint64_t count;
	size_t pending;

	if (read(c->wake_fd, &count, sizeof(count)) < 0)
		return;
	pending = serial_tx_pending(c->serial);
	if (c->out_fd < 0 || c->blocked || !pending)
		return;
	if (pending >= SERIAL_TX_BATCH)
		c->flush_at = now;
	else if (!c->gathering)
		c->flush_at = now + CONSOLE_GATHER_MS * NS_PER_MS;
	c->gathering = true;
}

/* Pass queued input to the guest, as much as it takes. */
static void deliver(struct console *c)
{
	size_t taken;

	if (!c->in_len || c->held)
		return;
	taken = serial_receive(c->serial, c->in + c->in_start, c->in_len);
	c->in_start += taken;
	c->in_len -= taken;
}

/* Queue a key for the guest; drop it when INPUT_MAX bytes are queued already. */
static void add_key(struct console *c, uint8_t key)
{
	if (c->in_len == INPUT_MAX)
		return;
	if (c->in_start + c->in_len == INPUT_MAX) {
		memmove(c->in, c->in + c->in_start, c->in_len);
		c->in_start = 0;
	}
	c->in[c->in_start + c->in_len++] = key;
}

static void show_help(const struct console *c)
{
	/* Help goes to the terminal even when the guest's output goes elsewhere. If the terminal
	 * accepts nothing now, the help is not shown. */
	if (c->help_fd >= 0 && write(c->help_fd, help_text, sizeof(help_text) - 1) < 0)
		return;
}

/* Process one key from the terminal. Returns true when the user asked to quit. */
static bool on_key(struct console *c, uint8_t key)
{
	if (!c->escaped && key == ESCAPE) {
		c->escaped = true;
	} else if (!c->escaped) {
		add_key(c, key);
	} else {
		c->escaped = false;
		if (key == 'x')
			return true;
		if (key == 'h')
			show_help(c);
		else if (key == ESCAPE)
			add_key(c, key);
	}
	return false;
}

/*
 * Read available input: from a terminal always, so that Ctrl-A works even when the guest takes no
 * input; from elsewhere only as much as the guest can take. Returns true when the user asked to
 * quit.
 */
static bool on_input(struct console *c)
{
	uint8_t data[256];
	size_t max = sizeof(data);
	ssize_t len;

	if (!c->in_tty) {
		size_t room = serial_rx_room(c->serial);

		if (room < max)
			max = room;
		if (!max || c->in_len)
			return false;
	}
	len = read(c->in_fd, data, max);
	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (len <= 0) {
		c->in_fd = -1;
		return false;
	}
	for (ssize_t i = 0; i < len; i++) {
		if (!c->in_tty)
			add_key(c, data[i]);
		else if (on_key(c, data[i]))
			return true;
	}
	return false;
}

static bool wants_input(struct console *c)
{
	return c->in_tty || (!c->held && !c->in_len && serial_rx_room(c->serial));
}

void console_hold(struct console *console, bool hold)
{
	console->held = hold;
}

int console_prepare(struct console *console, struct pollfd fds[CONSOLE_POLLFDS])
{
	struct console *c = console;
	bool input = c->in_fd >= 0 && wants_input(c);

	fds[POLL_WAKE] = (struct pollfd){ .fd = c->wake_fd, .events = POLLIN };
	fds[POLL_IN] = (struct pollfd){ .fd = input ? c->in_fd : -1, .events = POLLIN };
	fds[POLL_OUT] = (struct pollfd){ .fd = c->blocked ? c->out_fd : -1, .events = POLLOUT };
	return c->gathering ? ms_until(c->flush_at) : -1;
}

bool console_handle(struct console *console, const struct pollfd fds[CONSOLE_POLLFDS])
{
	struct console *c = console;
	int64_t now = now_ns();
	bool quit = false;

	if (fds[POLL_WAKE].revents)
		on_wake(c, now);
	if (fds[POLL_IN].revents)
		quit = on_input(c);
	deliver(c);
	if (c->blocked ? fds[POLL_OUT].revents != 0 : c->gathering && now >= c->flush_at)
		flush(c);
	return quit;
}
