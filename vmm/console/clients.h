/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clients: processes that are attached to the console by a stream socket.
 *
 * A client connects to the socket of --console socket:PATH, or the control socket hands its
 * connection over (microvm-ctl console). Each client gets the history (output.h), then all new
 * output. The first client whose input has not ended types for the guest; input of the others is
 * discarded. At most CONSOLE_CLIENTS are served; further connections are closed. No client can
 * block the VM or make it allocate memory: a client is a descriptor and a position in the history.
 * Main thread.
 */
#ifndef VMM_CONSOLE_CLIENTS_H
#define VMM_CONSOLE_CLIENTS_H

#include <poll.h>

#include "vmm/console/input.h"
#include "vmm/console/output.h"

#define CONSOLE_CLIENTS 8
#define CLIENTS_POLLFDS (1 + CONSOLE_CLIENTS)

struct client {
	struct output out; /* its descriptor serves both directions */
	bool sends;	   /* its input has not ended */
};

struct clients {
	int listen_fd;	    /* non-blocking; -1: none */
	uint64_t accept_at; /* time of the next accept in ns, CLOCK_MONOTONIC; 0: at once */
	unsigned int count;
	struct client client[CONSOLE_CLIENTS]; /* in the order in which they attached */
};

/* Initialises *clients. listen_fd (-1: none) remains the caller's. */
void clients_init(struct clients *clients, int listen_fd);

/* Adds a connected stream socket, which belongs to *clients from now on, and writes the history to
 * it. Returns false if there are CONSOLE_CLIENTS already; fd has then been closed. */
bool clients_add(struct clients *clients, int fd, const struct history *history);

/* Returns true if the next client to be added will type: no other client does. */
bool clients_next_types(const struct clients *clients);

/* Writes new output to all clients that are not blocked. */
void clients_write(struct clients *clients, const struct history *history);

/* Fills all entries of `fds` for poll(2), with fd -1 in unused ones, and returns the longest
 * time-out in ms (-1: none). `room` tells whether the input queue has room. */
int clients_prepare(struct clients *clients, struct pollfd fds[CLIENTS_POLLFDS], bool room);

/* Acts on the results of poll(2) for the entries of clients_prepare. Clients may have been added
 * since. The input of the typing client is appended to *input. */
void clients_handle(struct clients *clients, const struct pollfd fds[CLIENTS_POLLFDS],
		    const struct history *history, struct input *input);

/* Closes all connections. Output that their sockets have not accepted is lost. */
void clients_close(struct clients *clients);

#endif
