/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/ringbench.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_blk.h>

#include "dataplane/base.h"

static uint16_t *used_event(struct driver *d)
{
	return &d->avail->ring[RING_SIZE];
}

static uint16_t *avail_event(struct driver *d)
{
	return (uint16_t *)&d->used->ring[RING_SIZE];
}

/* Writes the descriptors of a request: header, data and status, chained from `first` on. */
static void lay_out(const struct driver *d, struct vring_desc *desc, unsigned int first,
		    unsigned int slot)
{
	desc[0] = (struct vring_desc){
		.addr = d->gpa + AT_HEADERS + slot * sizeof(struct virtio_blk_outhdr),
		.len = sizeof(struct virtio_blk_outhdr),
		.flags = VRING_DESC_F_NEXT,
		.next = (uint16_t)(first + 1),
	};
	desc[1] = (struct vring_desc){
		.addr = d->gpa + AT_DATA + (uint64_t)slot * d->bytes,
		.len = d->bytes,
		.flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
		.next = (uint16_t)(first + 2),
	};
	desc[2] = (struct vring_desc){
		.addr = d->gpa + AT_STATUS + slot,
		.len = 1,
		.flags = VRING_DESC_F_WRITE,
	};
}

void driver_init(struct driver *d, void *base, uint64_t gpa, bool packed, bool indirect,
		 uint64_t disk_bytes, unsigned int bytes)
{
	char *at = base;

	*d = (struct driver){
		.ring = { .size = RING_SIZE,
			  .desc = gpa + AT_DESC,
			  .avail = gpa + AT_AVAIL,
			  .used = gpa + AT_USED,
			  .event_idx = true,
			  .indirect = indirect,
			  .packed = packed },
		.gpa = gpa,
		.desc = (struct vring_desc *)(at + AT_DESC),
		.avail = (struct vring_avail *)(at + AT_AVAIL),
		.used = (struct vring_used *)(at + AT_USED),
		.header = (struct virtio_blk_outhdr *)(at + AT_HEADERS),
		.per_slot = indirect ? 1 : 3,
		.slots = indirect ? RING_SIZE : RING_SIZE / 3,
		.seed = gpa | 1,
		.places = disk_bytes / bytes,
		.bytes = bytes,
	};
	if (packed) {
		packed_init(d, base);
		return;
	}
	for (unsigned int slot = 0; slot < d->slots; slot++) {
		struct vring_desc *table = (struct vring_desc *)(at + AT_TABLES) + slot * 4ul;

		if (!indirect) {
			lay_out(d, d->desc + slot * 3ul, slot * 3, slot);
			continue;
		}
		lay_out(d, table, 0, slot);
		d->desc[slot] = (struct vring_desc){
			.addr = gpa + AT_TABLES + slot * 4ul * sizeof(*table),
			.len = 3 * sizeof(*table),
			.flags = VRING_DESC_F_INDIRECT,
		};
	}
}

void driver_stage(struct driver *d, unsigned int slot)
{
	d->seed ^= d->seed << 13;
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	/* Scales a random number to the range; a multiplication is faster than a division. */
	d->header[slot].sector =
		(uint64_t)((__uint128_t)d->seed * d->places >> 64) * (d->bytes / 512);
	if (d->ring.packed) {
		packed_stage(d, slot);
		return;
	}
	d->avail->ring[d->avail_idx++ % RING_SIZE] = (uint16_t)(slot * d->per_slot);
}

bool driver_show(struct driver *d)
{
	uint16_t old = d->avail->idx;

	if (d->ring.packed)
		return packed_show(d);
	/* Release: pairs with vring_pop's acquire. */
	STORE_RELEASE(d->avail->idx, d->avail_idx);
	/* Disables interrupts: this event stays half the index space away from the used index. */
	WRITE_ONCE(*used_event(d), (uint16_t)(d->used_idx + 0x8000));
	full_barrier();
	return vring_need_event(READ_ONCE(*avail_event(d)), d->avail_idx, old);
}

int driver_take(struct driver *d)
{
	uint32_t id;

	if (d->ring.packed)
		return packed_take(d);
	/* Acquire: pairs with vring_publish's release. */
	if (LOAD_ACQUIRE(d->used->idx) == d->used_idx)
		return -1;
	id = d->used->ring[d->used_idx++ % RING_SIZE].id;
	return (int)(id / d->per_slot);
}

/* Disables interrupts: the event stays half the index space away from the used index. */
void driver_disarm(struct driver *d)
{
	if (d->ring.packed)
		packed_disarm(d);
	else
		WRITE_ONCE(*used_event(d), (uint16_t)(d->used_idx + 0x8000));
}

static bool driver_arm(struct driver *d)
{
	if (d->ring.packed)
		return packed_arm(d);
	WRITE_ONCE(*used_event(d), d->used_idx);
	/* The device reads the event after it has published; this driver checks the index again. */
	full_barrier();
	return LOAD_ACQUIRE(d->used->idx) == d->used_idx;
}

bool driver_sleep(struct driver *d, int fd)
{
	struct pollfd event = { fd, POLLIN, 0 };
	bool sleeps = driver_arm(d);
	uint64_t count;

	/* The device may have made the descriptor non-blocking. */
	if (sleeps && (poll(&event, 1, -1) < 0 || read(fd, &count, sizeof(count)) < 0))
		sleeps = false;
	driver_disarm(d);
	return sleeps;
}

char *driver_memfd(size_t size, int *fd)
{
	char *ram;

	*fd = memfd_create("driver", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)size))
		return NULL;
	ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (ram == MAP_FAILED)
		return NULL;
	memset(ram, 0, size);
	return ram;
}

/* ---- an engine that completes at once ---- */

static void null_prep(struct ioengine *e, struct io_task *task)
{
	ioengine_segment_done(e, task, task->len);
}

const struct ioengine_ops ioengine_null = {
	.name = "null",
	.prep = null_prep,
};
