/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of control commands that is about the machine: its vCPUs, power button and console. */
#include <json-c/json.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/console/console.h"
#include "vmm/machine/internal.h"

static struct machine *machine_of(const struct commands *commands)
{
	return container_of(commands, struct machine, commands);
}

/* ---- job thread ---- */

static bool is_ending(const struct commands *commands)
{
	return machine_is_ending(machine_of(commands));
}

static void pause_guest(struct commands *commands)
{
	machine_halt(machine_of(commands));
}

static void resume_guest(struct commands *commands)
{
	machine_resume(machine_of(commands));
}

static void lock_disk(struct commands *commands, unsigned int disk)
{
	virtio_mmio_lock(&machine_of(commands)->disk[disk].mmio);
}

static void unlock_disk(struct commands *commands, unsigned int disk)
{
	virtio_mmio_unlock(&machine_of(commands)->disk[disk].mmio);
}

/* Pauses the vCPUs for the moment, because a driver reads the capacity in two halves. */
static void notify_resize(struct commands *commands, unsigned int disk, bool paused)
{
	struct machine *m = machine_of(commands);

	if (!paused)
		machine_stop_vcpus(m);
	blk_notify_resize(m->disk[disk].blk);
	if (!paused)
		vcpu_pause_release(&m->vcpu_pause);
}

/* ---- main thread ---- */

static void changed(struct commands *commands, bool paused)
{
	struct machine *m = machine_of(commands);

	if (m->console)
		console_hold(m->console, paused);
}

static void put_status(const struct commands *commands, struct json_object *status)
{
	const struct machine *m = machine_of(commands);

	control_put_number(status, "cpus", m->config->cpus);
	control_put_number(status, "memory", m->config->memory);
	control_put(status, "console", machine_console_object(m));
}

static void press_button(struct machine *m, struct control_answer *answer)
{
	if (m->button_fd < 0)
		control_refuse(answer, "no-power-button", "this machine has none");
	else
		machine_press_button(m);
}

static void run(struct commands *commands, enum control_command command,
		struct control_answer *answer)
{
	struct machine *m = machine_of(commands);

	if (command == CONTROL_POWER_BUTTON) {
		press_button(m, answer);
	} else if (command == CONTROL_CONSOLE) {
		machine_console_answer(m, answer);
	} else {
		log_at(machine_end_level(m), "control socket: quit: stopping the VM");
		m->vm_exit.end(&m->vm_exit, VM_END_QUIT);
	}
}

static void leave(struct commands *commands, int fd, const char *data, size_t len)
{
	machine_console_leave(machine_of(commands), fd, data, len);
}

static const struct commands_ops ops = {
	.pause = pause_guest,
	.resume = resume_guest,
	.lock = lock_disk,
	.unlock = unlock_disk,
	.notify_resize = notify_resize,
	.is_ending = is_ending,
	.changed = changed,
	.put_status = put_status,
	.run = run,
	.leave = leave,
};

int machine_control_open(struct machine *m)
{
	int err = commands_init(&m->commands, &ops, "VM");

	if (err)
		return err;
	if (m->snapshot_fd >= 0)
		m->commands.snapshot = machine_snapshot;
	for (unsigned int i = 0; i < m->disk_count; i++)
		blk_set_listener(m->disk[i].blk, commands_add_disk(&m->commands, m->disk[i].blk,
								   &m->config->disk[i]));
	return commands_open(&m->commands, m->config->control);
}

void machine_control_end(struct machine *m)
{
	if (!m->commands.control)
		return;
	commands_say_end(&m->commands, vm_end_info[m->vm_exit.why].reason);
	/* vCPUs are stopped before commands_stop waits for a running job: a guest that keeps
	 * writing would prolong a flush. */
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_stop(&m->vcpu[i]);
	/* A snapshot waits for long discards and write-zeroes, unless they are interrupted. */
	for (unsigned int i = 0; i < m->disk_count; i++)
		blk_hold(m->disk[i].blk);
	commands_stop(&m->commands);
}
