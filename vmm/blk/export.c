/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/blk/export.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "devices/vhost_user/memory.h"
#include "devices/vhost_user/session.h"
#include "vmm/blk/control.h"
#include "vmm/control/disk_stats.h"
#include "vmm/control/socket.h"
#include "vmm/report.h"
#include "vmm/sandbox/spawner.h"
#include "vmm/startup.h"

/* Descriptors that a connection may open besides those of the disk's threads: the connection
 * itself, the descriptors of one message (VHOST_USER_FDS_MAX), that of SET_BACKEND_REQ_FD, and a
 * few temporary ones. */
#define CONNECTION_FDS 40

/* First inherited socket of systemd's socket activation, see sd_listen_fds(3). */
#define LISTEN_FDS_START 3

struct export
{
	const struct export_config *config;
	struct control_socket socket; /* listening; fd -1: `connected` is the only connection */
	int connected;		      /* an inherited connection, not yet served; -1: none */
	int signal_fd;
	int lost_fd; /* eventfd: the front end has truncated its memory */
	struct sandbox_user user;
	struct spawner *spawner;
	struct blk_threads threads;
	struct vhost_user_memory memory;
	struct blk *blk;
	struct vhost_user *vu;
	struct export_control control;
	bool served;   /* a front end has connected */
	bool confined; /* the process is sandboxed: paths may be inaccessible */
	bool over;     /* export_run has returned */
};

/* ---- set-up ---- */

static int open_events(struct export *x)
{
	sigset_t set;

	startup_stop_signals(&set);
	x->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	x->lost_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (x->signal_fd < 0 || x->lost_fd < 0)
		return report_host(-errno, "event file descriptors");
	return 0;
}

/* Takes an inherited socket, which may be listening or connected. */
static int take_socket(struct export *x, int fd, const char *option)
{
	int listening = 0, type = 0;
	socklen_t len = sizeof(type);
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM)
		return report_option(-ENOTSOCK, option, number, "is no stream socket");
	/* The sandbox closes inherited descriptors that have no such flag. */
	if (fcntl(fd, F_SETFD, FD_CLOEXEC))
		return report_host(-errno, option);
	len = sizeof(listening);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
	if (listening)
		x->socket.fd = fd;
	else
		x->connected = fd;
	return 0;
}

/* Returns the number of sockets that systemd has passed to this process. */
static unsigned int inherited_sockets(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	if (!pid || !count || strtol(pid, NULL, 10) != getpid())
		return 0;
	return (unsigned int)strtoul(count, NULL, 10);
}

static int open_socket(struct export *x)
{
	const struct export_config *config = x->config;
	const char *why;
	int err;

	if (config->fd != EXPORT_NO_FD)
		return take_socket(x, (int)config->fd, "--fd");
	if (!config->socket_path && inherited_sockets() == 1)
		return take_socket(x, LISTEN_FDS_START, "LISTEN_FDS");
	if (!config->socket_path)
		return report_option(-EINVAL, "--socket-path", "PATH", "is missing (see --help)");
	err = control_socket_open(&x->socket, config->socket_path, &why);
	if (!err)
		return 0;
	return why ? report_option(err, "--socket-path", config->socket_path, why)
		   : report_host(err, "the socket of the front end");
}

static int open_disk(struct export *x)
{
	struct blk_config disk = x->config->disk;
	struct blkplane_listener *listener = NULL;
	const char *why;
	int err;

	x->threads = (struct blk_threads){
		.make = spawner_run,
		.plane = {
			[BLK_ENGINE_URING] = sandbox_thread(SANDBOX_URING),
			[BLK_ENGINE_LIBAIO] = sandbox_thread(SANDBOX_LIBAIO),
			[BLK_ENGINE_SYNC] = sandbox_thread(SANDBOX_SYNC),
		},
		.worker = sandbox_thread(SANDBOX_WORKER),
	};
	if (x->config->sandbox != SANDBOX_OFF)
		disk.threads = &x->threads;
	err = blk_create(&x->blk, &disk, 0, &x->memory.table, &why);
	if (err)
		return why ? report_option(err, "--disk", disk.path, why) : err;
	if (x->config->control) {
		err = export_control_add(&x->control, x->blk, &x->config->disk, &listener);
		if (err)
			return err;
	}
	err = vhost_user_create(&x->vu, x->blk, &x->memory, listener);
	x->control.vu = x->vu;
	if (!err)
		err = vhost_user_memory_guard(&x->memory, x->lost_fd);
	return err ? report_host(err, "the back end") : 0;
}

int export_create(struct export **to, const struct export_config *config)
{
	struct export *x = calloc(1, sizeof(*x));
	const char *why;
	int err;

	if (!x)
		return report_host(-ENOMEM, "the export");
	x->config = config;
	x->socket.fd = x->connected = x->signal_fd = x->lost_fd = -1;
	*to = x;
	export_control_init(&x->control);
	err = config->user ? sandbox_find_user(&x->user, config->user, &why) : 0;
	if (err)
		return report_option(err, "--user", config->user, why);
	err = open_events(x);
	if (!err)
		err = open_disk(x);
	if (!err && config->control)
		err = commands_open(&x->control.commands, config->control);
	return err ? err : open_socket(x);
}

