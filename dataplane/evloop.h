/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evloop: an epoll loop with a reserved stop event.
 *
 * Sources are watched edge-triggered: an eventfd's counter is never read, each write to it is one
 * wake-up, and a handler that leaves work undone must remember that itself. Only evloop_stop may
 * be called from another thread.
 */
#ifndef DATAPLANE_EVLOOP_H
#define DATAPLANE_EVLOOP_H

#include <stdbool.h>

struct ev_source {
	void (*handle)(void *arg);
	void *arg;
};

struct evloop {
	int epoll_fd;
	int stop_fd;
	struct ev_source stop;
	bool stopping;
};

/* 0 or -errno. */
int evloop_init(struct evloop *loop);
void evloop_destroy(struct evloop *loop);

/* Watch fd; the source stays the caller's and must outlive the loop. What was already readable
 * counts as a first event. 0 or -errno. */
int evloop_add(struct evloop *loop, int fd, struct ev_source *source);

/* Wait for events and handle them; timeout_ms as epoll_wait's. */
void evloop_wait(struct evloop *loop, int timeout_ms);

/* Any thread: make the loop's owner see evloop_stopping, even when it waits. */
void evloop_stop(struct evloop *loop);
bool evloop_stopping(const struct evloop *loop);

#endif
