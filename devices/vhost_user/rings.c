/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages about rings.
 *
 * Front ends send them in any order, and some while the ring runs. The back end therefore stores
 * the contents of each message, and starts a ring as soon as its description is complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "devices/vhost_user/internal.h"

/* Period, in ns, at which rings are checked for which the front end has given no doorbell. */
#define POLL_PERIOD_NS 100000

/* Replaces the file behind `number` by that of fd. */
static void replace_fd(int number, int fd)
{
	/* With two open descriptors, only a signal can make dup3 fail; it is then repeated. */
	while (dup3(fd, number, O_CLOEXEC) < 0 && errno == EINTR)
		;
}

int vhost_user_rings_open(struct vhost_user *vu)
{
	for (unsigned int i = 0; i < vu->dev->queue_count; i++) {
		struct vhost_user_ring *ring = &vu->ring[i];

		ring->irq.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ring->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (ring->irq.fd < 0 || ring->err_fd < 0)
			return -errno;
		/* The front end offers the size to its driver; QEMU's virtio-mmio offers 1024 to
		 * all of them. */
		vu->dev->queue[i].max_size = VRING_MAX_SIZE;
		vu->dev->queue[i].irq = &ring->irq;
		vu->dev->queue[i].base = &ring->base;
	}
	return 0;
}

void vhost_user_rings_close(struct vhost_user *vu)
{
	for (unsigned int i = 0; i < vu->dev->queue_count; i++) {
		if (vu->ring[i].irq.fd >= 0)
			close(vu->ring[i].irq.fd);
		if (vu->ring[i].err_fd >= 0)
			close(vu->ring[i].err_fd);
	}
}

/* ---- start and stop ---- */

/* Position of a packed ring in SET_VRING_BASE: the next descriptor to pop in bits 0 to 14 and its
 * wrap counter in bit 15, the next used element in bits 16 to 30 and its wrap counter in bit 31. */
static void decode_position(struct vring_base *base, uint32_t position, bool packed)
{
	*base = (struct vring_base){ .avail = (uint16_t)position };
	if (!packed)
		return;
	base->avail = position & 0x7fff;
	base->avail_wrap = position >> 15 & 1;
	base->used = position >> 16 & 0x7fff;
	base->used_wrap = position >> 31;
}

static uint32_t encode_position(const struct vring_base *base, bool packed)
{
	if (!packed)
		return base->avail;
	return base->avail | (uint32_t)base->avail_wrap << 15 | (uint32_t)base->used << 16 |
	       (uint32_t)base->used_wrap << 31;
}

/* Position of an unused packed ring: both wrap counters are 1. */
#define PACKED_START 0x80008000u

/* Translates the addresses of a ring into the queue. Returns false if one is outside of all
 * regions: the front end may add its region later. */
static bool locate(struct vhost_user *vu, unsigned int n)
{
	const struct vhost_user_vring_addr *addr = &vu->ring[n].addr;
	struct virtio_queue *queue = &vu->dev->queue[n];

	return vhost_user_memory_gpa(vu->memory, addr->desc, &queue->desc) &&
	       vhost_user_memory_gpa(vu->memory, addr->avail, &queue->avail) &&
	       vhost_user_memory_gpa(vu->memory, addr->used, &queue->used);
}

static int start_ring(struct vhost_user *vu, unsigned int n)
{
	bool packed = virtio_has(vu->dev, VIRTIO_F_RING_PACKED);
	struct vhost_user_ring *ring = &vu->ring[n];
	int err;

	if (ring->running || !ring->enabled || vu->paused || (ring->known & RING_ALL) != RING_ALL ||
	    !virtio_has(vu->dev, VIRTIO_F_VERSION_1) || !locate(vu, n))
		return 0;
	if (!(ring->known & RING_BASE))
		ring->position = packed ? PACKED_START : 0;
	decode_position(&ring->base, ring->position, packed);
	vu->dev->queue[n].mirror = vhost_user_inflight_mirror(vu, n);
	err = virtio_queue_ok(vu->dev, n) ? vu->dev->ops->queue_start(vu->dev, n) : -EINVAL;
	if (err)
		return vhost_user_refuse(vu, err, "the ring cannot be started");
	ring->running = true;
	ring->mirror.recover = false;
	/* The previous back end may have died between publishing used elements and raising the
	 * interrupt for them. */
	eventfd_signal(ring->irq.fd);
	return 0;
}

/* Stops the ring and stores its position. On return, none of its requests is in flight. */
static void stop_ring(struct vhost_user *vu, unsigned int n)
{
	struct vhost_user_ring *ring = &vu->ring[n];

	if (!ring->running)
		return;
	vu->dev->ops->queue_stop(vu->dev, n);
	ring->running = false;
	ring->known |= RING_BASE;
	ring->position = encode_position(&ring->base, virtio_has(vu->dev, VIRTIO_F_RING_PACKED));
	if (!vhost_user_rings_running(vu))
		vhost_user_memory_release(vu->memory);
}

