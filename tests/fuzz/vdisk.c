/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/vdisk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/virtio_blk.h>

#include "dataplane/base.h"

#define DEADLINE_S 10

static const struct {
	enum blk_engine engine;
	enum blk_direct direct;
	bool readonly;
	uint32_t blk_size;
	bool in_file;
} kinds[VDISK_COUNT / 2] = {
	{ BLK_ENGINE_SYNC, BLK_DIRECT_OFF, false, 512, false },
	{ BLK_ENGINE_SYNC, BLK_DIRECT_OFF, true, 512, false },
	{ BLK_ENGINE_SYNC, BLK_DIRECT_AUTO, false, 4096, false },
	{ BLK_ENGINE_SYNC, BLK_DIRECT_AUTO, false, 512, false },
	{ BLK_ENGINE_LIBAIO, BLK_DIRECT_OFF, false, 512, false },
	{ BLK_ENGINE_LIBAIO, BLK_DIRECT_AUTO, false, 512, false },
	{ BLK_ENGINE_LIBAIO, BLK_DIRECT_AUTO, true, 4096, false },
	{ BLK_ENGINE_LIBAIO, BLK_DIRECT_AUTO, false, 512, true },
};

struct vdisk *vdisk;
static struct vdisk disks[VDISK_COUNT];
static struct guest *guest;
static uint64_t fresh[VDISK_SIZE / 8], content[VDISK_SIZE / 8];

/* Writes the image by a call that host.c does not wrap. */
static void write_image(int fd)
{
	struct iovec iov = { fresh, VDISK_SIZE };

	fuzz_must(pwritev(fd, &iov, 1, 0) == VDISK_SIZE);
}

static int make_image(bool in_file)
{
	char path[] = "./fuzz-image.XXXXXX", in_build[] = "build/fuzz-image.XXXXXX";
	char *name = access("build", W_OK) ? path : in_build;
	int fd = in_file ? mkostemp(name, O_CLOEXEC) : memfd_create("image", MFD_CLOEXEC);

	fuzz_must(fd >= 0);
	write_image(fd);
	if (in_file)
		fuzz_must(!fsync(fd) && !unlink(name));
	return fd;
}

static void create_one(struct vdisk *d, unsigned int number)
{
	unsigned int n = number % ARRAY_SIZE(kinds);
	struct blk_config config = { .path = d->path,
				     .readonly = kinds[n].readonly,
				     .direct = kinds[n].direct,
				     .engine = number < ARRAY_SIZE(kinds) ? kinds[n].engine
									  : BLK_ENGINE_URING,
				     .blk_size = kinds[n].blk_size,
				     .discard = true,
				     .queue_size = VDISK_QUEUE_MAX,
				     .queues = 1,
				     .packed = true,
				     .in_order = true };
	const char *why;

	d->fd = make_image(kinds[n].in_file);
	snprintf(d->path, sizeof(d->path), "/proc/self/fd/%d", d->fd);
	fuzz_must(!blk_create(&d->blk, &config, 0, &guest->hostmem, &why));
	d->dev = blk_virtio(d->blk);
	d->readonly = config.readonly;
	d->blk_size = config.blk_size;
	virtio_mmio_init(&d->mmio, d->dev);
}

void vdisk_create(struct guest *g)
{
	guest = g;
	for (unsigned int i = 0; i < VDISK_SIZE; i++)
		((uint8_t *)fresh)[i] = (uint8_t)(i * 7 + (i >> 9));
	for (unsigned int i = 0; i < VDISK_COUNT; i++)
		create_one(&disks[i], i);
}

void vdisk_choose(unsigned int n, uint32_t faults, void (*between)(void))
{
	struct host_case c = { .guest = guest,
			       .capacity = VDISK_SIZE,
			       .faults = faults,
			       .racing = between,
			       .between = between };

	vdisk = &disks[n];
	vdisk_set(VIRTIO_MMIO_STATUS, 0);
	if (vdisk->stale)
		write_image(vdisk->fd);
	vdisk->stale = false;
	c.readonly = vdisk->readonly;
	host_begin(&c);
}

uint32_t vdisk_get(uint64_t offset)
{
	uint32_t value = 0x5a5a5a5a;

	virtio_mmio_read(&vdisk->mmio, offset, (uint8_t *)&value, sizeof(value));
	return value;
}

void vdisk_set(uint64_t offset, uint32_t value)
{
	virtio_mmio_write(&vdisk->mmio, offset, (const uint8_t *)&value, sizeof(value));
}

