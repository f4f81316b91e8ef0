/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/evloop.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_WAIT 8

static void handle_stop(void *arg)
{
	struct evloop *loop = arg;

	loop->stopping = true;
}

int evloop_init(struct evloop *loop)
{
	int err;

	*loop = (struct evloop){ .epoll_fd = -1, .stop_fd = -1 };
	loop->stop = (struct ev_source){ .handle = handle_stop, .arg = loop };
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->stop_fd < 0)
		err = -errno;
	else
		err = evloop_add(loop, loop->stop_fd, &loop->stop);
	if (err)
		evloop_destroy(loop);
	return err;
}

void evloop_destroy(struct evloop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->stop_fd >= 0)
		close(loop->stop_fd);
	loop->epoll_fd = loop->stop_fd = -1;
}

int evloop_add(struct evloop *loop, int fd, struct ev_source *source)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void evloop_wait(struct evloop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_WAIT];
	/* A signal only means another round. */
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct ev_source *source = events[i].data.ptr;

		source->handle(source->arg);
	}
}

void evloop_stop(struct evloop *loop)
{
	uint64_t one = 1;
	/* Fails only when the counter is full, and then the loop is being told anyway. */
	ssize_t ignored = write(loop->stop_fd, &one, sizeof(one));

	(void)ignored;
}

bool evloop_stopping(const struct evloop *loop)
{
	return loop->stopping;
}
