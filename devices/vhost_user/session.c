/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/vhost_user/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "devices/vhost_user/internal.h"

#define FEATURE(bit) (1ull << (bit))

/* The most messages that are handled in one call, so that a front end which sends without end does
 * not keep the caller from its other work. */
#define MESSAGES_MAX 64

/* Features of the protocol that this back end has. */
static const uint64_t protocol_features =
	FEATURE(VHOST_USER_PROTOCOL_F_MQ) | FEATURE(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |
	FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK) | FEATURE(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
	FEATURE(VHOST_USER_PROTOCOL_F_CONFIG) | FEATURE(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |
	FEATURE(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);

/* ---- messages about features ---- */

/* Returns the features that the front end may offer to its driver. The protocol has no message for
 * the reset of a single queue. */
static uint64_t offered(const struct vhost_user *vu)
{
	return (vu->dev->offered & ~FEATURE(VIRTIO_F_RING_RESET)) |
	       FEATURE(VHOST_USER_F_PROTOCOL_FEATURES) | FEATURE(VHOST_F_LOG_ALL);
}

static int get_features(struct vhost_user *vu)
{
	vu->msg.payload.u64 = offered(vu);
	return vhost_user_answer(vu, sizeof(uint64_t));
}

static int set_features(struct vhost_user *vu)
{
	uint64_t features = vu->msg.payload.u64;
	uint64_t accepted =
		features & ~FEATURE(VHOST_USER_F_PROTOCOL_FEATURES) & ~FEATURE(VHOST_F_LOG_ALL);
	int err;

	if (features & ~offered(vu))
		return vhost_user_refuse(vu, -EINVAL, "features that were not offered");
	if (!(features & FEATURE(VIRTIO_F_VERSION_1)))
		return vhost_user_refuse(vu, -EINVAL, "legacy drivers are not supported");
	if (accepted != vu->dev->accepted && vhost_user_rings_running(vu))
		return vhost_user_refuse(vu, -EBUSY, "a ring is running");
	/* A migration sets and clears LOG_ALL while the rings run. */
	err = vhost_user_record_dirty(vu, features >> VHOST_F_LOG_ALL & 1);
	if (err)
		return err;
	if (accepted != vu->dev->accepted) {
		vu->dev->accepted = accepted;
		vu->dev->ops->negotiated(vu->dev);
	}
	/* Without this feature there is no message that enables a ring. */
	if (!(features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)))
		for (unsigned int i = 0; i < vu->dev->queue_count; i++)
			vu->ring[i].enabled = true;
	return vhost_user_rings_start(vu);
}

static int get_protocol_features(struct vhost_user *vu)
{
	vu->msg.payload.u64 = protocol_features;
	return vhost_user_answer(vu, sizeof(uint64_t));
}

static int set_protocol_features(struct vhost_user *vu)
{
	if (vu->msg.payload.u64 & ~protocol_features)
		return vhost_user_refuse(vu, -EINVAL, "features that were not offered");
	vu->protocol = vu->msg.payload.u64;
	return 0;
}

static int get_queue_num(struct vhost_user *vu)
{
	vu->msg.payload.u64 = vu->dev->queue_count;
	return vhost_user_answer(vu, sizeof(uint64_t));
}

/* There is one front end at a time, which owns the device as long as it is connected. */
static int set_owner(struct vhost_user *vu)
{
	(void)vu;
	return 0;
}

/* A deprecated message, which some front ends send when their guest resets. */
static int reset_owner(struct vhost_user *vu)
{
	vhost_user_rings_stop(vu);
	return 0;
}

/* ---- connection ---- */

/* The messages, with the least and most bytes of payload, and the number of descriptors. */
static const struct handler {
	const char *name;
	int (*run)(struct vhost_user *vu);
	uint16_t min, max;
	uint8_t min_fds, max_fds;
} handlers[VHOST_USER_REQUESTS] = {
	[VHOST_USER_GET_FEATURES] = { "GET_FEATURES", get_features, 0, 0, 0, 0 },
	[VHOST_USER_SET_FEATURES] = { "SET_FEATURES", set_features, 8, 8, 0, 0 },
	[VHOST_USER_SET_OWNER] = { "SET_OWNER", set_owner, 0, 0, 0, 0 },
	[VHOST_USER_RESET_OWNER] = { "RESET_OWNER", reset_owner, 0, 0, 0, 0 },
	[VHOST_USER_SET_MEM_TABLE] = { "SET_MEM_TABLE", vhost_user_set_mem_table, 8, 264, 0,
				       VHOST_USER_MEM_TABLE_MAX },
	[VHOST_USER_SET_LOG_BASE] = { "SET_LOG_BASE", vhost_user_set_log_base, 16, 16, 1, 1 },
	[VHOST_USER_SET_VRING_NUM] = { "SET_VRING_NUM", vhost_user_set_vring_num, 8, 8, 0, 0 },
	[VHOST_USER_SET_VRING_ADDR] = { "SET_VRING_ADDR", vhost_user_set_vring_addr, 40, 40, 0, 0 },
	[VHOST_USER_SET_VRING_BASE] = { "SET_VRING_BASE", vhost_user_set_vring_base, 8, 8, 0, 0 },
	[VHOST_USER_GET_VRING_BASE] = { "GET_VRING_BASE", vhost_user_get_vring_base, 8, 8, 0, 0 },
	[VHOST_USER_SET_VRING_KICK] = { "SET_VRING_KICK", vhost_user_set_vring_kick, 8, 8, 0, 1 },
	[VHOST_USER_SET_VRING_CALL] = { "SET_VRING_CALL", vhost_user_set_vring_call, 8, 8, 0, 1 },
	[VHOST_USER_SET_VRING_ERR] = { "SET_VRING_ERR", vhost_user_set_vring_err, 8, 8, 0, 1 },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", get_protocol_features, 0, 0,
					       0, 0 },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", set_protocol_features, 8, 8,
					       0, 0 },
	[VHOST_USER_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", get_queue_num, 0, 0, 0, 0 },
	[VHOST_USER_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", vhost_user_set_vring_enable, 8, 8, 0,
					  0 },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", vhost_user_set_backend_req_fd, 0,
					    8, 1, 1 },
	[VHOST_USER_GET_CONFIG] = { "GET_CONFIG", vhost_user_get_config, 12, 268, 0, 0 },
	[VHOST_USER_SET_CONFIG] = { "SET_CONFIG", vhost_user_set_config, 12, 268, 0, 0 },
	[VHOST_USER_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", vhost_user_get_inflight_fd, 20, 24, 0,
					 0 },
	[VHOST_USER_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", vhost_user_set_inflight_fd, 20, 24, 0,
					 1 },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", vhost_user_get_max_mem_slots, 0, 0,
					   0, 0 },
	[VHOST_USER_ADD_MEM_REG] = { "ADD_MEM_REG", vhost_user_add_mem_reg, 40, 40, 1, 1 },
	[VHOST_USER_REM_MEM_REG] = { "REM_MEM_REG", vhost_user_rem_mem_reg, 40, 40, 0, 1 },
};

