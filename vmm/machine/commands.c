/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Execution of control commands on a running machine. A command that may wait for vCPUs or for the
 * host's I/O runs as a job on the job thread, one at a time.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "vmm/console/console.h"
#include "vmm/machine/internal.h"
#include "vmm/report.h"
#include "vmm/state/directory.h"

/* ---- job thread ---- */

static void run_halt(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct machine *m = control_job->machine;
	bool wanted = control_job->request.command == CONTROL_PAUSE;

	control_job->changed = m->guest_paused != wanted;
	if (!control_job->changed)
		return;
	if (wanted)
		machine_halt(m);
	else
		machine_resume(m);
	m->guest_paused = wanted;
}

static void run_flush(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct machine *m = control_job->machine;

	/* Every disk is flushed even if another one fails; the answer contains the first failure.
	 * If the VM is ending, the rest is left to the flush of the tear-down. */
	for (unsigned int i = 0; i < m->disk_count && !machine_is_ending(m); i++) {
		int err = blk_flush(m->disk[i].blk);

		if (err && !control_job->answer.error)
			control_refuse(&control_job->answer, "failed", "disk %u: %s", i,
				       strerror(-err));
	}
}

static void run_resize(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct machine *m = control_job->machine;
	struct disk *disk = &m->disk[control_job->request.disk];
	const char *why;
	int err;

	virtio_mmio_lock(&disk->mmio);
	err = blk_resize(disk->blk, control_job->request.size, &why);
	virtio_mmio_unlock(&disk->mmio);
	if (err) {
		control_refuse(&control_job->answer, "failed", "disk %u: %s",
			       control_job->request.disk, why);
		return;
	}
	/* The image is resized before the driver is notified, so that new blocks exist when the
	 * driver uses them. vCPUs are paused because a driver reads the capacity in two halves. */
	if (!m->guest_paused)
		machine_stop_vcpus(m);
	blk_notify_resize(disk->blk);
	if (!m->guest_paused)
		vcpu_pause_release(&m->vcpu_pause);
}

static void run_limit(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct disk *disk = &control_job->machine->disk[control_job->request.disk];

	virtio_mmio_lock(&disk->mmio);
	blk_set_limits(disk->blk, &control_job->request.limits);
	virtio_mmio_unlock(&disk->mmio);
}

/* ---- main thread ---- */

static void tell_state(struct machine *m)
{
	m->paused = !m->paused;
	if (m->console)
		console_hold(m->console, m->paused);
	control_event(m->control, control_event_object(m->paused ? "paused" : "resumed"));
}

/* Sends the disk's new size to the client in the answer, and to all listeners in an event. */
static void tell_size(struct control_job *control_job)
{
	uint64_t size = blk_capacity(control_job->machine->disk[control_job->request.disk].blk);
	struct json_object *event = control_event_object("resized");

	control_put_number(event, "disk", control_job->request.disk);
	control_put_number(event, "size", size);
	control_event(control_job->machine->control, event);
	control_job->answer.result = json_object_new_object();
	control_put_number(control_job->answer.result, "size", size);
}

/* Returns the disk's rate limits as an object, without members for limits that are not set. */
static struct json_object *limits_object(const struct blk *blk)
{
	struct json_object *object = json_object_new_object();
	struct blklimit_rates limits;

	blk_limits(blk, &limits);
	if (limits.iops) {
		control_put_number(object, "iops", limits.iops);
		control_put_number(object, "iops-burst", limits.iops_burst);
	}
	if (limits.bps) {
		control_put_number(object, "bps", limits.bps);
		control_put_number(object, "bps-burst", limits.bps_burst);
	}
	return object;
}

static void control_job_done(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);
	struct machine *m = control_job->machine;

	if (control_job->changed)
		tell_state(m);
	if (control_job->request.command == CONTROL_RESIZE && !control_job->answer.error)
		tell_size(control_job);
	if (control_job->request.command == CONTROL_SNAPSHOT && !control_job->answer.error)
		machine_snapshot_tell(control_job);
	if (control_job->request.command == CONTROL_LIMIT)
		control_job->answer.result = limits_object(m->disk[control_job->request.disk].blk);
	control_answer(m->control, control_job->client, &control_job->answer);
}

static void queue_job(struct machine *m, unsigned int client, const struct control_request *request,
		      void (*run)(struct job *))
{
	struct control_job *control_job = &m->control_job[client];

	*control_job = (struct control_job){
		.job = { .run = run, .done = control_job_done },
		.machine = m,
		.client = client,
		.request = *request,
	};
	control_job->request.id = NULL;
	jobs_queue(m->jobs, &control_job->job);
}

static struct json_object *disk_status(const struct machine *m, unsigned int i)
{
	const struct blk_config *config = &m->config->disk[i];
	struct json_object *disk = json_object_new_object();

	control_put_number(disk, "disk", i);
	control_put_text(disk, "file", config->path);
	control_put_number(disk, "size", blk_capacity(m->disk[i].blk));
	control_put_bool(disk, "readonly", config->readonly);
	control_put_number(disk, "queues", blk_virtio(m->disk[i].blk)->queue_count);
	control_put(disk, "stopped", machine_alerts_stopped(&m->disk[i]));
	control_put(disk, "limits", limits_object(m->disk[i].blk));
	return disk;
}

static struct json_object *status(const struct machine *m)
{
	struct json_object *object = json_object_new_object();
	struct json_object *disks = json_object_new_array();

	control_put_text(object, "state", m->paused ? "paused" : "running");
	control_put_number(object, "cpus", m->config->cpus);
	control_put_number(object, "memory", m->config->memory);
	for (unsigned int i = 0; i < m->disk_count; i++)
		control_put(disks, NULL, disk_status(m, i));
	control_put(object, "disks", disks);
	control_put(object, "console", machine_console_object(m));
	return object;
}

