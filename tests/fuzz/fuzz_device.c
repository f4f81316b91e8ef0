/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_device: a whole virtio-blk device behind its virtio-mmio registers, with its dataplane thread
 * and the sync engine on an image in memory. Register accesses of any size, status jumps, queues
 * good and bad, requests, kicks, guest memory rewritten while the device works on it, resets.
 *
 * Every request is completed once, or the device says that it needs a reset; a reset ends with
 * status 0, and neither interrupt nor memory access follows; the image never changes its size, and a
 * read-only one not at all.
 */
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "dataplane/base.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/mmio.h"
#include "tests/fuzz/guest.h"

#define IMAGE_SIZE  0x10000u
#define QUEUE_MAX   64u
#define STEPS	    64
#define DEADLINE_S  10
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED	    VIRTIO_CONFIG_S_FAILED
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK

struct disk {
	struct blk *blk;
	struct virtio_device *dev;
	struct virtio_mmio mmio;
	int fd;
	char path[64];
	bool readonly;
};

static struct guest guest;
static uint8_t snapshot[GUEST_SPAN];
static uint8_t fresh[IMAGE_SIZE], content[IMAGE_SIZE];
static struct disk disks[3];

/* Of the input that runs. */
static struct disk *disk;
static struct driver driver;
static bool running; /* DRIVER_OK with a ring that `driver` is the driver of */
static bool quiet;   /* after a reset: `snapshot` is what memory has to stay */
static uint16_t used_idx;

static void disk_open(struct disk *d, bool readonly, uint32_t blk_size)
{
	struct blk_config config = { .readonly = readonly,
				     .direct = BLK_DIRECT_OFF,
				     .engine = BLK_ENGINE_SYNC,
				     .blk_size = blk_size,
				     .queue_size = QUEUE_MAX };
	const char *why;

	d->fd = memfd_create("image", MFD_CLOEXEC);
	fuzz_must(d->fd >= 0 && !ftruncate(d->fd, IMAGE_SIZE));
	snprintf(d->path, sizeof(d->path), "/proc/self/fd/%d", d->fd);
	config.path = d->path;
	d->readonly = readonly;
	fuzz_must(!blk_create(&d->blk, &config, 0, &guest.hostmem, &why));
	d->dev = blk_virtio(d->blk);
	virtio_mmio_init(&d->mmio, d->dev);
}

static void set_up(void)
{
	guest_create(&guest);
	for (unsigned int i = 0; i < IMAGE_SIZE; i++)
		fresh[i] = (uint8_t)(i * 7 + (i >> 9));
	disk_open(&disks[0], false, 512);
	disk_open(&disks[1], true, 512);
	disk_open(&disks[2], false, 4096);
}

static uint32_t get(uint64_t offset)
{
	uint32_t value = 0x5a5a5a5a;

	virtio_mmio_read(&disk->mmio, offset, (uint8_t *)&value, sizeof(value));
	return value;
}

static void set(uint64_t offset, uint32_t value)
{
	virtio_mmio_write(&disk->mmio, offset, (const uint8_t *)&value, sizeof(value));
}

