/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/control/commands.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "devices/virtio/blk.h"
#include "vmm/control/disk_stats.h"
#include "vmm/report.h"

/* ---- job thread ---- */

static void run_halt(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct commands *c = control_job->commands;
	bool wanted = control_job->request.command == CONTROL_PAUSE;

	control_job->changed = c->owner_paused != wanted;
	if (!control_job->changed)
		return;
	if (wanted) {
		c->ops->pause(c);
	} else {
		for (unsigned int i = 0; i < c->disk_count; i++)
			disk_alerts_forget(&c->disk[i].alerts);
		c->ops->resume(c);
	}
	c->owner_paused = wanted;
}

static void run_flush(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct commands *c = control_job->commands;

	/* Every disk is flushed even if another one fails; the answer contains the first failure.
	 * If the owner is ending, the rest is left to the flush of the tear-down. */
	for (unsigned int i = 0; i < c->disk_count && !c->ops->is_ending(c); i++) {
		int err = blk_flush(c->disk[i].blk);

		if (err && !control_job->answer.error)
			control_refuse(&control_job->answer, "failed", "disk %u: %s", i,
				       strerror(-err));
	}
}

static void run_resize(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct commands *c = control_job->commands;
	unsigned int disk = control_job->request.disk;
	const char *why;
	int err;

	c->ops->lock(c, disk);
	err = blk_resize(c->disk[disk].blk, control_job->request.size, &why);
	c->ops->unlock(c, disk);
	/* The image is resized before the driver is notified, so that new blocks exist when the
	 * driver uses them. */
	if (err)
		control_refuse(&control_job->answer, "failed", "disk %u: %s", disk, why);
	else
		c->ops->notify_resize(c, disk, c->owner_paused);
}

static void run_limit(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct commands *c = control_job->commands;
	unsigned int disk = control_job->request.disk;

	c->ops->lock(c, disk);
	blk_set_limits(c->disk[disk].blk, &control_job->request.limits);
	c->ops->unlock(c, disk);
}

/* ---- main thread ---- */

static void tell_state(struct commands *c)
{
	c->paused = !c->paused;
	c->ops->changed(c, c->paused);
	control_event(c->control, control_event_object(c->paused ? "paused" : "resumed"));
}

/* Sends the disk's new size to the client in the answer, and to all listeners in an event. */
static void tell_size(struct control_job *control_job)
{
	struct commands *c = control_job->commands;
	uint64_t size = blk_capacity(c->disk[control_job->request.disk].blk);
	struct json_object *event = control_event_object("resized");

	control_put_number(event, "disk", control_job->request.disk);
	control_put_number(event, "size", size);
	control_event(c->control, event);
	control_job->answer.result = json_object_new_object();
	control_put_number(control_job->answer.result, "size", size);
}

/* Sends the statistics of a snapshot as the answer, and to all listeners in an event. The answer
 * about a working set has the number of pages only. */
static void tell_pages(struct control_job *control_job)
{
	struct json_object *object = json_object_new_object(), *event;

	control_job->answer.result = object;
	control_put_number(object, "pages", control_job->pages);
	if (control_job->request.command == CONTROL_RECORD)
		return;
	control_put_bool(object, "diff", control_job->request.diff);
	control_put_number(object, "paused-us", control_job->paused_us);
	control_put_number(object, "total-us", control_job->total_us);
	event = control_event_object("snapshot");
	control_put_text(event, "name", control_job->request.name);
	json_object_object_foreach(object, key, value)
		control_put(event, key, json_object_get(value));
	control_event(control_job->commands->control, event);
}

static void control_job_done(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	enum control_command command = control_job->request.command;
	struct commands *c = control_job->commands;

	if (control_job->changed)
		tell_state(c);
	if (command == CONTROL_RESIZE && !control_job->answer.error)
		tell_size(control_job);
	if ((command == CONTROL_SNAPSHOT || command == CONTROL_RECORD) &&
	    !control_job->answer.error)
		tell_pages(control_job);
	if (command == CONTROL_LIMIT)
		control_job->answer.result =
			disk_stats_limits(c->disk[control_job->request.disk].blk);
	control_answer(c->control, control_job->client, &control_job->answer);
}

