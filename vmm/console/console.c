/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/console/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/console/clients.h"
#include "vmm/console/input.h"
#include "vmm/console/output.h"
#include "vmm/console/tty.h"

#define ESCAPE	  0x01 /* Ctrl-A */
#define NS_PER_MS INT64_C(1000000)

enum { POLL_WAKE, POLL_IN, POLL_OUT, POLL_CLIENTS };

_Static_assert(CONSOLE_CLIENTS == 8, "a message of machine/console.c says so");
_Static_assert(CONSOLE_POLLFDS == POLL_CLIENTS + CLIENTS_POLLFDS, "console.h says so");

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
	bool held;    /* the guest gets no input */
	struct input in;

	bool shared;	  /* the console is on the standard streams */
	bool gathering;	  /* output is held back until flush_at */
	int64_t flush_at; /* ns, CLOCK_MONOTONIC */
	struct output out;
	struct clients clients;
	struct history history;
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

static void set_up_input(struct console *c, const struct console_ends *ends)
{
	int fd = ends->in_fd;

	/* A closed descriptor must not be kept: its number may soon refer to another file. */
	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return;
	c->in_tty = ends->shared && isatty(fd);
	if (c->in_tty && !console_tty_ours(fd))
		return;
	c->in_fd = fd;
	if (!c->in_tty)
		return;
	c->help_fd = console_reopen(fd);
	console_tty_raw(fd);
}

int console_open(struct console **console, struct serial *serial, const struct console_ends *ends)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->serial = serial;
	c->wake_fd = ends->wake_fd;
	c->in_fd = -1;
	c->help_fd = -1;
	c->shared = ends->shared;
	set_up_input(c, ends);
	output_open(&c->out, ends->out_fd, ends->shared);
	clients_init(&c->clients, ends->listen_fd);
	*console = c;
	return 0;
}

/* Writes new output to all readers that take some. */
static void write_all_outputs(struct console *c)
{
	int err = c->out.blocked ? 0 : output_write(&c->out, &c->history);

	/* A reader that closed the pipe (`| head`) is not worth a warning. */
	if (err && err != -EPIPE)
		log_warn("console: %s: %s; further output is lost",
			 c->shared ? "standard output" : "output", strerror(-err));
	if (err)
		output_close(&c->out);
	clients_write(&c->clients, &c->history);
}

/* Moves a batch of output, or the line about bytes that the port has dropped, to the history.
 * False: there is none. */
static bool take_output(struct console *c)
{
	uint8_t data[SERIAL_TX_BATCH];
	size_t len = serial_transmitted(c->serial, data, sizeof(data));
	uint64_t dropped = len ? 0 : serial_dropped(c->serial);

	if (dropped)
		len = output_note((char *)data, dropped);
	history_add(&c->history, data, len);
	return len;
}

/* Writes pending output, at most one queue full per call: a guest that floods the console must not
 * keep the main loop from signals and keys. A batch is offered to the readers before the next one
 * is taken, so that only readers that do not keep up lose output. */
static void flush(struct console *c)
{
	c->gathering = false;
	for (size_t n = 0; n < SERIAL_TX_SIZE / SERIAL_TX_BATCH; n++) {
		if (!take_output(c))
			return;
		write_all_outputs(c);
	}
	c->gathering = true;
	c->flush_at = now_ns();
}

void console_close(struct console *console, int drain_ms)
{
	struct console *c = console;
	int64_t end;
	int left;

	if (!c)
		return;
	/* The console waits only for the reader of standard output. The other ends need not have a
	 * reader, and their sockets and pseudo-terminals have buffers of their own. */
	end = now_ns() + (c->shared ? drain_ms * NS_PER_MS : 0);
	do {
		struct pollfd reader = { .fd = c->out.fd, .events = POLLOUT };

		if (c->out.blocked && poll(&reader, 1, ms_until(end)) > 0)
			c->out.blocked = false;
		flush(c);
		write_all_outputs(c);
		left = ms_until(end);
	} while (left && (c->out.blocked || c->gathering));
	output_close(&c->out);
	clients_close(&c->clients);
	console_tty_restore();
	if (c->help_fd >= 0)
		close(c->help_fd);
	free(c);
}

bool console_attach(struct console *console, int fd, const void *typed, size_t len)
{
	bool types = clients_next_types(&console->clients);

	if (!clients_add(&console->clients, fd, &console->history))
		return false;
	for (size_t i = 0; types && i < len; i++)
		input_add(&console->in, ((const uint8_t *)typed)[i]);
	return true;
}

bool console_has_room(const struct console *console)
{
	return console->clients.count < CONSOLE_CLIENTS;
}

bool console_next_types(const struct console *console)
{
	return clients_next_types(&console->clients);
}

/* Handle a wake-up from the serial port: it has new output, or the guest can receive. */
static void on_wake(struct console *c, int64_t now)
{
	uint64_t count;
	size_t pending;

	if (read(c->wake_fd, &count, sizeof(count)) < 0)
		return;
	pending = serial_tx_pending(c->serial);
	if (!pending)
		return;
	if (pending >= SERIAL_TX_BATCH)
		c->flush_at = now;
	else if (!c->gathering)
		c->flush_at = now + CONSOLE_GATHER_MS * NS_PER_MS;
	c->gathering = true;
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
		input_add(&c->in, key);
	} else {
		c->escaped = false;
		if (key == 'x')
			return true;
		if (key == 'h')
			show_help(c);
		else if (key == ESCAPE)
			input_add(&c->in, key);
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
		if (!max || c->in.len)
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
			input_add(&c->in, data[i]);
		else if (on_key(c, data[i]))
			return true;
	}
	return false;
}

static bool wants_input(struct console *c)
{
	return c->in_tty || (!c->held && !c->in.len && serial_rx_room(c->serial));
}

void console_hold(struct console *console, bool hold)
{
	console->held = hold;
}

int console_prepare(struct console *console, struct pollfd fds[CONSOLE_POLLFDS])
{
	struct console *c = console;
	bool input = c->in_fd >= 0 && wants_input(c);
	int clients = clients_prepare(&c->clients, fds + POLL_CLIENTS, input_room(&c->in) > 0);
	int gather = c->gathering ? ms_until(c->flush_at) : -1;

	fds[POLL_WAKE] = (struct pollfd){ .fd = c->wake_fd, .events = POLLIN };
	fds[POLL_IN] = (struct pollfd){ .fd = input ? c->in_fd : -1, .events = POLLIN };
	fds[POLL_OUT] = (struct pollfd){ .fd = c->out.blocked ? c->out.fd : -1, .events = POLLOUT };
	return gather < 0 || (clients >= 0 && clients < gather) ? clients : gather;
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
	clients_handle(&c->clients, fds + POLL_CLIENTS, &c->history, &c->in);
	if (!c->held)
		input_deliver(&c->in, c->serial);
	if (fds[POLL_OUT].revents) {
		c->out.blocked = false;
		write_all_outputs(c);
	}
	if (c->gathering && now >= c->flush_at)
		flush(c);
	return quit;
}
