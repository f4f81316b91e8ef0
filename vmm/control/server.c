/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/control/server.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/control/socket.h"

/* Delay until the next accept after the host had no descriptor or memory for a connection. */
#define ACCEPT_AGAIN_MS 1000
/* The server reads no requests from a client with this many bytes of pending output. */
#define OUT_FULL (CONTROL_EVENTS_MAX / 2)

struct client {
	int fd; /* -1: disconnected */
	/* A job executes the client's request. The entry is in use until the job is done, even if
	 * the client has disconnected. */
	bool waiting;
	bool ending;			/* no more input: disconnect after all output is written */
	bool leaving;			/* the handler gets the connection after all output */
	bool events;			/* the client has subscribed to events */
	struct control_request request; /* valid while `waiting` */
	size_t in_len;
	size_t out_start, out_len;
	char in[CONTROL_LINE_MAX + 1]; /* one line with its newline */
	char out[CONTROL_OUT_MAX];
};

struct control {
	struct control_socket socket;
	struct control_handler *handler;
	uint64_t accept_at; /* time of the next accept in ns, CLOCK_MONOTONIC; 0: at once */
	struct client client[CONTROL_CLIENTS];
};

/* ---- writing ---- */

static void forget(struct client *c)
{
	c->fd = -1;
	c->events = c->leaving = false;
	c->in_len = c->out_start = c->out_len = 0;
}

static void drop(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	forget(c);
}

static void write_out(struct client *c)
{
	while (c->fd >= 0 && c->out_len) {
		ssize_t n =
			send(c->fd, c->out + c->out_start, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			drop(c);
			return;
		}
		c->out_start += (size_t)n;
		c->out_len -= (size_t)n;
	}
}

/* Queues one line of output and writes as much as the socket takes. The client is disconnected if
 * its pending output would exceed `most` bytes, or if text is NULL (no memory). */
static void say(struct client *c, const char *text, size_t len, size_t most)
{
	if (c->fd < 0)
		return;
	if (c->out_start + c->out_len + len + 1 > sizeof(c->out)) {
		memmove(c->out, c->out + c->out_start, c->out_len);
		c->out_start = 0;
	}
	if (!text || c->out_len + len + 1 > most) {
		drop(c);
		return;
	}
	memcpy(c->out + c->out_start + c->out_len, text, len);
	c->out_len += len;
	c->out[c->out_start + c->out_len++] = '\n';
	write_out(c);
}

/* Sends the object as one line and releases it. */
static void say_object(struct client *c, struct json_object *object)
{
	size_t len = 0;
	const char *text = control_text(object, &len);

	say(c, text, len, sizeof(c->out));
	json_object_put(object);
}

static void say_answer(struct client *c, struct control_answer *answer)
{
	say_object(c, control_answer_object(&c->request, answer));
	control_request_done(&c->request);
}

/* ---- requests ---- */

static void take_line(struct control *ctl, unsigned int n, const char *line, size_t len)
{
	struct client *c = &ctl->client[n];
	struct control_answer answer;
	bool good = control_parse(&c->request, line, len, &answer);

	if (good && c->request.command == CONTROL_EVENTS)
		c->events = true;
	else if (good && !ctl->handler->run(ctl->handler, n, &c->request, &answer))
		c->waiting = true;
	if (good && c->request.command == CONTROL_CONSOLE && !answer.error) {
		c->leaving = true;
		c->events = false;
	}
	if (!c->waiting)
		say_answer(c, &answer);
}

/* Hands the connection of a leaving client over once it has its answer. */
static void let_leave(struct control *ctl, struct client *c)
{
	if (!c->leaving || c->out_len)
		return;
	ctl->handler->leave(ctl->handler, c->fd, c->in, c->in_len);
	forget(c);
}

static void too_long(struct client *c)
{
	struct control_answer answer = { .result = NULL };

	control_refuse(&answer, "too-long", "a line may have at most %u bytes", CONTROL_LINE_MAX);
	say_answer(c, &answer);
	c->ending = true;
	c->in_len = 0;
}

/* Returns true if the server may execute the client's next request. */
static bool can_take(const struct client *c)
{
	return c->fd >= 0 && !c->waiting && !c->ending && !c->leaving && c->out_len < OUT_FULL;
}

/* Executes the complete lines in the input buffer until one has to wait for a job or output piles
 * up. */
static void take_lines(struct control *ctl, unsigned int n)
{
	struct client *c = &ctl->client[n];
	char *end;

	while (can_take(c) && (end = memchr(c->in, '\n', c->in_len))) {
		char line[CONTROL_LINE_MAX];
		size_t len = (size_t)(end - c->in);

		memcpy(line, c->in, len);
		c->in_len -= len + 1;
		memmove(c->in, end + 1, c->in_len);
		if (len)
			take_line(ctl, n, line, len);
	}
	if (can_take(c) && c->in_len == sizeof(c->in))
		too_long(c);
	let_leave(ctl, c);
}

