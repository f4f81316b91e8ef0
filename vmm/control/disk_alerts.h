/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk_alerts: broken queues and I/O errors of a disk, on their way to the control socket.
 *
 * The listener, on a dataplane thread, stores an alert and signals an eventfd; the main thread
 * takes the alert and sends its event. Functions are for the main thread, unless a comment names
 * another one.
 */
#ifndef VMM_CONTROL_DISK_ALERTS_H
#define VMM_CONTROL_DISK_ALERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/blkplane.h"
#include "devices/virtio/virtio.h"

struct control;
struct json_object;

struct disk_alerts {
	struct blkplane_listener listener;
	int alert_fd; /* an eventfd, signalled when there is an alert */
	/* Why the queue is broken (static string), until the event has been sent; atomic. */
	const char *broken[VIRTIO_MAX_QUEUES];
	/* The I/O error that stopped the queue, until the event has been sent; atomic. Bits 0-7
	 * hold enum io_op + 1, the higher bits errno; 0: no error. */
	uint32_t stopped[VIRTIO_MAX_QUEUES];
	/* A copy of `stopped` that lasts until the disk is resumed; atomic. The status command
	 * shows it. */
	uint32_t kept[VIRTIO_MAX_QUEUES];
};

/* Prepares the struct; the caller makes its listener that of the disk. */
void disk_alerts_init(struct disk_alerts *alerts, int alert_fd);

/*
 * Sends the events of pending alerts of disk number `disk`, whose image is `path`. `paused` is the
 * name of that which an I/O error pauses, for the log. Returns true if an I/O error stopped a
 * queue, so that the caller has to pause the disk.
 */
bool disk_alerts_report(struct disk_alerts *alerts, struct control *control, unsigned int disk,
			const char *path, const char *paused);

/* Returns the I/O errors that stopped the disk's queues, for the status command: an array, which is
 * empty if there are none. The caller owns it. */
struct json_object *disk_alerts_stopped(const struct disk_alerts *alerts);

/* Clears the I/O errors that disk_alerts_stopped returns, before a resume retries the parked
 * requests. Any thread, while the disk is paused. */
void disk_alerts_forget(struct disk_alerts *alerts);

#endif