/* As stop_ring; long operations end within BLKPLANE_DRAIN_MS, or as failed. */
static void finish_ring(struct vhost_user *vu, unsigned int n)
{
	struct vring_base ignored;

	/* A paused disk stays still. */
	if (vu->ring[n].running && !vu->paused)
		vu->dev->ops->queue_drain(vu->dev, n, &ignored);
	stop_ring(vu, n);
}

bool vhost_user_rings_running(const struct vhost_user *vu)
{
	for (unsigned int i = 0; i < vu->dev->queue_count; i++)
		if (vu->ring[i].running)
			return true;
	return false;
}

int vhost_user_rings_start(struct vhost_user *vu)
{
	int first = 0;

	for (unsigned int i = 0; i < vu->dev->queue_count; i++) {
		int err = start_ring(vu, i);

		first = first ? first : err;
	}
	return first;
}

void vhost_user_rings_stop(struct vhost_user *vu)
{
	/* Long operations of all rings are interrupted first, so that the waits overlap. */
	blk_hold(vu->blk);
	for (unsigned int i = 0; i < vu->dev->queue_count; i++)
		stop_ring(vu, i);
}

/* Starts the timer if there is a ring to be polled, and else stops it. */
static void update_timer(struct vhost_user *vu)
{
	struct itimerspec period = { { 0, 0 }, { 0, 0 } };

	for (unsigned int i = 0; i < vu->dev->queue_count; i++)
		if (vu->ring[i].polled)
			period.it_value.tv_nsec = period.it_interval.tv_nsec = POLL_PERIOD_NS;
	timerfd_settime(vu->timer_fd, 0, &period, NULL);
}

static void forget_fds(struct vhost_user *vu, unsigned int n)
{
	replace_fd(vu->dev->queue[n].kick_fd, vu->none_fd);
	replace_fd(vu->ring[n].irq.fd, vu->none_fd);
	vu->ring[n].known &= ~RING_KICK;
	vu->ring[n].polled = false;
	update_timer(vu);
}

void vhost_user_rings_forget(struct vhost_user *vu)
{
	vhost_user_rings_stop(vu);
	for (unsigned int i = 0; i < vu->dev->queue_count; i++) {
		struct vhost_user_ring *ring = &vu->ring[i];

		forget_fds(vu, i);
		replace_fd(ring->err_fd, vu->none_fd);
		vu->dev->queue[i].mirror = NULL;
		ring->known = 0;
		ring->enabled = false;
	}
}

/* ---- messages ---- */

/* Returns the ring with this index, or NULL after a line in the log. */
static struct vhost_user_ring *find_ring(struct vhost_user *vu, uint64_t index)
{
	if (index < vu->dev->queue_count)
		return &vu->ring[index];
	vhost_user_refuse(vu, -EINVAL, "there is no such queue");
	return NULL;
}

/* Returns the ring as find_ring does, for a message that is invalid while the ring runs. NULL: the
 * index is invalid, or the ring is running. */
static struct vhost_user_ring *find_stopped(struct vhost_user *vu, uint64_t index)
{
	struct vhost_user_ring *ring = find_ring(vu, index);

	if (!ring || !ring->running)
		return ring;
	vhost_user_refuse(vu, -EBUSY, "the ring is running");
	return NULL;
}

int vhost_user_set_vring_num(struct vhost_user *vu)
{
	const struct vhost_user_vring_state *state = &vu->msg.payload.state;
	struct vhost_user_ring *ring = find_stopped(vu, state->index);

	if (!ring)
		return -EINVAL;
	if (!state->num || state->num > vu->dev->queue[state->index].max_size)
		return vhost_user_refuse(vu, -EINVAL, "bad queue size");
	vu->dev->queue[state->index].size = state->num;
	ring->known |= RING_NUM;
	return start_ring(vu, state->index);
}

int vhost_user_set_vring_addr(struct vhost_user *vu)
{
	const struct vhost_user_vring_addr *addr = &vu->msg.payload.addr;
	struct vhost_user_ring *ring = find_ring(vu, addr->index);

	if (!ring)
		return -EINVAL;
	if (addr->flags & ~VHOST_USER_VRING_F_LOG)
		return vhost_user_refuse(vu, -EINVAL, "unknown flags");
	if (ring->running && (addr->desc != ring->addr.desc || addr->avail != ring->addr.avail ||
			      addr->used != ring->addr.used))
		return vhost_user_refuse(vu, -EBUSY, "the ring is running");
	ring->addr = *addr;
	ring->known |= RING_ADDR;
	return start_ring(vu, addr->index);
}

