/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about the memory that mirrors the requests in flight ("Inflight I/O tracking"). */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "devices/vhost_user/internal.h"

/* Returns how many descriptors each ring can have. A driver can choose a larger ring than the front
 * end announces here: QEMU's virtio-mmio offers 1024 to all. The memory that this back end creates
 * has room for that, and is recognized by its size. */
static uint16_t entries_of(const struct vhost_user_inflight *inflight, bool packed)
{
	uint64_t largest = vring_mirror_bytes(VRING_MAX_SIZE, packed) * inflight->num_queues;

	return inflight->mmap_size >= largest ? VRING_MAX_SIZE : inflight->queue_size;
}

/* Appends zeros to a file. Returns 0 or -errno. The sandbox forbids ftruncate(2) on this thread. */
static int append_zeros(int fd, uint64_t bytes)
{
	static const char zeros[4096];

	while (bytes) {
		ssize_t done = write(fd, zeros, bytes < sizeof(zeros) ? bytes : sizeof(zeros));

		if (done < 0)
			return -errno;
		bytes -= (uint64_t)done;
	}
	return 0;
}

/* Creates a file for the memory of all rings, in which nothing is in flight. Returns its descriptor
 * or -errno. */
static int create_memory(uint64_t bytes)
{
	int fd = memfd_create("vhost-inflight", MFD_CLOEXEC);
	int err = fd < 0 ? -errno : append_zeros(fd, bytes);

	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

int vhost_user_get_inflight_fd(struct vhost_user *vu)
{
	struct vhost_user_inflight *inflight = &vu->msg.payload.inflight;
	/* The format of the rings may still change, so that the larger of the two counts. */
	uint64_t bytes = vring_mirror_bytes(VRING_MAX_SIZE, true) * inflight->num_queues;
	int fd, err;

	if (!inflight->num_queues || inflight->num_queues > vu->dev->queue_count)
		fd = vhost_user_refuse(vu, -EINVAL, "bad number of queues");
	else
		fd = create_memory(bytes);
	/* The size 0 says that there is no memory. */
	inflight->mmap_size = fd < 0 ? 0 : bytes;
	inflight->mmap_offset = 0;
	err = vhost_user_reply(vu->sock, &vu->msg, vu->msg.header.size, fd);
	if (fd >= 0)
		close(fd);
	return err ? err : VHOST_USER_REPLIED;
}

static int check(const struct vhost_user *vu, const struct vhost_user_inflight *inflight)
{
	uint64_t bytes =
		vring_mirror_bytes(inflight->queue_size, virtio_has(vu->dev, VIRTIO_F_RING_PACKED));

	if (!inflight->num_queues || !inflight->queue_size || inflight->queue_size > VRING_MAX_SIZE)
		return -EINVAL;
	if (inflight->mmap_offset % VRING_MIRROR_ALIGN)
		return -EINVAL;
	return inflight->mmap_size < bytes * inflight->num_queues ? -EINVAL : 0;
}

int vhost_user_set_inflight_fd(struct vhost_user *vu)
{
	const struct vhost_user_inflight *inflight = &vu->msg.payload.inflight;
	int fd = vhost_user_take_fd(&vu->msg, 0);
	int err = 0;

	if (vhost_user_rings_running(vu))
		err = vhost_user_refuse(vu, -EBUSY, "a ring is running");
	else if (!inflight->mmap_size)
		vhost_user_memory_drop_inflight(vu->memory);
	else if (fd < 0 || check(vu, inflight))
		err = vhost_user_refuse(vu, -EINVAL, "sizes and descriptors do not match");
	else if ((err = vhost_user_memory_set_inflight(vu->memory, inflight, fd)))
		vhost_user_refuse(vu, err, strerror(-err));
	if (fd >= 0)
		close(fd);
	if (err)
		return err;
	vu->inflight = *inflight;
	for (unsigned int i = 0; i < vu->dev->queue_count; i++) {
		vu->dev->queue[i].mirror = NULL;
		vu->ring[i].mirror.recover = true;
	}
	return 0;
}

struct vring_mirror *vhost_user_inflight_mirror(struct vhost_user *vu, unsigned int n)
{
	const struct vhost_user_mapping *mapping = &vu->memory->inflight;
	bool packed = virtio_has(vu->dev, VIRTIO_F_RING_PACKED);
	struct vring_mirror *mirror = &vu->ring[n].mirror;
	uint64_t bytes;

	if (!mapping->base || n >= vu->inflight.num_queues)
		return NULL;
	mirror->entries = entries_of(&vu->inflight, packed);
	bytes = vring_mirror_bytes(mirror->entries, packed);
	/* The front end may have chosen the other format after SET_INFLIGHT_FD: the start fails. */
	if (bytes * vu->inflight.num_queues > vu->inflight.mmap_size)
		mirror->entries = 0;
	mirror->memory = (char *)mapping->base + mapping->skipped + bytes * n;
	return mirror;
}