static void queue_job(struct commands *c, unsigned int client,
		      const struct control_request *request, void (*run)(struct job *))
{
	struct control_job *control_job = &c->job[client];

	*control_job = (struct control_job){
		.job = { .run = run, .done = control_job_done },
		.commands = c,
		.client = client,
		.request = *request,
	};
	control_job->request.id = NULL;
	jobs_queue(c->jobs, &control_job->job);
}

static struct json_object *disk_status(const struct commands *c, unsigned int i)
{
	const struct commands_disk *disk = &c->disk[i];
	struct json_object *object = json_object_new_object();

	control_put_number(object, "disk", i);
	control_put_text(object, "file", disk->config->path);
	control_put_number(object, "size", blk_capacity(disk->blk));
	control_put_bool(object, "readonly", disk->config->readonly);
	control_put_bool(object, "ephemeral", disk->config->ephemeral);
	if (disk->config->ephemeral)
		control_put_number(object, "allocated", blk_allocated(disk->blk));
	control_put_number(object, "queues", blk_virtio(disk->blk)->queue_count);
	control_put(object, "stopped", disk_alerts_stopped(&disk->alerts));
	control_put(object, "limits", disk_stats_limits(disk->blk));
	return object;
}

static struct json_object *status(const struct commands *c)
{
	struct json_object *object = json_object_new_object();
	struct json_object *disks = json_object_new_array();

	control_put_text(object, "state", c->paused ? "paused" : "running");
	c->ops->put_status(c, object);
	for (unsigned int i = 0; i < c->disk_count; i++)
		control_put(disks, NULL, disk_status(c, i));
	control_put(object, "disks", disks);
	return object;
}

static struct json_object *stats(const struct commands *c)
{
	struct json_object *object = json_object_new_object();
	struct json_object *queues = json_object_new_array();

	for (unsigned int i = 0; i < c->disk_count; i++)
		disk_stats_put(queues, c->disk[i].blk, i);
	control_put(object, "queues", queues);
	return object;
}

/* Queues a job for the disk that the request names. False: there is no such disk and *answer is
 * filled. */
static bool disk_job(struct commands *c, unsigned int client, const struct control_request *request,
		     struct control_answer *answer, void (*run)(struct job *))
{
	if (request->disk < c->disk_count) {
		queue_job(c, client, request, run);
		return true;
	}
	control_refuse(answer, "no-such-disk", "there is no disk %u", request->disk);
	return false;
}

static bool run_request(struct control_handler *handler, unsigned int client,
			const struct control_request *request, struct control_answer *answer)
{
	struct commands *c = container_of(handler, struct commands, handler);

	log_debug("control: client %u: %s", client, control_command_name(request->command));
	switch (request->command) {
	case CONTROL_STATUS:
		answer->result = status(c);
		return true;
	case CONTROL_STATS:
		answer->result = stats(c);
		return true;
	case CONTROL_PAUSE:
	case CONTROL_RESUME:
		queue_job(c, client, request, run_halt);
		return false;
	case CONTROL_FLUSH:
		queue_job(c, client, request, run_flush);
		return false;
	case CONTROL_RESIZE:
		return !disk_job(c, client, request, answer, run_resize);
	case CONTROL_LIMIT:
		return !disk_job(c, client, request, answer, run_limit);
	case CONTROL_SNAPSHOT:
	case CONTROL_RECORD:
		if (!c->snapshot)
			control_refuse(answer, "no-snapshot-dir", "there is no --snapshot-dir");
		else
			queue_job(c, client, request, c->snapshot);
		return !c->snapshot;
	case CONTROL_POWER_BUTTON:
	case CONTROL_QUIT:
	case CONTROL_CONSOLE:
		c->ops->run(c, request->command, answer);
		return true;
	case CONTROL_EVENTS:
		break;
	}
	return true;
}

