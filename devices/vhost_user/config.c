/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about the configuration space, and the channel on which its changes are reported. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_blk.h>

#include "devices/vhost_user/internal.h"

/* Entries of the rings of QEMU and Cloud Hypervisor by default; those of others are larger. */
#define USUAL_RING 128

void vhost_user_limit_segments(struct vhost_user *vu)
{
	struct virtio_blk_config *space = (void *)vu->dev->regpage->config;

	if (space->seg_max > USUAL_RING - 2)
		space->seg_max = USUAL_RING - 2;
}

void vhost_user_close_backend_fd(struct vhost_user *vu)
{
	if (vu->backend_fd >= 0)
		close(vu->backend_fd);
	vu->backend_fd = -1;
}

int vhost_user_set_backend_req_fd(struct vhost_user *vu)
{
	vhost_user_close_backend_fd(vu);
	vu->backend_fd = vhost_user_take_fd(&vu->msg, 0);
	return 0;
}

/* ---- messages about the configuration space ---- */

/* Returns whether the range lies in the space that the protocol allows, and the payload has it. */
static bool config_fits(const struct vhost_user *vu)
{
	const struct vhost_user_config *config = &vu->msg.payload.config;

	return range_inside(config->offset, config->size, VHOST_USER_CONFIG_MAX) &&
	       vu->msg.header.size == sizeof(*config) + config->size;
}

int vhost_user_get_config(struct vhost_user *vu)
{
	const struct vhost_user_config *config = &vu->msg.payload.config;

	/* An answer without payload reports an error. */
	if (!config_fits(vu))
		return vhost_user_answer(vu, 0);
	memcpy(vu->msg.payload.data, vu->dev->regpage->config + config->offset, config->size);
	return vhost_user_answer(vu, vu->msg.header.size);
}

int vhost_user_set_config(struct vhost_user *vu)
{
	const struct vhost_user_config *config = &vu->msg.payload.config;
	bool wce = config->offset == offsetof(struct virtio_blk_config, wce) && config->size == 1;

	if (!config_fits(vu))
		return vhost_user_refuse(vu, -EINVAL, "bad offset or size");
	/* The destination of a migration gets all fields, also those that no driver can write. */
	if (!wce || !virtio_has(vu->dev, VIRTIO_BLK_F_CONFIG_WCE))
		return config->flags ? 0 : vhost_user_refuse(vu, -EINVAL, "a read-only field");
	vu->dev->ops->write_config(vu->dev, config->offset, vu->msg.payload.data, 1);
	return 0;
}

void vhost_user_send_config_change(struct vhost_user *vu)
{
	int err;

	if (!vu->config_pending || vu->backend_fd < 0 || !vhost_user_rings_running(vu))
		return;
	err = vhost_user_notify(vu->backend_fd, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	vu->config_pending = err;
	/* A channel without room has messages that the front end has not read yet. */
	if (!err || err == -EAGAIN)
		return;
	log_limited("vhost-user: the front end is not told of the new size: %s", strerror(-err));
	vhost_user_close_backend_fd(vu);
}

void vhost_user_config_changed(struct vhost_user *vu)
{
	vu->config_pending = true;
	vhost_user_send_config_change(vu);
}
