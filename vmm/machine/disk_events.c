/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Alerts of disks (broken queue, I/O error that stops the VM), from dataplane threads to the
 * control socket. A listener on a dataplane thread stores the alert and signals alert_fd; the main
 * thread takes it and sends the event.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/machine/internal.h"
#include "vmm/report.h"

/* Listener for a broken queue; dataplane thread. */
static void on_broken(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	struct disk *disk = container_of(listener, struct disk, listener);

	/* Pairs with the exchange in report_broken. */
	STORE_RELEASE(disk->broken[queue], why);
	eventfd_signal(disk->machine->alert_fd);
}

/* Listener for an I/O error that stops the VM; dataplane thread. */
static void on_stopped(struct blkplane_listener *listener, unsigned int queue, enum io_op op,
		       int err)
{
	struct disk *disk = container_of(listener, struct disk, listener);

	uint32_t what = (uint32_t)err << 8 | (op + 1u);

	/* `kept` is for the status command, which may read it at any time. The resume that clears
	 * it (machine_alerts_forget) can only follow the pause that this alert causes. */
	WRITE_ONCE(disk->kept[queue], what);
	/* Pairs with the exchange in report_stopped. */
	STORE_RELEASE(disk->stopped[queue], what);
	eventfd_signal(disk->machine->alert_fd);
}

static void report_one_broken(struct machine *m, unsigned int disk, unsigned int queue,
			      const char *why)
{
	struct json_object *event = control_event_object("queue-broken");

	control_put_number(event, "disk", disk);
	control_put_number(event, "queue", queue);
	control_put_text(event, "why", why);
	control_event(m->control, event);
}

/* Sends the events of broken queues. A guest can break queues repeatedly, so that events beyond the
 * rate limit of the log are dropped. */
static void report_broken(struct machine *m)
{
	static struct log_limit limit;

	for (unsigned int i = 0; i < m->disk_count; i++) {
		for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++) {
			const char **broken = &m->disk[i].broken[q];
			const char *why = __atomic_exchange_n(broken, NULL, __ATOMIC_ACQUIRE);

			if (why && log_allowed(&limit))
				report_one_broken(m, i, q, why);
		}
	}
}

static const char *const operations[] = {
	[IO_READ] = "read",
	[IO_WRITE] = "write",
	[IO_FLUSH] = "flush",
	[IO_DISCARD] = "discard",
	[IO_WRITE_ZEROES] = "write-zeroes",
};

/* Adds the members that describe a stopped queue; `what` is encoded as in struct disk. */
static void put_stopped(struct json_object *object, unsigned int queue, uint32_t what)
{
	control_put_number(object, "queue", queue);
	control_put_text(object, "operation", operations[(what & 0xff) - 1]);
	control_put_text(object, "error", strerror((int)(what >> 8)));
}

static void report_one_stopped(struct machine *m, unsigned int disk, unsigned int queue,
			       uint32_t what)
{
	struct json_object *event = control_event_object("stopped");

	log_warn("--disk %.200s: %s: %s: the VM is paused until it is resumed",
		 m->config->disk[disk].path, operations[(what & 0xff) - 1],
		 strerror((int)(what >> 8)));
	control_put_number(event, "disk", disk);
	put_stopped(event, queue, what);
	control_event(m->control, event);
}

/* Sends the events of queues that an I/O error stopped. True: there were any. */
static bool report_stopped(struct machine *m)
{
	bool any = false;

	for (unsigned int i = 0; i < m->disk_count; i++) {
		for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++) {
			uint32_t what =
				__atomic_exchange_n(&m->disk[i].stopped[q], 0, __ATOMIC_ACQUIRE);

			if (!what)
				continue;
			report_one_stopped(m, i, q, what);
			any = true;
		}
	}
	return any;
}

struct json_object *machine_alerts_stopped(const struct disk *disk)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++) {
		uint32_t what = READ_ONCE(disk->kept[q]);
		struct json_object *one = what ? json_object_new_object() : NULL;

		if (!what)
			continue;
		put_stopped(one, q, what);
		control_put(list, NULL, one);
	}
	return list;
}

void machine_alerts_forget(struct machine *m)
{
	for (unsigned int i = 0; i < m->disk_count; i++)
		for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++)
			WRITE_ONCE(m->disk[i].kept[q], 0);
}

bool machine_disk_events_handle(struct machine *m)
{
	uint64_t count;

	if (read(m->alert_fd, &count, sizeof(count)) < 0)
		return false;
	report_broken(m);
	return report_stopped(m);
}

int machine_alerts_open(struct machine *m)
{
	m->alert_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->alert_fd < 0)
		return report_host(-errno, "event file descriptors");
	for (unsigned int i = 0; i < m->disk_count; i++) {
		m->disk[i].machine = m;
		m->disk[i].listener =
			(struct blkplane_listener){ .broken = on_broken, .stopped = on_stopped };
		blk_set_listener(m->disk[i].blk, &m->disk[i].listener);
	}
	return 0;
}