static const struct handler *find_handler(uint32_t request)
{
	return request < VHOST_USER_REQUESTS && handlers[request].run ? &handlers[request] : NULL;
}

int vhost_user_refuse(struct vhost_user *vu, int err, const char *why)
{
	const struct handler *handler = find_handler(vu->msg.header.request);

	if (handler)
		log_limited("vhost-user: %s: %s", handler->name, why);
	else
		log_limited("vhost-user: message %u: %s", vu->msg.header.request, why);
	return err;
}

int vhost_user_answer(struct vhost_user *vu, uint32_t size)
{
	int err = vhost_user_reply(vu->sock, &vu->msg, size, -1);

	return err ? err : VHOST_USER_REPLIED;
}

static int run_message(struct vhost_user *vu)
{
	const struct handler *handler = find_handler(vu->msg.header.request);
	uint32_t size = vu->msg.header.size;

	if (!handler)
		return vhost_user_refuse(vu, -ENOTSUP, "not supported");
	if (size < handler->min || size > handler->max)
		return vhost_user_refuse(vu, -EINVAL, "bad length");
	if (vu->msg.fd_count < handler->min_fds || vu->msg.fd_count > handler->max_fds)
		return vhost_user_refuse(vu, -EINVAL, "missing or surplus descriptors");
	return handler->run(vu);
}