static uint64_t interrupts(void)
{
	uint64_t n;

	return read(disk->dev->irq.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void check_quiet(void)
{
	if (!quiet)
		return;
	fuzz_must(!memcmp(snapshot, guest.mem, GUEST_SPAN));
	fuzz_must(!interrupts() && !get(VIRTIO_MMIO_INTERRUPT_STATUS));
}

/* Only steps the specification knows (3.1.1), and only forwards. */
static void set_status(uint32_t value)
{
	uint32_t old = get(VIRTIO_MMIO_STATUS), now, steps;

	set(VIRTIO_MMIO_STATUS, value);
	now = get(VIRTIO_MMIO_STATUS);
	if (!value) {
		fuzz_must(!now);
		fuzz_must(!get(VIRTIO_MMIO_INTERRUPT_STATUS) && !get(VIRTIO_MMIO_QUEUE_READY));
		interrupts();
		/* The memory is the driver's again, at once. */
		memset(guest.mem, 0x5a, GUEST_SPAN);
		memcpy(snapshot, guest.mem, GUEST_SPAN);
		running = false;
		quiet = true;
		return;
	}
	steps = now & ~(uint32_t)(FAILED | NEEDS_RESET);
	fuzz_must(steps == 0 || steps == 1 || steps == 3 || steps == 11 || steps == 15);
	fuzz_must((now & old) == old);
	fuzz_must(!(now & ~old & ~(value | NEEDS_RESET)));
	if (now & ~old & DRIVER_OK)
		quiet = false;
}

static void reset(void)
{
	check_quiet();
	set_status(0);
}

/* Used elements come one per entry offered; each head as often as it was. */
static void check_used(uint16_t upto)
{
	static unsigned int offered[QUEUE_MAX];
	uint16_t size = driver.ring.size;

	fuzz_must((uint16_t)(upto - used_idx) <= size);
	memset(offered, 0, sizeof(offered));
	for (uint16_t i = used_idx; i != upto; i++)
		if (driver.avail->ring[i % size] < size)
			offered[driver.avail->ring[i % size]]++;
	for (; used_idx != upto; used_idx++) {
		uint32_t id = driver.used->ring[used_idx % size].id;

		fuzz_must(id < size && offered[id]);
		offered[id]--;
	}
}

/* Give way; false when that has gone on for too long. */
static bool wait_more(time_t *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	*end = *end ? *end : now.tv_sec + DEADLINE_S;
	sched_yield();
	return now.tv_sec <= *end;
}

/* Wait until the device has done all or says that it cannot, and tells. */
static void settle(void)
{
	bool told = driver.wild || driver.ring.event_idx || used_idx == driver.avail_idx;
	unsigned int patience = 50; /* for a driver that may have overwritten its own indices */
	time_t end = 0;

	if (!running)
		return;
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	while (LOAD_ACQUIRE(driver.used->idx) != driver.avail_idx) {
		if (get(VIRTIO_MMIO_STATUS) & NEEDS_RESET || (driver.wild && !--patience)) {
			running = false;
			return;
		}
		fuzz_must(wait_more(&end));
	}
	if (!driver.wild)
		check_used(driver.avail_idx);
	while (!told && !interrupts())
		fuzz_must(wait_more(&end));
}

static void offer(struct input *in)
{
	if (!running)
		return;
	for (unsigned int n = 1 + in_below(in, driver.ring.size); n && in->left; n--)
		driver_stage(&driver, driver_request(&driver, in));
	driver_show(&driver);
	if (in_rarely(in)) {
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		/* As from another vCPU, while the dataplane thread is at it. */
		for (unsigned int n = in_u8(in); n && in->left; n--)
			guest.mem[in_u16(in)] ^= in_u8(in);
		driver.wild = true;
	}
	if (in_rarely(in)) {
		driver.avail->idx += in_u16(in);
		driver.wild = true;
	}
	if (in_rarely(in))
		return; /* a reset, perhaps, with all of it in flight */
	settle();
}

static void set_address(uint64_t reg, uint64_t gpa)
{
	set(reg, (uint32_t)gpa);
	set(reg + 4, (uint32_t)(gpa >> 32));
}

/* Up to DRIVER_OK as a driver does it, with a mistake or two. */
static void bring_up(struct input *in)
{
	struct vring_config ring = { .size = (uint16_t)(1u << in_below(in, 7)),
				     .desc = GUEST_DESC,
				     .avail = GUEST_AVAIL,
				     .used = GUEST_USED };
	uint8_t bits = in_u8(in);
	uint32_t ready;

	reset();
	ring.indirect = bits & 1;
	ring.event_idx = bits & 2;
	set_status(1);
	set_status(3);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, in_rarely(in) ? in_u32(in) : 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES,
	    (ring.indirect ? 1u << VIRTIO_RING_F_INDIRECT_DESC : 0) |
		    (ring.event_idx ? 1u << VIRTIO_RING_F_EVENT_IDX : 0) |
		    (bits & 4 ? 0 : 1u << 9) | (in_rarely(in) ? in_u32(in) : 0));
	set_status(11);
	set(VIRTIO_MMIO_QUEUE_SEL, in_rarely(in) ? in_u32(in) : 0);
	set(VIRTIO_MMIO_QUEUE_NUM, in_rarely(in) ? in_u32(in) : ring.size);
	set_address(VIRTIO_MMIO_QUEUE_DESC_LOW, in_rarely(in) ? in_u64(in) : ring.desc);
	set_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		    in_rarely(in) ? GUEST_HIGH - in_u8(in) : ring.avail);
	set_address(VIRTIO_MMIO_QUEUE_USED_LOW, in_rarely(in) ? GUEST_TOP - in_u8(in) : ring.used);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
	ready = get(VIRTIO_MMIO_QUEUE_READY);
	fuzz_must(ready <= 1);
	/* The device now has what dev->queue says, and `driver` drives just that. */
	ring.size = (uint16_t)disk->dev->queue[0].size;
	ring.desc = disk->dev->queue[0].desc;
	ring.avail = disk->dev->queue[0].avail;
	ring.used = disk->dev->queue[0].used;
	if (ready) {
		fuzz_must(ring.size <= QUEUE_MAX &&
			  guest_pieces(ring.desc, 16ull * ring.size) == 1 &&
			  guest_pieces(ring.avail, 6 + 2ull * ring.size) == 1 &&
			  guest_pieces(ring.used, 6 + 8ull * ring.size) == 1);
		driver_init(&driver, &guest, &ring, IMAGE_SIZE / 512);
		memcpy(snapshot, guest.mem, GUEST_SPAN);
		driver.ring.indirect = disk->dev->accepted >> VIRTIO_RING_F_INDIRECT_DESC & 1;
		driver.ring.event_idx = disk->dev->accepted >> VIRTIO_RING_F_EVENT_IDX & 1;
		/* Buffers may lie on a ring that is not where it should be. */
		driver.wild = ring.desc != GUEST_DESC || ring.avail != GUEST_AVAIL ||
			      ring.used != GUEST_USED;
	}
	check_quiet();
	set_status(15);
	used_idx = 0;
	running = ready && get(VIRTIO_MMIO_STATUS) == 15;
}

