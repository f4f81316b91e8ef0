/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands: execution of control commands on the disks of a VM or of an export.
 *
 * The owner embeds the struct and supplies the operations that differ: how to pause, which lock
 * protects a disk's transport, and the commands that are not about disks. A command that may wait
 * for the owner or for the host's I/O runs as a job on the job thread, one at a time. Functions are
 * for the main thread. Errors are -errno, after a line in the log.
 */
#ifndef VMM_CONTROL_COMMANDS_H
#define VMM_CONTROL_COMMANDS_H

#include "vmm/control/disk_alerts.h"
#include "vmm/control/jobs.h"
#include "vmm/control/server.h"

#define COMMANDS_MAX_DISKS 16

struct blk;
struct blk_config;
struct commands;

struct commands_ops {
	/* ---- on the job thread ---- */
	void (*pause)(struct commands *commands);
	void (*resume)(struct commands *commands);
	/* Locks the transport of a disk, see blk_resize. */
	void (*lock)(struct commands *commands, unsigned int disk);
	void (*unlock)(struct commands *commands, unsigned int disk);
	/* Notifies the driver of the disk's new size (blk_notify_resize); called without the
	 * lock. */
	void (*notify_resize)(struct commands *commands, unsigned int disk, bool paused);
	/* Returns true once the owner is ending; jobs are cut short then. */
	bool (*is_ending)(const struct commands *commands);

	/* ---- on the main thread ---- */
	/* Called after each pause and resume. */
	void (*changed)(struct commands *commands, bool paused);
	/* Adds the owner's members to the answer to the status command. */
	void (*put_status)(const struct commands *commands, struct json_object *status);
	/* Executes CONTROL_POWER_BUTTON, CONTROL_QUIT and CONTROL_CONSOLE. */
	void (*run)(struct commands *commands, enum control_command command,
		    struct control_answer *answer);
	/* See struct control_handler. NULL for an owner whose run() refuses CONTROL_CONSOLE. */
	void (*leave)(struct commands *commands, int fd, const char *data, size_t len);
};

/* A control request, or a pause caused by a disk, that runs as a job (jobs.h). */
struct control_job {
	struct job job;
	struct commands *commands;
	unsigned int client;
	struct control_request request; /* a copy without the id, which the server keeps */
	struct control_answer answer;
	bool changed; /* the job has paused or resumed the owner */
	/* Statistics of a snapshot: pages that the guest has of its own, the duration of the pause
	 * and of all in microseconds. A recorded working set has `pages` as well. */
	uint64_t pages, paused_us, total_us;
};

struct commands_disk {
	struct blk *blk;
	const struct blk_config *config;
	struct disk_alerts alerts;
};

struct commands {
	const struct commands_ops *ops;
	const char *paused_name; /* that which an I/O error pauses, for the log */
	struct control_handler handler;
	struct control *control; /* NULL: there is no control socket */
	struct jobs *jobs;	 /* NULL: the job thread does not run */
	/* Executes CONTROL_SNAPSHOT and CONTROL_RECORD; NULL: not possible. */
	void (*snapshot)(struct job *job);
	int alert_fd; /* an eventfd, signalled when a disk has an alert; -1: none */
	unsigned int disk_count;
	struct commands_disk disk[COMMANDS_MAX_DISKS];
	struct control_job job[CONTROL_CLIENTS]; /* one for each client */
	struct control_job halt;		 /* the pause that a disk requests */
	bool pause_pending;			 /* `halt` is queued or running */
	bool owner_paused;			 /* used by the job thread only */
	bool paused; /* used by the main thread only: its copy of owner_paused */
};

/* Prepares the struct, which is zeroed but for alert_fd, -1. */
int commands_init(struct commands *commands, const struct commands_ops *ops,
		  const char *paused_name);

/* Adds the next disk. Returns its listener, which the caller makes that of the disk. */
struct blkplane_listener *commands_add_disk(struct commands *commands, struct blk *blk,
					    const struct blk_config *config);

/* Opens the control socket (--control). */
int commands_open(struct commands *commands, const char *path);

/* Number of descriptors opened after commands_open: the clients, one more that is accepted only to
 * be closed, and the eventfd of the jobs. */
#define COMMANDS_FDS (CONTROL_CLIENTS + 2)

/* Starts the job thread if there is a control socket; in the sandbox. */
int commands_start(struct commands *commands);

/* Number of entries that commands_prepare fills. */
#define COMMANDS_POLLFDS (2 + CONTROL_POLLFDS)

/* Fills the entries that the control socket wants polled and returns the longest time-out in ms
 * (-1: none). The job thread runs. */
int commands_prepare(struct commands *commands, struct pollfd fds[COMMANDS_POLLFDS]);

/* Acts on the results of poll(2) for the entries of commands_prepare. */
void commands_handle(struct commands *commands, const struct pollfd fds[COMMANDS_POLLFDS]);

/* Sends the shutdown event. */
void commands_say_end(struct commands *commands, const char *reason);

/* Waits for the running job and ends the job thread; jobs that have not begun are dropped. */
void commands_stop(struct commands *commands);

/* Closes all connections. This is the last step of a tear-down, so that a client that sees its
 * connection end can rely on images being released. */
void commands_close(struct commands *commands);

#endif
