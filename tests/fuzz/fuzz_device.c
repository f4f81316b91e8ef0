/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of a whole virtio-blk device behind its virtio-mmio registers, with its dataplane
 * thread, a real engine and a real image, on a host that may return errors and short transfers. The
 * input makes register accesses of any size, status changes, valid and invalid queues, requests,
 * kicks, resets.
 *
 * Every request is completed once, or the device sets DEVICE_NEEDS_RESET. Guest memory changes only
 * in the used ring and the writable buffers of offered chains. A reset ends with status 0, and
 * neither interrupts nor memory accesses follow it. host.h and vdisk.h list the other invariants.
 */
#include <linux/virtio_blk.h>

#include "dataplane/base.h"
#include "tests/fuzz/model.h"
#include "tests/fuzz/vdisk.h"

#define STEPS	    64
#define WCE	    (VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce))
#define NEEDS_RESET VDISK_NEEDS_RESET
#define FAILED	    VIRTIO_CONFIG_S_FAILED
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK

static struct guest guest;
static uint8_t snapshot[GUEST_SPAN];
static struct shadow shadow;

/* State of the running input. */
static struct driver driver;
static bool running; /* DRIVER_OK is set, and `driver` drives the ring */
static bool quiet;   /* after a reset: memory must stay equal to `snapshot` */
static uint16_t used_idx;
static bool shadowed; /* `shadow` includes all chains offered since it was taken */

/*
 * Tells whether from now on the ring may change by itself, or be overwritten by a request's data.
 */
static void go_wild(bool wild)
{
	driver.wild = wild;
	host_expect_empty_turns(wild);
}

static void check_quiet(void)
{
	if (!quiet)
		return;
	fuzz_must(!memcmp(snapshot, guest.mem, GUEST_SPAN));
	fuzz_must(!vdisk_interrupts() && !vdisk_get(VIRTIO_MMIO_INTERRUPT_STATUS));
}