static void leave(struct control_handler *handler, int fd, const char *data, size_t len)
{
	struct commands *c = container_of(handler, struct commands, handler);

	c->ops->leave(c, fd, data, len);
}

/* ---- main thread: pauses that a disk requests ---- */

static void halt_done(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);

	control_job->commands->pause_pending = false;
	if (control_job->changed)
		tell_state(control_job->commands);
}

/* Queues a pause, as by the pause command; does not wait. */
static void queue_halt(struct commands *c)
{
	/* Finished jobs are reaped first: a pause that has already been executed must not count as
	 * pending, because the owner may have been resumed since. */
	jobs_reap(c->jobs);
	if (c->pause_pending)
		return;
	c->pause_pending = true;
	c->halt = (struct control_job){
		.job = { .run = run_halt, .done = halt_done },
		.commands = c,
		.request.command = CONTROL_PAUSE,
	};
	jobs_queue(c->jobs, &c->halt.job);
}

static void handle_alerts(struct commands *c)
{
	bool stopped = false;
	uint64_t count;

	if (read(c->alert_fd, &count, sizeof(count)) < 0)
		return;
	for (unsigned int i = 0; i < c->disk_count; i++)
		stopped |= disk_alerts_report(&c->disk[i].alerts, c->control, i,
					      c->disk[i].config->path, c->paused_name);
	if (stopped)
		queue_halt(c);
}

int commands_init(struct commands *c, const struct commands_ops *ops, const char *paused_name)
{
	c->ops = ops;
	c->paused_name = paused_name;
	c->handler = (struct control_handler){ .run = run_request, .leave = leave };
	c->alert_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c->alert_fd < 0 ? report_host(-errno, "event file descriptors") : 0;
}

struct blkplane_listener *commands_add_disk(struct commands *c, struct blk *blk,
					    const struct blk_config *config)
{
	struct commands_disk *disk = &c->disk[c->disk_count++];

	disk->blk = blk;
	disk->config = config;
	disk_alerts_init(&disk->alerts, c->alert_fd);
	return &disk->alerts.listener;
}

int commands_open(struct commands *c, const char *path)
{
	struct json_object *seed;
	const char *why;
	int err;

	/* json-c seeds its hash function when it creates its first object. This is done here
	 * because the seccomp filters forbid the means (getrandom, or a file if that fails)
	 * later. */
	seed = json_object_new_object();
	json_object_object_add(seed, "event", NULL);
	json_object_put(seed);
	err = control_open(&c->control, path, &c->handler, &why);
	if (err)
		return why ? report_option(err, "--control", path, why)
			   : report_host(err, "the control socket");
	return 0;
}

int commands_start(struct commands *c)
{
	int err = c->control ? jobs_create(&c->jobs) : 0;

	return err ? report_start(err, "the control thread") : 0;
}

int commands_prepare(struct commands *c, struct pollfd fds[COMMANDS_POLLFDS])
{
	fds[0] = (struct pollfd){ .fd = jobs_fd(c->jobs), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = c->alert_fd, .events = POLLIN };
	return control_prepare(c->control, fds + 2);
}

void commands_handle(struct commands *c, const struct pollfd fds[COMMANDS_POLLFDS])
{
	if (fds[0].revents)
		jobs_reap(c->jobs);
	if (fds[1].revents)
		handle_alerts(c);
	control_handle(c->control, fds + 2);
}

void commands_say_end(struct commands *c, const char *reason)
{
	struct json_object *event;

	if (!c->control)
		return;
	event = control_event_object("shutdown");
	control_put_text(event, "reason", reason);
	control_event(c->control, event);
}

void commands_stop(struct commands *c)
{
	jobs_destroy(c->jobs);
	c->jobs = NULL;
}

void commands_close(struct commands *c)
{
	commands_stop(c);
	control_close(c->control);
	if (c->alert_fd >= 0)
		close(c->alert_fd);
}