int export_start(struct export *x)
{
	const struct export_config *config = x->config;
	struct sandbox_config sandbox = {
		.mode = config->sandbox,
		.user = config->user ? &x->user : NULL,
		.core_dump = config->core_dump,
		.back_end = true,
		.more_fds = blk_fds(x->blk) + CONNECTION_FDS + (config->control ? COMMANDS_FDS : 0),
	};
	int err = sandbox_enter(&sandbox);

	/* -EMFILE is returned before any privilege is given up. */
	x->confined = config->sandbox != SANDBOX_OFF && err != -EMFILE;
	if (!err)
		err = commands_start(&x->control.commands);
	if (err || config->sandbox == SANDBOX_OFF)
		return err;
	err = spawner_start(&x->spawner);
	x->threads.spawner = x->spawner;
	if (err)
		return report_start(err, "the spawner thread");
	err = thread_init(sandbox_thread(SANDBOX_EXPORT));
	return err ? report_host(err, "seccomp") : 0;
}

/* ---- the main loop ---- */

static void connect_front_end(struct export *x)
{
	int sock = x->connected;

	x->connected = -1;
	if (sock < 0)
		sock = accept4(x->socket.fd, NULL, NULL, SOCK_CLOEXEC);
	if (sock < 0)
		return;
	log_debug("vhost-user: a front end has connected");
	vhost_user_connect(x->vu, sock);
	export_control_connected(&x->control);
}

static void disconnect_front_end(struct export *x, const char *why)
{
	log_debug("vhost-user: the connection ends: %s", why);
	vhost_user_disconnect(x->vu);
	export_control_disconnected(&x->control, why);
}

/* Disconnects a front end that has truncated a file of the memory that it shares: its rings may
 * have been in the part that is lost. */
static void handle_lost_memory(struct export *x)
{
	uint64_t count;

	if (read(x->lost_fd, &count, sizeof(count)) < 0 || vhost_user_socket(x->vu) < 0)
		return;
	log_limited("vhost-user: the front end has truncated its memory");
	disconnect_front_end(x, "no memory");
}

enum { SIGNAL, LOST, TIMER, FRONT_END, CONTROL, EVENTS = CONTROL + COMMANDS_POLLFDS };

/* Handles what the front end, or its absence, has caused. */
static void handle_front_end(struct export *x, const struct pollfd events[EVENTS])
{
	bool idle = vhost_user_socket(x->vu) < 0;
	int err = 0;

	if (events[LOST].revents)
		handle_lost_memory(x);
	else if (events[TIMER].revents)
		vhost_user_tick(x->vu);
	else if (events[FRONT_END].revents && idle)
		connect_front_end(x);
	else if (events[FRONT_END].revents)
		err = vhost_user_handle(x->vu);
	if (err)
		disconnect_front_end(x,
				     err == -ENOTCONN ? "closed by the front end" : strerror(-err));
}

/* Fills the entries for poll(2), and returns its time-out in ms (-1: none). */
static int prepare(struct export *x, struct pollfd events[EVENTS])
{
	int front_end = vhost_user_socket(x->vu);

	for (unsigned int i = 0; i < EVENTS; i++)
		events[i] = (struct pollfd){ -1, POLLIN, 0 };
	events[SIGNAL].fd = x->signal_fd;
	events[LOST].fd = x->lost_fd;
	events[TIMER].fd = vhost_user_timer(x->vu);
	events[FRONT_END].fd = front_end < 0 ? x->socket.fd : front_end;
	return x->control.commands.jobs ? commands_prepare(&x->control.commands, events + CONTROL)
					: -1;
}

/* Returns whether the connection has ended, and there is no listening socket for another, or the
 * user wants only one (--once). */
static bool is_done(const struct export *x)
{
	if (vhost_user_socket(x->vu) >= 0)
		return false;
	return x->socket.fd < 0 || (x->served && x->config->once);
}

/* Serves until the end, and returns its reason, as microvm-ctl(1) lists them. */
static const char *serve(struct export *x)
{
	struct pollfd events[EVENTS];

	if (x->connected >= 0)
		connect_front_end(x);
	while (!is_done(x)) {
		int timeout = prepare(x, events);

		/* EINTR and ENOMEM are transient, and leave no results. */
		if (poll(events, EVENTS, timeout) < 0)
			continue;
		if (events[SIGNAL].revents)
			return "quit";
		export_control_lock(&x->control);
		handle_front_end(x, events);
		export_control_unlock(&x->control);
		x->served |= vhost_user_socket(x->vu) >= 0;
		if (x->control.commands.jobs)
			commands_handle(&x->control.commands, events + CONTROL);
		if (x->control.quit)
			return "quit";
	}
	return "disconnected";
}

void export_run(struct export *x)
{
	const char *reason = serve(x);

	x->over = true;
	log_debug("microvm-blk ends: %s", reason);
	export_control_end(&x->control, reason);
}

bool export_is_confined(const struct export *x)
{
	return x->confined;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

int export_destroy(struct export *x)
{
	int err;

	if (!x)
		return 0;
	if (!x->confined) {
		control_remove(x->control.commands.control);
		if (x->socket.path && x->socket.fd >= 0)
			control_socket_remove(&x->socket);
	}
	control_socket_close(&x->socket);
	vhost_user_destroy(x->vu);
	if (x->over && x->config->stats)
		disk_stats_print(&x->config->disk, x->blk);
	err = blk_destroy(x->blk);
	if (err)
		log_error("--disk %s: flush at the end: %s", x->config->disk.path, strerror(-err));
	spawner_stop(x->spawner);
	commands_close(&x->control.commands);
	close_fd(x->connected);
	close_fd(x->signal_fd);
	close_fd(x->lost_fd);
	free(x);
	return err;
}