/* Checks that the status takes only steps of the specification (3.1.1), and only forwards. */
static void set_status(uint32_t value)
{
	uint32_t old = vdisk_get(VIRTIO_MMIO_STATUS), now, steps;

	vdisk_set(VIRTIO_MMIO_STATUS, value);
	now = vdisk_get(VIRTIO_MMIO_STATUS);
	if (!value) {
		fuzz_must(!now);
		fuzz_must(!host_poisoned(guest.mem, GUEST_SPAN));
		fuzz_must(!vdisk_get(VIRTIO_MMIO_INTERRUPT_STATUS) &&
			  !vdisk_get(VIRTIO_MMIO_QUEUE_READY));
		vdisk_interrupts();
		/* After the reset, the memory belongs to the driver again, at once. */
		guest_clear(&guest, 0x5a);
		memcpy(snapshot, guest.mem, GUEST_SPAN);
		running = false;
		shadowed = false;
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

/* Checks that used elements are as many as offered entries, and each head as frequent. */
static void check_used(uint16_t upto)
{
	static unsigned int offered[VDISK_QUEUE_MAX];
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

/* Allows the memory that each chain of this batch may change, before the device sees the batch. */
static void cast_shadow(uint16_t from)
{
	static struct model m;

	shadow_take(&shadow, &guest);
	shadow_allow_used(&shadow, &driver.ring);
	for (; from != driver.avail_idx; from++) {
		uint16_t head = driver.avail->ring[from % driver.ring.size];

		if (head < driver.ring.size && model_walk(&driver, head, &m))
			shadow_allow_chain(&shadow, &m);
	}
	/* The driver itself has written avail.idx in driver_show. */
	memcpy(shadow.before + (driver.ring.avail + 2 - GUEST_LOW), &driver.avail_idx, 2);
}

static void check_shadow(void)
{
	if (shadowed && !driver.wild && !driver.stray)
		shadow_check(&shadow, &guest);
}

/* Returns whether all offered chains are used. */
static bool all_used(void)
{
	if (!driver.ring.packed)
		return LOAD_ACQUIRE(driver.used->idx) == driver.avail_idx;
	while (driver_take(&driver))
		;
	return !driver.outstanding;
}

/* Waits until the device has completed everything, or has set DEVICE_NEEDS_RESET and notified. */
static void settle(void)
{
	bool notified = driver.wild || driver.ring.event_idx ||
			(driver.ring.packed ? !driver.outstanding : used_idx == driver.avail_idx);
	unsigned int attempts = 50; /* for a driver that may have overwritten its own indices */
	time_t end = 0;

	if (!running)
		return;
	vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	while (!all_used()) {
		if (vdisk_get(VIRTIO_MMIO_STATUS) & NEEDS_RESET || (driver.wild && !--attempts)) {
			running = false;
			check_shadow();
			return;
		}
		fuzz_must(vdisk_wait(&end));
	}
	check_shadow();
	if (!driver.wild && !driver.ring.packed)
		check_used(driver.avail_idx);
	while (!notified && !vdisk_interrupts())
		fuzz_must(vdisk_wait(&end));
}

static void offer(struct input *in)
{
	uint16_t from = driver.avail_idx;

	if (!running)
		return;
	/* fuzz_packed checks the writes to a packed ring. */
	shadowed = !driver.ring.packed && from == used_idx;
	if (shadowed) {
		driver.laid_out = 0;
		driver.stray = false;
	}
	for (unsigned int n = 1 + in_below(in, driver.ring.size); n && in->left; n--) {
		uint16_t head = driver_request(&driver, in);

		/* An id is not used twice at a time: the used elements could not be told apart. */
		if (!driver.ring.packed || head >= driver.ring.size || !driver.length[head])
			driver_stage(&driver, head);
	}
	if (shadowed && !driver.wild && !driver.stray)
		cast_shadow(from);
	driver_show(&driver);
	if (in_rarely(in)) {
		vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		/* Changes memory while the dataplane thread works, as another vCPU would. */
		for (unsigned int n = in_u8(in); n && in->left; n--)
			guest.mem[in_u16(in)] ^= in_u8(in);
		go_wild(true);
	}
	if (in_rarely(in)) {
		if (driver.ring.packed)
			driver.packed[in_below(in, driver.ring.size)].flags ^= in_u16(in);
		else
			driver.avail->idx += in_u16(in);
		go_wild(true);
	}
	if (in_rarely(in))
		return; /* a reset may follow with everything in flight */
	settle();
}

/* Initializes the device up to DRIVER_OK as a driver does, with a few mistakes. */
static void bring_up(struct input *in)
{
	struct vring_config ring = { .size = (uint16_t)(1u << in_below(in, 7)),
				     .desc = GUEST_DESC,
				     .avail = GUEST_AVAIL,
				     .used = GUEST_USED };
	uint8_t bits = in_u8(in);
	uint32_t ready;
	bool overlap;

	reset();
	ring.indirect = bits & 1;
	ring.event_idx = bits & 2;
	ring.packed = bits & 8;
	ring.in_order = bits & 16;
	if (ring.packed && bits & 32)
		ring.size = (uint16_t)(ring.size + bits / 64);
	overlap = bits & 32 && (!ring.packed || bits & 4);
	if (overlap)
		guest_overlap_ring(&ring, in);
	set_status(1);
	set_status(3);
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES,
		  in_rarely(in) ? in_u32(in)
				: 1u | (uint32_t)ring.packed << (VIRTIO_F_RING_PACKED - 32) |
					  (uint32_t)ring.in_order << (VIRTIO_F_IN_ORDER - 32));
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	vdisk_set(VIRTIO_MMIO_DRIVER_FEATURES,
		  (ring.indirect ? 1u << VIRTIO_RING_F_INDIRECT_DESC : 0) |
			  (ring.event_idx ? 1u << VIRTIO_RING_F_EVENT_IDX : 0) |
			  (bits & 4 ? 0 : VDISK_FEATURES(vdisk->dev)) |
			  (in_rarely(in) ? in_u32(in) : 0));
	set_status(11);
	vdisk_set(VIRTIO_MMIO_QUEUE_SEL, in_rarely(in) ? in_u32(in) : 0);
	vdisk_set(VIRTIO_MMIO_QUEUE_NUM, in_rarely(in) ? in_u32(in) : ring.size);
	vdisk_set_address(VIRTIO_MMIO_QUEUE_DESC_LOW, in_rarely(in) ? in_u64(in) : ring.desc);
	vdisk_set_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW,
			  in_rarely(in) ? GUEST_HIGH - in_u8(in) : ring.avail);
	vdisk_set_address(VIRTIO_MMIO_QUEUE_USED_LOW,
			  in_rarely(in) ? GUEST_TOP - in_u8(in) : ring.used);
	vdisk_set(VIRTIO_MMIO_QUEUE_READY, 1);
	ready = vdisk_get(VIRTIO_MMIO_QUEUE_READY);
	fuzz_must(ready <= 1);
	/* `driver` drives the ring that the device has accepted (dev->queue). */
	ring.size = (uint16_t)vdisk->dev->queue[0].size;
	ring.desc = vdisk->dev->queue[0].desc;
	ring.avail = vdisk->dev->queue[0].avail;
	ring.used = vdisk->dev->queue[0].used;
	ring.packed = vdisk->dev->accepted >> VIRTIO_F_RING_PACKED & 1;
	if (ready) {
		uint64_t avail = ring.packed ? 4 : 6 + 2ull * ring.size;
		uint64_t used = ring.packed ? 4 : 6 + 8ull * ring.size;

		fuzz_must(ring.size <= VDISK_QUEUE_MAX &&
			  guest_pieces(ring.desc, 16ull * ring.size) == 1 &&
			  guest_pieces(ring.avail, avail) == 1 &&
			  guest_pieces(ring.used, used) == 1);
		driver_init(&driver, &guest, &ring, VDISK_SIZE / 512);
		driver.ring.indirect = vdisk->dev->accepted >> VIRTIO_RING_F_INDIRECT_DESC & 1;
		driver.ring.event_idx = vdisk->dev->accepted >> VIRTIO_RING_F_EVENT_IDX & 1;
		/* Buffers may overlap a ring at another place. */
		go_wild(ring.desc != GUEST_DESC || ring.avail != GUEST_AVAIL ||
			ring.used != GUEST_USED);
		/*
		 * These chains are in the ring before the device first reads it: later it has moved
		 * the indices.
		 */
		for (unsigned int n = overlap ? 1 + in_below(in, ring.size) : 0; n; n--)
			driver_stage(&driver, driver_request(&driver, in));
		if (overlap)
			driver_show(&driver);
		memcpy(snapshot, guest.mem, GUEST_SPAN);
	}
	check_quiet();
	set_status(15);
	used_idx = 0;
	running = ready && vdisk_get(VIRTIO_MMIO_STATUS) == 15;
}

/* Changes the write cache while requests are in flight. */
static void change_cache(struct input *in)
{
	const uint64_t accepted = vdisk->dev->accepted;
	bool may = vdisk_get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK &&
		   accepted >> VIRTIO_BLK_F_CONFIG_WCE & 1;
	uint8_t value = in_u8(in), before;

	virtio_mmio_read(&vdisk->mmio, WCE, &before, 1);
	fuzz_must(vdisk_toggle_cache(value) == (may ? value & 1 : before));
}

/* Makes one access that no correct driver makes. */
static void stray_access(struct input *in)
{
	static const uint16_t near[] = { 0,    0x10, 0x14, 0x20, 0x24, 0x30, 0x38, 0x44,  0x50,
					 0x60, 0x64, 0x70, 0x80, 0x90, 0xa0, 0xfc, 0x100, WCE };
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
		struct virtio_queue queue = vdisk->dev->queue[0];
		uint32_t status = vdisk_get(VIRTIO_MMIO_STATUS);

		virtio_mmio_write(&vdisk->mmio, offset, data, len);
		/* The queue is frozen (4.2.2.2), unless the access was a reset. */
		if (status & DRIVER_OK && vdisk_get(VIRTIO_MMIO_STATUS) & DRIVER_OK)
			fuzz_must(!memcmp(&queue, &vdisk->dev->queue[0], sizeof(queue)));
		return;
	}
	memset(data, 0x5a, sizeof(data));
	virtio_mmio_read(&vdisk->mmio, offset, data, len);
	if (offset < VIRTIO_MMIO_CONFIG && (len != 4 || offset % 4))
		for (unsigned int i = 0; i < len; i++)
			fuzz_must(!data[i]);
	for (unsigned int i = len; i < sizeof(data); i++)
		fuzz_must(data[i] == 0x5a);
}

static void step(struct input *in)
{
	switch (in_below(in, 11)) {
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
		vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, in_rarely(in) ? in_u32(in) : 0);
		check_quiet();
		break;
	case 7:
		vdisk_set(VIRTIO_MMIO_INTERRUPT_ACK, in_u8(in));
		break;
	case 8:
		set_status(in_u8(in) & 0xcf);
		break;
	case 9:
		reset();
		break;
	case 10:
		change_cache(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned int kind;
	uint32_t faults;

	if (!guest.mem) {
		guest_create(&guest);
		vdisk_create(&guest);
	}
	kind = in_below(&in, VDISK_COUNT);
	faults = in_u8(&in) >= 0xc0 ? in_u32(&in) : 0;
	vdisk_choose(kind, faults, NULL);
	quiet = false;
	set_status(0);
	bring_up(&in);
	for (unsigned int i = 0; i < STEPS && in.left; i++)
		step(&in);
	settle();
	reset();
	check_quiet();
	vdisk_check();
	return 0;
}