/* Handles the end of the client's input, which also ends an incomplete last line. The buffer has
 * room for the missing newline, because take_lines refuses a line that fills it. */
static void end_input(struct control *ctl, unsigned int n)
{
	struct client *c = &ctl->client[n];

	if (c->in_len)
		c->in[c->in_len++] = '\n';
	take_lines(ctl, n);
	c->ending = true;
}

static void read_in(struct control *ctl, unsigned int n)
{
	struct client *c = &ctl->client[n];
	ssize_t got = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);

	if (got == 0) {
		end_input(ctl, n);
		return;
	}
	if (got > 0)
		c->in_len += (size_t)got;
	else if (errno != EAGAIN && errno != EINTR)
		drop(c);
	take_lines(ctl, n);
}

static void accept_one(struct control *ctl)
{
	int fd = accept4(ctl->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c = ctl->client;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			ctl->accept_at = monotonic_ns() + ACCEPT_AGAIN_MS * 1000000ull;
		return;
	}
	while (c < ctl->client + CONTROL_CLIENTS && (c->fd >= 0 || c->waiting))
		c++;
	if (c == ctl->client + CONTROL_CLIENTS) {
		/* All entries are in use. The client gets no line before its connection ends. */
		close(fd);
		return;
	}
	c->fd = fd;
	c->ending = false;
	say_object(c, control_hello());
}

/* ---- the main loop ---- */

int control_prepare(struct control *ctl, struct pollfd fds[CONTROL_POLLFDS])
{
	uint64_t now = ctl->accept_at ? monotonic_ns() : 0;
	bool accepts = now >= ctl->accept_at;

	fds[0] = (struct pollfd){ .fd = accepts ? ctl->socket.fd : -1, .events = POLLIN };
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++) {
		const struct client *c = &ctl->client[i];
		short events = (short)((can_take(c) ? POLLIN : 0) | (c->out_len ? POLLOUT : 0));

		fds[1 + i] = (struct pollfd){ .fd = c->fd, .events = events };
	}
	if (accepts)
		ctl->accept_at = 0;
	return accepts ? -1 : (int)((ctl->accept_at - now) / 1000000) + 1;
}

static void handle_client(struct control *ctl, unsigned int n, short revents)
{
	struct client *c = &ctl->client[n];

	/* The client has reset or closed the connection and cannot receive its answers. */
	if (revents & (POLLERR | POLLNVAL) || (revents & POLLHUP && !can_take(c)))
		drop(c);
	if (c->fd >= 0 && revents & POLLOUT) {
		write_out(c);
		take_lines(ctl, n);
	}
	if (revents & (POLLIN | POLLHUP) && can_take(c))
		read_in(ctl, n);
	if (c->ending && !c->waiting && !c->out_len)
		drop(c);
}

void control_handle(struct control *ctl, const struct pollfd fds[CONTROL_POLLFDS])
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		if (fds[1 + i].revents && ctl->client[i].fd == fds[1 + i].fd)
			handle_client(ctl, i, fds[1 + i].revents);
	if (fds[0].revents)
		accept_one(ctl);
}

void control_answer(struct control *ctl, unsigned int n, struct control_answer *answer)
{
	struct client *c = &ctl->client[n];

	c->waiting = false;
	say_answer(c, answer);
	take_lines(ctl, n);
	if (c->ending && !c->waiting && !c->out_len)
		drop(c);
}

void control_event(struct control *ctl, struct json_object *event)
{
	size_t len = 0;
	const char *text = control_text(event, &len);

	for (unsigned int i = 0; i < CONTROL_CLIENTS && text; i++)
		if (ctl->client[i].events)
			say(&ctl->client[i], text, len, CONTROL_EVENTS_MAX);
	json_object_put(event);
}

int control_open(struct control **control, const char *path, struct control_handler *handler,
		 const char **why)
{
	struct control *ctl = calloc(1, sizeof(*ctl));
	int err;

	*why = NULL;
	if (!ctl)
		return -ENOMEM;
	ctl->handler = handler;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		ctl->client[i].fd = -1;
	err = control_socket_open(&ctl->socket, path, why);
	if (err) {
		free(ctl);
		return err;
	}
	*control = ctl;
	return 0;
}

void control_remove(const struct control *ctl)
{
	if (ctl)
		control_socket_remove(&ctl->socket);
}

void control_close(struct control *ctl)
{
	if (!ctl)
		return;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++) {
		control_request_done(&ctl->client[i].request);
		drop(&ctl->client[i]);
	}
	control_socket_close(&ctl->socket);
	free(ctl);
}
