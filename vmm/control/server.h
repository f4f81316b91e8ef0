/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server: control socket server with its clients, requests and events.
 *
 * Main thread only. No client can block the VM or make it allocate without bound: there are at most
 * CONTROL_CLIENTS clients, each with one request at a time, one line of CONTROL_LINE_MAX bytes of
 * input and CONTROL_OUT_MAX bytes of pending output, and no read or write blocks. A client that
 * does not read its answers is no longer read from; one that does not read events is disconnected.
 * A client whose CONTROL_CONSOLE has succeeded leaves: once it has its answer, its connection
 * belongs to the handler.
 */
#ifndef VMM_CONTROL_SERVER_H
#define VMM_CONTROL_SERVER_H

#include <poll.h>
#include <stdbool.h>

#include "vmm/control/protocol.h"

#define CONTROL_CLIENTS 8
#define CONTROL_POLLFDS (1 + CONTROL_CLIENTS)
/* Bytes of pending output of a client: the largest statistics of 16 disks with 16 queues each. */
#define CONTROL_OUT_MAX (2u << 20)
/* A client to which an event would leave more than this many bytes of pending output is
 * disconnected. */
#define CONTROL_EVENTS_MAX (128u << 10)

struct control;

struct control_handler {
	/*
	 * Executes a request of client `n`. True: the function has filled *answer, which is empty
	 * before. False: control_answer will be called later. CONTROL_EVENTS is handled by the
	 * server and not passed on.
	 */
	bool (*run)(struct control_handler *handler, unsigned int n,
		    const struct control_request *request, struct control_answer *answer);
	/* Takes over the non-blocking socket of a client that has got the answer to its
	 * CONTROL_CONSOLE. `data` is the input that followed. */
	void (*leave)(struct control_handler *handler, int fd, const char *data, size_t len);
};

/* Creates the server and its socket; `path` and `handler` must outlive it. -errno and *why are
 * those of control_socket_open; -ENOMEM with *why NULL. */
int control_open(struct control **control, const char *path, struct control_handler *handler,
		 const char **why);

/* Removes the socket's file by control_socket_remove. NULL is allowed. */
void control_remove(const struct control *control);

/* Closes all connections and frees the server. Output that the clients' sockets have not accepted
 * yet is lost. The socket's file stays. NULL is allowed. */
void control_close(struct control *control);

/* Fills the entries that the server wants polled (fd -1: none) and returns the longest time-out in
 * ms (-1: none). */
int control_prepare(struct control *control, struct pollfd fds[CONTROL_POLLFDS]);

/* Acts on the results of poll(2) for the entries of control_prepare. */
void control_handle(struct control *control, const struct pollfd fds[CONTROL_POLLFDS]);

/* Sends the answer to the request of client `n`, for which handler->run returned false, and
 * releases its contents. The client may have disconnected meanwhile. */
void control_answer(struct control *control, unsigned int n, struct control_answer *answer);

/* Sends the event to every client that has subscribed to events; releases the object. */
void control_event(struct control *control, struct json_object *event);

#endif
