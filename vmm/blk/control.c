/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/blk/control.h"

#include <json-c/json.h>

#include "dataplane/base.h"
#include "devices/vhost_user/session.h"
#include "devices/virtio/blk.h"

static struct export_control *control_of(const struct commands *commands)
{
	return container_of(commands, struct export_control, commands);
}

void export_control_lock(struct export_control *control)
{
	pthread_mutex_lock(&control->lock);
}

void export_control_unlock(struct export_control *control)
{
	pthread_mutex_unlock(&control->lock);
}

/* ---- job thread ---- */

static void pause_disk(struct commands *commands)
{
	struct export_control *control = control_of(commands);

	export_control_lock(control);
	vhost_user_pause(control->vu);
	export_control_unlock(control);
}

static void resume_disk(struct commands *commands)
{
	struct export_control *control = control_of(commands);

	export_control_lock(control);
	vhost_user_resume(control->vu);
	export_control_unlock(control);
}

static void lock_disk(struct commands *commands, unsigned int disk)
{
	(void)disk;
	export_control_lock(control_of(commands));
}

static void unlock_disk(struct commands *commands, unsigned int disk)
{
	(void)disk;
	export_control_unlock(control_of(commands));
}

static void notify_resize(struct commands *commands, unsigned int disk, bool paused)
{
	struct export_control *control = control_of(commands);

	(void)paused;
	export_control_lock(control);
	blk_notify_resize(commands->disk[disk].blk);
	vhost_user_config_changed(control->vu);
	export_control_unlock(control);
}

static bool is_ending(const struct commands *commands)
{
	return READ_ONCE(control_of(commands)->ending);
}

/* ---- main thread ---- */

static void changed(struct commands *commands, bool paused)
{
	(void)commands;
	(void)paused;
}

static void put_status(const struct commands *commands, struct json_object *status)
{
	control_put_bool(status, "connected", vhost_user_socket(control_of(commands)->vu) >= 0);
}

static void run(struct commands *commands, enum control_command command,
		struct control_answer *answer)
{
	if (command == CONTROL_POWER_BUTTON)
		control_refuse(answer, "no-power-button", "microvm-blk has none");
	else if (command == CONTROL_CONSOLE)
		control_refuse(answer, "no-console", "microvm-blk has none");
	else
		control_of(commands)->quit = true;
}

static const struct commands_ops ops = {
	.pause = pause_disk,
	.resume = resume_disk,
	.lock = lock_disk,
	.unlock = unlock_disk,
	.notify_resize = notify_resize,
	.is_ending = is_ending,
	.changed = changed,
	.put_status = put_status,
	.run = run,
};

void export_control_init(struct export_control *control)
{
	control->commands.alert_fd = -1;
	pthread_mutex_init(&control->lock, NULL);
}

int export_control_add(struct export_control *control, struct blk *blk,
		       const struct blk_config *config, struct blkplane_listener **listener)
{
	int err = commands_init(&control->commands, &ops, "disk");

	if (!err)
		*listener = commands_add_disk(&control->commands, blk, config);
	return err;
}

void export_control_connected(struct export_control *control)
{
	if (control->commands.control)
		control_event(control->commands.control, control_event_object("connected"));
}

void export_control_disconnected(struct export_control *control, const char *why)
{
	struct json_object *event;

	if (!control->commands.control)
		return;
	event = control_event_object("disconnected");
	control_put_text(event, "why", why);
	control_event(control->commands.control, event);
}

void export_control_end(struct export_control *control, const char *reason)
{
	WRITE_ONCE(control->ending, true);
	commands_say_end(&control->commands, reason);
	commands_stop(&control->commands);
}