/* One access as no driver makes it. */
static void stray_access(struct input *in)
{
	static const uint16_t near[] = { 0,    0x10, 0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50,
					 0x60, 0x64, 0x70, 0x80, 0x90, 0xa0, 0xfc, 0x100 };
	uint8_t how = in_u8(in), data[8];
	unsigned int len = how & 7 && how & 0x80 ? 1 + (how & 7) : 4;
	uint64_t offset = in_below(in, 2) ? in_u16(in) : near[in_below(in, ARRAY_SIZE(near))];

	in_bytes(in, data, sizeof(data));
	if (offset == VIRTIO_MMIO_STATUS && len == 4 && !(how & 0x40)) {
		uint32_t value;

		memcpy(&value, data, sizeof(value));
		set_status(value & 0xff);
		return;
	}
	if (!(how & 0x40)) {
		virtio_mmio_write(&disk->mmio, offset, data, len);
		return;
	}
	memset(data, 0x5a, sizeof(data));
	virtio_mmio_read(&disk->mmio, offset, data, len);
	if (offset < VIRTIO_MMIO_CONFIG && (len != 4 || offset % 4))
		for (unsigned int i = 0; i < len; i++)
			fuzz_must(!data[i]);
	for (unsigned int i = len; i < sizeof(data); i++)
		fuzz_must(data[i] == 0x5a);
}

static void step(struct input *in)
{
	switch (in_below(in, 10)) {
	case 0:
	case 1:
	case 2:
		offer(in);
		break;
	case 3:
		bring_up(in);
		break;
	case 4:
	case 5:
		stray_access(in);
		break;
	case 6:
		set(VIRTIO_MMIO_QUEUE_NOTIFY, in_rarely(in) ? in_u32(in) : 0);
		check_quiet();
		break;
	case 7:
		set(VIRTIO_MMIO_INTERRUPT_ACK, in_u8(in));
		break;
	case 8:
		set_status(in_u8(in) & 0xcf);
		break;
	case 9:
		reset();
		break;
	}
}

static void check_image(void)
{
	fuzz_must(lseek(disk->fd, 0, SEEK_END) == IMAGE_SIZE);
	if (disk->readonly) {
		fuzz_must(pread(disk->fd, content, IMAGE_SIZE, 0) == IMAGE_SIZE);
		fuzz_must(!memcmp(content, fresh, IMAGE_SIZE));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	if (!guest.mem)
		set_up();
	disk = &disks[in_below(&in, 3)];
	fuzz_must(pwrite(disk->fd, fresh, IMAGE_SIZE, 0) == IMAGE_SIZE);
	quiet = false;
	set_status(0);
	bring_up(&in);
	for (unsigned int i = 0; i < STEPS && in.left; i++)
		step(&in);
	settle();
	reset();
	check_quiet();
	check_image();
	return 0;
}
