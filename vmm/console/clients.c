/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/console/clients.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base.h"

#define NS_PER_MS UINT64_C(1000000)
/* Delay until the next accept after one that failed for lack of descriptors or memory. */
#define ACCEPT_AGAIN_MS 1000

void clients_init(struct clients *cl, int listen_fd)
{
	cl->listen_fd = listen_fd;
	cl->accept_at = 0;
	cl->count = 0;
}

static void drop(struct clients *cl, unsigned int i)
{
	output_close(&cl->client[i].out);
	cl->count--;
	memmove(&cl->client[i], &cl->client[i + 1], (cl->count - i) * sizeof(cl->client[i]));
}

static void write_out(struct clients *cl, unsigned int i, const struct history *h)
{
	if (output_write(&cl->client[i].out, h))
		drop(cl, i);
}

bool clients_add(struct clients *cl, int fd, const struct history *h)
{
	struct client *c = &cl->client[cl->count];

	if (cl->count == CONSOLE_CLIENTS) {
		close(fd);
		return false;
	}
	output_open_socket(&c->out, h, fd);
	c->sends = true;
	write_out(cl, cl->count++, h);
	return true;
}

/* Returns the index of the client that types; cl->count: none. */
static unsigned int typist(const struct clients *cl)
{
	unsigned int i = 0;

	while (i < cl->count && !cl->client[i].sends)
		i++;
	return i;
}

bool clients_next_types(const struct clients *cl)
{
	return typist(cl) == cl->count;
}

void clients_write(struct clients *cl, const struct history *h)
{
	/* The index decreases, because write_out removes a client that has hung up. */
	for (unsigned int i = cl->count; i-- > 0;)
		if (!cl->client[i].out.blocked)
			write_out(cl, i, h);
}

static void accept_one(struct clients *cl, const struct history *h)
{
	int fd = accept4(cl->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		clients_add(cl, fd, h);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		cl->accept_at = monotonic_ns() + ACCEPT_AGAIN_MS * NS_PER_MS;
}

int clients_prepare(struct clients *cl, struct pollfd fds[CLIENTS_POLLFDS], bool room)
{
	uint64_t now = cl->accept_at ? monotonic_ns() : 0;
	bool accepts = now >= cl->accept_at;
	unsigned int types = typist(cl);

	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++) {
		const struct client *c = &cl->client[i];
		short events = 0;

		fds[1 + i] = (struct pollfd){ .fd = i < cl->count ? c->out.fd : -1 };
		if (i >= cl->count)
			continue;
		if (c->sends && (room || i != types))
			events |= POLLIN;
		if (c->out.blocked)
			events |= POLLOUT;
		fds[1 + i].events = events;
	}
	fds[0] = (struct pollfd){ .fd = accepts ? cl->listen_fd : -1, .events = POLLIN };
	if (accepts)
		cl->accept_at = 0;
	return accepts ? -1 : (int)((cl->accept_at - now) / NS_PER_MS) + 1;
}

/* Reads input of a client: into *input if `types` is set, and else to discard it. Returns false if
 * the connection has failed. */
static bool read_in(struct client *c, bool types, struct input *input)
{
	uint8_t data[256];
	size_t max = sizeof(data);
	ssize_t n;

	if (types && input_room(input) < max)
		max = input_room(input);
	n = recv(c->out.fd, data, max, MSG_DONTWAIT);
	if (n == 0)
		c->sends = false;
	for (ssize_t i = 0; types && i < n; i++)
		input_add(input, data[i]);
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static void handle_client(struct clients *cl, unsigned int i, short revents,
			  const struct history *h, struct input *input)
{
	struct client *c = &cl->client[i];
	bool types = i == typist(cl), gone = revents & (POLLERR | POLLNVAL);

	/* Other input may have filled the queue since clients_prepare. */
	if (revents & POLLIN && !gone && (!types || input_room(input)))
		gone = !read_in(c, types, input);
	else if (revents & POLLHUP)
		gone = true;
	if (gone)
		drop(cl, i);
	else if (revents & POLLOUT)
		write_out(cl, i, h);
}

void clients_handle(struct clients *cl, const struct pollfd fds[CLIENTS_POLLFDS],
		    const struct history *h, struct input *input)
{
	for (unsigned int i = cl->count; i-- > 0;)
		if (fds[1 + i].revents && fds[1 + i].fd == cl->client[i].out.fd)
			handle_client(cl, i, fds[1 + i].revents, h, input);
	if (fds[0].revents)
		accept_one(cl, h);
}

void clients_close(struct clients *cl)
{
	while (cl->count)
		drop(cl, cl->count - 1);
}