int vhost_user_set_vring_base(struct vhost_user *vu)
{
	const struct vhost_user_vring_state *state = &vu->msg.payload.state;
	struct vhost_user_ring *ring = find_stopped(vu, state->index);

	if (!ring)
		return -EINVAL;
	ring->position = state->num;
	ring->known |= RING_BASE;
	return 0;
}

int vhost_user_get_vring_base(struct vhost_user *vu)
{
	struct vhost_user_vring_state *state = &vu->msg.payload.state;
	struct vhost_user_ring *ring = find_ring(vu, state->index);
	unsigned int n = state->index;
	int result;

	if (!ring)
		return -EINVAL;
	finish_ring(vu, n);
	forget_fds(vu, n);
	state->num = ring->position;
	result = vhost_user_answer(vu, sizeof(*state));
	/* From here on, the front end knows the position. Its driver may be reset, and begin with
	 * another one. */
	if (result == VHOST_USER_REPLIED && vu->dev->queue[n].mirror && !ring->mirror.recover)
		vring_mirror_forget(&ring->mirror);
	return result;
}

/*
 * Takes the descriptor of SET_VRING_KICK, _CALL or _ERR out of the message, as *fd, which is -1 if
 * the front end gives none, and finds its ring. Only anonymous inodes are accepted, such as
 * eventfds: writing to another file can block in spite of O_NONBLOCK. NULL: the message is invalid.
 */
static struct vhost_user_ring *take_fd(struct vhost_user *vu, int *fd)
{
	uint64_t value = vu->msg.payload.u64;
	struct stat st;

	*fd = -1;
	if (value & ~(uint64_t)(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD_MASK) ||
	    (value & VHOST_USER_VRING_NOFD_MASK ? 0u : 1u) != vu->msg.fd_count) {
		vhost_user_refuse(vu, -EINVAL, "flags and descriptors do not match");
		return NULL;
	}
	if (vu->msg.fd_count && (fstat(vu->msg.fd[0], &st) || st.st_mode & S_IFMT ||
				 fcntl(vu->msg.fd[0], F_SETFL, O_NONBLOCK))) {
		vhost_user_refuse(vu, -EINVAL, "the descriptor is no eventfd");
		return NULL;
	}
	*fd = vu->msg.fd_count ? vu->msg.fd[0] : -1;
	return find_ring(vu, value & VHOST_USER_VRING_INDEX_MASK);
}

void vhost_user_rings_tick(struct vhost_user *vu)
{
	for (unsigned int i = 0; i < vu->dev->queue_count; i++)
		if (vu->ring[i].polled)
			eventfd_signal(vu->dev->queue[i].kick_fd);
}

int vhost_user_set_vring_kick(struct vhost_user *vu)
{
	int fd, own = -1;
	struct vhost_user_ring *ring = take_fd(vu, &fd);
	unsigned int n;

	if (!ring)
		return -EINVAL;
	n = (unsigned int)(ring - vu->ring);
	if (fd < 0) {
		own = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (own < 0)
			return vhost_user_refuse(vu, -errno, strerror(errno));
	}
	/* A running ring is restarted with the new doorbell, also after it was broken. */
	finish_ring(vu, n);
	replace_fd(vu->dev->queue[n].kick_fd, fd < 0 ? own : fd);
	if (own >= 0)
		close(own);
	ring->polled = fd < 0;
	update_timer(vu);
	ring->known |= RING_KICK;
	return start_ring(vu, n);
}

int vhost_user_set_vring_call(struct vhost_user *vu)
{
	int fd;
	struct vhost_user_ring *ring = take_fd(vu, &fd);

	if (!ring)
		return -EINVAL;
	replace_fd(ring->irq.fd, fd < 0 ? vu->none_fd : fd);
	/* The latest interrupt may have gone to the previous descriptor. Drivers must tolerate
	 * interrupts without new used elements. */
	eventfd_signal(ring->irq.fd);
	return 0;
}

int vhost_user_set_vring_err(struct vhost_user *vu)
{
	int fd;
	struct vhost_user_ring *ring = take_fd(vu, &fd);

	if (!ring)
		return -EINVAL;
	replace_fd(ring->err_fd, fd < 0 ? vu->none_fd : fd);
	return 0;
}

int vhost_user_set_vring_enable(struct vhost_user *vu)
{
	const struct vhost_user_vring_state *state = &vu->msg.payload.state;
	struct vhost_user_ring *ring = find_ring(vu, state->index);

	if (!ring)
		return -EINVAL;
	if (state->num > 1)
		return vhost_user_refuse(vu, -EINVAL, "neither 0 nor 1");
	ring->enabled = state->num;
	/* The answer to a disable promises that nothing is in flight: some front ends copy guest
	 * memory next. */
	if (!ring->enabled)
		finish_ring(vu, state->index);
	return start_ring(vu, state->index);
}