/* Handles a complete message. Returns 0; an error ends the connection. */
static int handle_message(struct vhost_user *vu)
{
	bool ack = vu->msg.header.flags & VHOST_USER_NEED_REPLY &&
		   vu->protocol & FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK);
	int result = run_message(vu);

	if (result == VHOST_USER_REPLIED)
		return 0;
	if (ack) {
		vu->msg.payload.u64 = result ? 1 : 0;
		result = vhost_user_reply(vu->sock, &vu->msg, sizeof(uint64_t), -1);
	}
	return result;
}

int vhost_user_handle(struct vhost_user *vu)
{
	for (unsigned int i = 0; i < MESSAGES_MAX; i++) {
		int got = vhost_user_receive(vu->sock, &vu->msg);

		if (got > 0)
			got = handle_message(vu);
		else if (!got)
			return 0;
		else if (got == -EBADMSG)
			log_limited("vhost-user: bad header or too many descriptors");
		if (got)
			return got;
		vhost_user_message_done(&vu->msg);
		vhost_user_send_config_change(vu);
	}
	return 0;
}

int vhost_user_socket(const struct vhost_user *vu)
{
	return vu->sock;
}

int vhost_user_timer(const struct vhost_user *vu)
{
	return vu->timer_fd;
}

void vhost_user_tick(struct vhost_user *vu)
{
	uint64_t expirations;
	ssize_t ignored = read(vu->timer_fd, &expirations, sizeof(expirations));

	(void)ignored;
	vhost_user_rings_tick(vu);
}

void vhost_user_connect(struct vhost_user *vu, int sock)
{
	vu->sock = sock;
}

void vhost_user_disconnect(struct vhost_user *vu)
{
	if (vu->sock < 0)
		return;
	vhost_user_rings_forget(vu);
	virtio_reset(vu->dev);
	vhost_user_memory_clear(vu->memory);
	vhost_user_memory_drop_log(vu->memory);
	vhost_user_memory_drop_inflight(vu->memory);
	vhost_user_message_done(&vu->msg);
	vhost_user_close_backend_fd(vu);
	close(vu->sock);
	vu->sock = -1;
	vu->protocol = 0;
}

void vhost_user_pause(struct vhost_user *vu)
{
	vu->paused = true;
	blk_pause(vu->blk);
}

void vhost_user_resume(struct vhost_user *vu)
{
	vu->paused = false;
	blk_resume(vu->blk);
	vhost_user_rings_start(vu);
	vhost_user_send_config_change(vu);
}

/* ---- back end ---- */

/* A ring has broken. It is served again after GET_VRING_BASE or another SET_VRING_KICK. Dataplane
 * thread. */
static void report_broken(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	struct vhost_user *vu = container_of(listener, struct vhost_user, listener);

	eventfd_signal(vu->ring[queue].err_fd);
	if (vu->next)
		vu->next->broken(vu->next, queue, why);
}

static void report_stopped(struct blkplane_listener *listener, unsigned int queue, enum io_op op,
			   int err)
{
	struct vhost_user *vu = container_of(listener, struct vhost_user, listener);

	if (vu->next)
		vu->next->stopped(vu->next, queue, op, err);
}

int vhost_user_create(struct vhost_user **to, struct blk *blk, struct vhost_user_memory *memory,
		      struct blkplane_listener *next)
{
	struct vhost_user *vu = calloc(1, sizeof(*vu));
	int err;

	if (!vu)
		return -ENOMEM;
	vu->blk = blk;
	vu->dev = blk_virtio(blk);
	vu->memory = memory;
	vu->sock = vu->backend_fd = -1;
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++)
		vu->ring[i].irq.fd = vu->ring[i].err_fd = -1;
	vu->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	vu->none_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = vu->none_fd < 0 || vu->timer_fd < 0 ? -errno : vhost_user_rings_open(vu);
	if (err) {
		vhost_user_destroy(vu);
		return err;
	}
	vu->listener = (struct blkplane_listener){ report_broken, report_stopped };
	vu->next = next;
	vhost_user_limit_segments(vu);
	blk_set_listener(blk, &vu->listener);
	*to = vu;
	return 0;
}

void vhost_user_destroy(struct vhost_user *vu)
{
	if (!vu)
		return;
	vhost_user_disconnect(vu);
	vhost_user_rings_close(vu);
	if (vu->none_fd >= 0)
		close(vu->none_fd);
	if (vu->timer_fd >= 0)
		close(vu->timer_fd);
	free(vu);
}
