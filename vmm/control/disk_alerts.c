/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/control/disk_alerts.h"

#include <json-c/json.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/control/server.h"

/* Listener for a broken queue; dataplane thread. */
static void on_broken(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	struct disk_alerts *alerts = container_of(listener, struct disk_alerts, listener);

	/* Pairs with the exchange in report_broken. */
	STORE_RELEASE(alerts->broken[queue], why);
	eventfd_signal(alerts->alert_fd);
}

/* Listener for an I/O error that stops the queue; dataplane thread. */
static void on_stopped(struct blkplane_listener *listener, unsigned int queue, enum io_op op,
		       int err)
{
	struct disk_alerts *alerts = container_of(listener, struct disk_alerts, listener);

	uint32_t what = (uint32_t)err << 8 | (op + 1u);

	/* `kept` is for the status command, which may read it at any time. The resume that clears
	 * it (disk_alerts_forget) can only follow the pause that this alert causes. */
	WRITE_ONCE(alerts->kept[queue], what);
	/* Pairs with the exchange in disk_alerts_report. */
	STORE_RELEASE(alerts->stopped[queue], what);
	eventfd_signal(alerts->alert_fd);
}

static void report_one_broken(struct control *control, unsigned int disk, unsigned int queue,
			      const char *why)
{
	struct json_object *event = control_event_object("queue-broken");

	control_put_number(event, "disk", disk);
	control_put_number(event, "queue", queue);
	control_put_text(event, "why", why);
	control_event(control, event);
}

/* Sends the events of broken queues. A guest can break queues repeatedly, so that events beyond the
 * rate limit of the log are dropped. */
static void report_broken(struct disk_alerts *alerts, struct control *control, unsigned int disk)
{
	static struct log_limit limit;

	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++) {
		const char *why = __atomic_exchange_n(&alerts->broken[q], NULL, __ATOMIC_ACQUIRE);

		if (why && log_allowed(&limit))
			report_one_broken(control, disk, q, why);
	}
}

static const char *const operations[] = {
	[IO_READ] = "read",
	[IO_WRITE] = "write",
	[IO_FLUSH] = "flush",
	[IO_DISCARD] = "discard",
	[IO_WRITE_ZEROES] = "write-zeroes",
};

/* Adds the members that describe a stopped queue; `what` is encoded as in struct disk_alerts. */
static void put_stopped(struct json_object *object, unsigned int queue, uint32_t what)
{
	control_put_number(object, "queue", queue);
	control_put_text(object, "operation", operations[(what & 0xff) - 1]);
	control_put_text(object, "error", strerror((int)(what >> 8)));
}

static void report_one_stopped(struct control *control, unsigned int disk, unsigned int queue,
			       uint32_t what)
{
	struct json_object *event = control_event_object("stopped");

	control_put_number(event, "disk", disk);
	put_stopped(event, queue, what);
	control_event(control, event);
}

bool disk_alerts_report(struct disk_alerts *alerts, struct control *control, unsigned int disk,
			const char *path, const char *paused)
{
	bool any = false;

	report_broken(alerts, control, disk);
	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++) {
		uint32_t what = __atomic_exchange_n(&alerts->stopped[q], 0, __ATOMIC_ACQUIRE);

		if (!what)
			continue;
		log_warn("--disk %.200s: %s: %s: the %s is paused until it is resumed", path,
			 operations[(what & 0xff) - 1], strerror((int)(what >> 8)), paused);
		report_one_stopped(control, disk, q, what);
		any = true;
	}
	return any;
}

struct json_object *disk_alerts_stopped(const struct disk_alerts *alerts)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++) {
		uint32_t what = READ_ONCE(alerts->kept[q]);
		struct json_object *one = what ? json_object_new_object() : NULL;

		if (!what)
			continue;
		put_stopped(one, q, what);
		control_put(list, NULL, one);
	}
	return list;
}

void disk_alerts_forget(struct disk_alerts *alerts)
{
	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++)
		WRITE_ONCE(alerts->kept[q], 0);
}

void disk_alerts_init(struct disk_alerts *alerts, int alert_fd)
{
	*alerts = (struct disk_alerts){
		.listener = { .broken = on_broken, .stopped = on_stopped },
		.alert_fd = alert_fd,
	};
}
