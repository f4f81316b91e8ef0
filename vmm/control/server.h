/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control: the control socket: its clients, their requests and their events. Main thread only.
 *
 * Nothing a client does holds the VM up or grows without bound: there are at most CONTROL_CLIENTS of
 * them, each with one request at a time, a line of CONTROL_LINE_MAX bytes to be read and
 * CONTROL_OUT_MAX bytes to be written; no read or write waits. Who does not read is not heard; who
 * does not read events is dropped.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <poll.h>
#include <stdbool.h>

#include "vmm/control/protocol.h"

#define CONTROL_CLIENTS 8
#define CONTROL_POLLFDS (1 + CONTROL_CLIENTS)
#define CONTROL_OUT_MAX \
	(2u << 20) /* the statistics of 16 disks with 16 queues each, as large as they can be */
/* Events are for who reads them: with so much to be written it does not. */
#define CONTROL_EVENTS_MAX (128u << 10)

struct control;

struct control_handler {
	/*
	 * Carry out a request of client `n`. True: *answer, which is empty, has been filled. False:
	 * control_answer will be called later. CONTROL_EVENTS does not get here.
	 */
	bool (*run)(struct control_handler *handler, unsigned int n,
		    const struct control_request *request, struct control_answer *answer);
};

/* Both are lent. -errno with *why, as control_socket_open; -ENOMEM. */
int control_open(struct control **control, const char *path, struct control_handler *handler,
		 const char **why);

/* Removes the socket's file, as control_socket_remove. NULL is allowed. */
void control_remove(const struct control *control);

/* What has been said is written as far as that goes without waiting; all connections end. The socket's
 * file stays. NULL is allowed. */
void control_close(struct control *control);

/* One round of the main loop, as in console.h. */
int control_prepare(struct control *control, struct pollfd fds[CONTROL_POLLFDS]);
void control_handle(struct control *control, const struct pollfd fds[CONTROL_POLLFDS]);

/* The answer that client `n` has been waiting for; it may have gone meanwhile. */
void control_answer(struct control *control, unsigned int n, struct control_answer *answer);

/* Tell everybody who wants to know; the event is used up. */
void control_event(struct control *control, struct json_object *event);

#endif
