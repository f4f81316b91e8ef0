/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * internal: state of a vhost-user back end, private to its files.
 *
 * session.c has the connection and the messages about features; config.c those about the
 * configuration space; rings.c those about rings; regions.c those about memory; inflight.c those
 * about the mirror of the requests in flight.
 */
#ifndef VHOST_USER_INTERNAL_H
#define VHOST_USER_INTERNAL_H

#include <stdbool.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "devices/vhost_user/memory.h"
#include "devices/vhost_user/message.h"
#include "devices/vhost_user/session.h"
#include "devices/virtio/virtio.h"

/* Parts of a ring's description that the front end has sent. */
#define RING_NUM  1u
#define RING_ADDR 2u
#define RING_KICK 4u
#define RING_ALL  7u /* the parts without which a ring cannot start */
#define RING_BASE 8u

struct vhost_user_ring {
	unsigned int known; /* RING_* bits */
	bool enabled;	    /* by SET_VRING_ENABLE */
	bool polled;	    /* the front end has no doorbell: vhost_user_tick rings it */
	bool running;	    /* the dataplane serves the ring */
	struct vhost_user_vring_addr addr;
	uint32_t position; /* position at which the ring starts, as in SET_VRING_BASE */
	struct vring_base base;
	struct vring_mirror
		mirror; /* its `recover`: the ring has not started since SET_INFLIGHT_FD */
	/* The numbers of irq.fd, err_fd and the queue's kick_fd stay open as long as the back end
	 * exists, so that the dataplane can use them at any time; the files of the front end's
	 * descriptors take the place of the files behind them. */
	struct irqline irq;
	int err_fd;
};

struct vhost_user {
	struct blk *blk;
	struct virtio_device *dev;
	struct vhost_user_memory *memory;
	int sock;	/* -1: no connection */
	int backend_fd; /* socket of SET_BACKEND_REQ_FD; -1: none */
	int none_fd;	/* eventfd in place of descriptors that the front end has not given */
	int timer_fd;	/* timerfd, armed while a ring is polled */
	bool paused;	/* by vhost_user_pause */
	/* The front end has not been told that the configuration space has changed. */
	bool config_pending;
	uint64_t protocol;		     /* protocol features that the front end has accepted */
	struct vhost_user_inflight inflight; /* of SET_INFLIGHT_FD, while its memory is mapped */
	struct blkplane_listener listener;
	struct blkplane_listener *next; /* gets the same callbacks; NULL: none */
	struct vhost_user_message msg;
	struct vhost_user_ring ring[VIRTIO_MAX_QUEUES];
};

/* A handler of a message returns 0: done; VHOST_USER_REPLIED: done, and answered; -errno: refused,
 * after a line in the log. */
#define VHOST_USER_REPLIED 1

/* Logs why a message is refused, and returns err. */
int vhost_user_refuse(struct vhost_user *vu, int err, const char *why);

/* Sends the message's payload, of `size` bytes, as its answer. Returns VHOST_USER_REPLIED or
 * -errno. */
int vhost_user_answer(struct vhost_user *vu, uint32_t size);

/* ---- config.c ---- */

/*
 * Limits the segments of a request to what fits into a ring of the usual size. A chain must not be
 * longer than its ring, but the front end passes seg_max on to the driver before it chooses the
 * ring's size, and Linux makes longer chains in indirect tables.
 */
void vhost_user_limit_segments(struct vhost_user *vu);
int vhost_user_get_config(struct vhost_user *vu);
int vhost_user_set_config(struct vhost_user *vu);
int vhost_user_set_backend_req_fd(struct vhost_user *vu);
/*
 * Tells the front end of a change that it has not been told of. While no ring runs, the back end is
 * suspended and must not send messages. The message asks for no reply, so that none has to be
 * waited for.
 */
void vhost_user_send_config_change(struct vhost_user *vu);
void vhost_user_close_backend_fd(struct vhost_user *vu);

/* ---- rings.c ---- */

/* Opens the descriptors of all rings. Returns 0 or -errno. */
int vhost_user_rings_open(struct vhost_user *vu);
void vhost_user_rings_close(struct vhost_user *vu);

/* Starts all rings that are complete, enabled and not running. Returns 0, or the first error. */
int vhost_user_rings_start(struct vhost_user *vu);
/* Stops all running rings. The next start continues at the position of the stop. */
void vhost_user_rings_stop(struct vhost_user *vu);
bool vhost_user_rings_running(const struct vhost_user *vu);
/* Rings the doorbells of polled rings. */
void vhost_user_rings_tick(struct vhost_user *vu);
/* Stops all rings and discards their descriptions and descriptors. */
void vhost_user_rings_forget(struct vhost_user *vu);

int vhost_user_set_vring_num(struct vhost_user *vu);
int vhost_user_set_vring_addr(struct vhost_user *vu);
int vhost_user_set_vring_base(struct vhost_user *vu);
int vhost_user_get_vring_base(struct vhost_user *vu);
int vhost_user_set_vring_kick(struct vhost_user *vu);
int vhost_user_set_vring_call(struct vhost_user *vu);
int vhost_user_set_vring_err(struct vhost_user *vu);
int vhost_user_set_vring_enable(struct vhost_user *vu);

/* ---- regions.c ---- */

int vhost_user_set_mem_table(struct vhost_user *vu);
int vhost_user_get_max_mem_slots(struct vhost_user *vu);
int vhost_user_add_mem_reg(struct vhost_user *vu);
int vhost_user_rem_mem_reg(struct vhost_user *vu);
int vhost_user_set_log_base(struct vhost_user *vu);
/* Switches the recording of the dataplane's writes in the dirty log on or off. Returns 0 or
 * -errno. */
int vhost_user_record_dirty(struct vhost_user *vu, bool record);

/* ---- inflight.c ---- */

int vhost_user_get_inflight_fd(struct vhost_user *vu);
int vhost_user_set_inflight_fd(struct vhost_user *vu);
/* Returns the mirror for a ring that is about to start. NULL: it has none. */
struct vring_mirror *vhost_user_inflight_mirror(struct vhost_user *vu, unsigned int n);

#endif