/* Queues a job for the disk that the request names. False: there is no such disk and *answer is
 * filled. */
static bool disk_job(struct machine *m, unsigned int client, const struct control_request *request,
		     struct control_answer *answer, void (*run)(struct job *))
{
	if (request->disk < m->disk_count) {
		queue_job(m, client, request, run);
		return true;
	}
	control_refuse(answer, "no-such-disk", "there is no disk %u", request->disk);
	return false;
}

static bool run_request(struct control_handler *handler, unsigned int client,
			const struct control_request *request, struct control_answer *answer)
{
	struct machine *m = container_of(handler, struct machine, handler);

	log_debug("control: client %u: %s", client, control_command_name(request->command));
	switch (request->command) {
	case CONTROL_STATUS:
		answer->result = status(m);
		return true;
	case CONTROL_STATS:
		answer->result = machine_stats_object(m);
		return true;
	case CONTROL_PAUSE:
	case CONTROL_RESUME:
		queue_job(m, client, request, run_halt);
		return false;
	case CONTROL_FLUSH:
		queue_job(m, client, request, run_flush);
		return false;
	case CONTROL_SNAPSHOT:
		if (m->snapshot_fd >= 0 && snapshot_name_valid(request->name)) {
			queue_job(m, client, request, machine_snapshot);
			return false;
		}
		control_refuse(answer, m->snapshot_fd < 0 ? "no-snapshot-dir" : "bad-request",
			       m->snapshot_fd < 0
				       ? "the VM was started without --snapshot-dir"
				       : "a name has letters, digits, '_', '-' and '.', not first");
		return true;
	case CONTROL_RESIZE:
		return !disk_job(m, client, request, answer, run_resize);
	case CONTROL_LIMIT:
		return !disk_job(m, client, request, answer, run_limit);
	case CONTROL_POWER_BUTTON:
		if (m->button_fd < 0)
			control_refuse(answer, "no-power-button", "this machine has none");
		else
			machine_press_button(m);
		return true;
	case CONTROL_QUIT:
		log_at(machine_end_level(m), "control socket: quit: stopping the VM");
		m->vm_exit.end(&m->vm_exit, VM_END_QUIT);
		return true;
	case CONTROL_CONSOLE:
		machine_console_answer(m, answer);
		return true;
	case CONTROL_EVENTS:
		break;
	}
	return true;
}

/* ---- main thread: pauses that a disk requests ---- */

static void halt_done(struct job *job)
{
	struct control_job *control_job = container_of(job, struct control_job, job);

	control_job->machine->pause_pending = false;
	if (control_job->changed)
		tell_state(control_job->machine);
}

/* Queues a pause of the guest, as by the pause command; does not wait. */
static void queue_halt(struct machine *m)
{
	/* Finished jobs are reaped first: a pause that has already been executed must not count as
	 * pending, because the guest may have been resumed since. */
	jobs_reap(m->jobs);
	if (m->pause_pending)
		return;
	m->pause_pending = true;
	m->halt = (struct control_job){
		.job = { .run = run_halt, .done = halt_done },
		.machine = m,
		.request.command = CONTROL_PAUSE,
	};
	jobs_queue(m->jobs, &m->halt.job);
}

int machine_control_open(struct machine *m)
{
	struct json_object *seed;
	const char *why;
	int err;

	m->handler.run = run_request;
	m->handler.leave = machine_console_leave;
	/* json-c seeds its hash function when it creates its first object. This is done here
	 * because the seccomp filters forbid the means (getrandom, or a file if that fails)
	 * later. */
	seed = json_object_new_object();
	json_object_object_add(seed, "event", NULL);
	json_object_put(seed);
	err = machine_alerts_open(m);
	if (err)
		return err;
	err = control_open(&m->control, m->config->control, &m->handler, &why);
	if (err)
		return why ? report_option(err, "--control", m->config->control, why)
			   : report_host(err, "the control socket");
	return 0;
}

int machine_control_start(struct machine *m)
{
	int err = m->control ? jobs_create(&m->jobs) : 0;

	return err ? report_start(err, "the control thread") : 0;
}

int machine_control_prepare(struct machine *m, struct pollfd fds[MACHINE_CONTROL_POLLFDS])
{
	fds[0].fd = jobs_fd(m->jobs);
	fds[1].fd = m->alert_fd;
	return control_prepare(m->control, fds + 2);
}

void machine_control_handle(struct machine *m, const struct pollfd fds[MACHINE_CONTROL_POLLFDS])
{
	if (fds[0].revents)
		jobs_reap(m->jobs);
	if (fds[1].revents && machine_disk_events_handle(m))
		queue_halt(m);
	control_handle(m->control, fds + 2);
}

void machine_control_end(struct machine *m)
{
	struct json_object *event;

	if (!m->control)
		return;
	event = control_event_object("shutdown");
	control_put_text(event, "reason", vm_end_info[m->vm_exit.why].reason);
	control_event(m->control, event);
	/* vCPUs are stopped before jobs_destroy waits for a running job: a guest that keeps writing
	 * would prolong a flush. */
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_stop(&m->vcpu[i]);
	/* A snapshot waits for long discards and write-zeroes, unless they are interrupted. */
	for (unsigned int i = 0; i < m->disk_count; i++)
		blk_hold(m->disk[i].blk);
	jobs_destroy(m->jobs);
	m->jobs = NULL;
}

void machine_control_close(struct machine *m)
{
	jobs_destroy(m->jobs);
	control_close(m->control);
}