uint8_t vdisk_toggle_cache(uint8_t value)
{
	const uint64_t at = VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce);

	virtio_mmio_write(&vdisk->mmio, at, &value, 1);
	virtio_mmio_read(&vdisk->mmio, at, &value, 1);
	return value;
}

void vdisk_set_address(uint64_t reg, uint64_t gpa)
{
	vdisk_set(reg, (uint32_t)gpa);
	vdisk_set(reg + 4, (uint32_t)(gpa >> 32));
}

void vdisk_bring_up(const struct vring_config *ring)
{
	vdisk_set(VIRTIO_MMIO_STATUS, 1);
	vdisk_set(VIRTIO_MMIO_STATUS, 3);
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES,
		  1u | (uint32_t)ring->packed << (VIRTIO_F_RING_PACKED - 32) |
			  (uint32_t)ring->in_order << (VIRTIO_F_IN_ORDER - 32));
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES,
		  VDISK_FEATURES(vdisk->dev) |
			  (uint32_t)ring->indirect << VIRTIO_RING_F_INDIRECT_DESC |
			  (uint32_t)ring->event_idx << VIRTIO_RING_F_EVENT_IDX);
	vdisk_set(VIRTIO_MMIO_STATUS, 11);
	vdisk_set(VIRTIO_MMIO_QUEUE_SEL, 0);
	vdisk_set(VIRTIO_MMIO_QUEUE_NUM, ring->size);
	vdisk_set_address(VIRTIO_MMIO_QUEUE_DESC_LOW, ring->desc);
	vdisk_set_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring->avail);
	vdisk_set_address(VIRTIO_MMIO_QUEUE_USED_LOW, ring->used);
	vdisk_set(VIRTIO_MMIO_QUEUE_READY, 1);
	vdisk_set(VIRTIO_MMIO_STATUS, 15);
}

uint64_t vdisk_interrupts(void)
{
	uint64_t n;

	return read(vdisk->dev->irq.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

bool vdisk_wait(time_t *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	*end = *end ? *end : now.tv_sec + DEADLINE_S;
	sched_yield();
	return now.tv_sec <= *end;
}

void vdisk_check(void)
{
	vdisk->stale |= host_wrote();
	guest_check(guest);
	fuzz_must(!host_poisoned(guest->mem, GUEST_SPAN));
	fuzz_must(lseek(vdisk->fd, 0, SEEK_END) == VDISK_SIZE);
	if (!vdisk->stale && !vdisk->readonly)
		return;
	fuzz_must(pread(vdisk->fd, content, VDISK_SIZE, 0) == VDISK_SIZE);
	fuzz_must(!vdisk->readonly || !memcmp(content, fresh, VDISK_SIZE));
	fuzz_must(!host_poisoned(content, VDISK_SIZE));
}

void vdisk_check_alive(void)
{
	struct vring_config ring = {
		.size = 4, .desc = GUEST_DESC, .avail = GUEST_AVAIL, .used = GUEST_USED
	};
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = 8 };
	uint64_t data = GUEST_HEAP + 512, status = data + vdisk->blk_size;
	struct vring_desc chain[] = {
		{ GUEST_HEAP, sizeof(header), VRING_DESC_F_NEXT, 1 },
		{ data, vdisk->blk_size, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 },
		{ status, 1, VRING_DESC_F_WRITE, 0 },
	};
	struct driver d;
	time_t end = 0;

	vdisk_set(VIRTIO_MMIO_STATUS, 0);
	guest_clear(guest, 0x5a);
	driver_init(&d, guest, &ring, VDISK_SIZE / 512);
	memcpy(d.desc, chain, sizeof(chain));
	memcpy(guest_ptr(guest, GUEST_HEAP), &header, sizeof(header));
	vdisk_bring_up(&ring);
	fuzz_must(vdisk_get(VIRTIO_MMIO_STATUS) == 15);
	driver_stage(&d, 0);
	driver_show(&d);
	vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	while (!LOAD_ACQUIRE(d.used->idx))
		fuzz_must(vdisk_wait(&end));
	fuzz_must(d.used->idx == 1 && d.used->ring[0].id == 0 &&
		  d.used->ring[0].len == vdisk->blk_size + 1);
	fuzz_must(*(uint8_t *)guest_ptr(guest, status) == VIRTIO_BLK_S_OK);
	fuzz_must(pread(vdisk->fd, content, vdisk->blk_size, 4096) == (ssize_t)vdisk->blk_size);
	fuzz_must(!memcmp(guest_ptr(guest, data), content, vdisk->blk_size));
	vdisk_set(VIRTIO_MMIO_STATUS, 0);
	vdisk_interrupts();
	guest_clear(guest, 0x5a);
}
