/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of a whole virtio-blk device as in fuzz_device, with a ring of either format, while a
 * second thread rewrites guest memory: descriptors, indirect tables, headers, indices, entries,
 * used ring, events, data. The input chooses places, values and speed. The two threads synchronise
 * when a case begins and ends, but not in between. A well-behaved part of the guest keeps offering,
 * kicking and resetting.
 *
 * The guest's own data may be wrong. The invariants are those of host.h, and: a reset ends, and no
 * access follows it; a valid request is then served; image, canaries, threads and descriptors are
 * as before.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/fuzz/entries.h"
#include "tests/fuzz/vdisk.h"

#define POKES_MAX 12
#define STEPS	  12

/* A place that alternates between two values. */
struct poke {
	void *at;
	unsigned int size; /* 2, 4, 8 */
	uint64_t a, b;
};

static struct guest guest;
static struct driver driver;
static struct vring_config ring;
static uint8_t snapshot[GUEST_SPAN];
static unsigned int threads, fds;

/* Set before the second thread is started, and unchanged until it has reported that it stopped. */
static struct {
	struct poke poke[POKES_MAX];
	unsigned int count;
	unsigned int pause; /* between two pokes */
	bool refill;	    /* offer completed chains again at once */
	bool stop;
	sem_t go, stopped;
} vcpu;

/* ---- the second vCPU ---- */

/* Unaligned words: headers and indirect tables may be anywhere. */
struct any16 {
	uint16_t v;
} __attribute__((packed));
struct any32 {
	uint32_t v;
} __attribute__((packed));
struct any64 {
	uint64_t v;
} __attribute__((packed));

static void poke(const struct poke *p, uint64_t value)
{
	switch (p->size) {
	case 2:
		((volatile struct any16 *)p->at)->v = (uint16_t)value;
		break;
	case 4:
		((volatile struct any32 *)p->at)->v = (uint32_t)value;
		break;
	case 8:
		((volatile struct any64 *)p->at)->v = value;
		break;
	}
	for (unsigned int i = vcpu.pause; i; i--)
		__asm__ volatile("" : : : "memory");
}

/*
 * Keeps the ring full: the device writes used elements long before it publishes them, so a guest
 * that polls the elements instead of the index can offer their chains again early.
 */
static void refill(uint16_t *next)
{
	/* Inverts the availability of each descriptor, for its round or the one before. */
	for (unsigned int n = ring.packed ? ring.size : 0; n; n--)
		driver.packed[n - 1].flags ^= PLACE_AVAIL | PLACE_USED;
	if (ring.packed)
		return;
	for (unsigned int n = ring.size; n; n--) {
		uint32_t *id = &driver.used->ring[*next % ring.size].id;

		if (READ_ONCE(*id) == UINT32_MAX)
			return;
		WRITE_ONCE(*id, UINT32_MAX);
		(*next)++;
		STORE_RELEASE(driver.avail->idx, (uint16_t)(driver.avail->idx + 1));
	}
}

static void *vcpu_main(void *arg)
{
	for (;;) {
		unsigned int rounds = 0;
		uint16_t next = 0;

		sem_wait(&vcpu.go);
		while (!LOAD_ACQUIRE(vcpu.stop)) {
			for (unsigned int i = 0; i < vcpu.count; i++)
				poke(&vcpu.poke[i], vcpu.poke[i].a);
			if (vcpu.refill)
				refill(&next);
			for (unsigned int i = 0; i < vcpu.count; i++)
				poke(&vcpu.poke[i], vcpu.poke[i].b);
			/* On a busy machine, the other threads have to make progress, too. */
			if (!(++rounds % 256))
				sched_yield();
		}
		sem_post(&vcpu.stopped);
	}
	return arg;
}

/*
 * Makes the same changes on the dataplane thread, directly after it has read a descriptor: a race
 * that the guest always wins.
 */
static void just_now(void)
{
	static unsigned int n;

	if (vcpu.count) {
		const struct poke *p = &vcpu.poke[n++ / 2 % vcpu.count];

		poke(p, n % 2 ? p->a : p->b);
	}
}

static void nothing(void)
{
}

static void vcpu_go(void)
{
	vcpu.stop = false;
	sem_post(&vcpu.go);
}

static void vcpu_stop(void)
{
	STORE_RELEASE(vcpu.stop, true);
	while (sem_wait(&vcpu.stopped))
		;
}

/* ---- places and values ---- */

static uint64_t read_value(const void *at, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

/* Adds a place that alternates between its current value and another one. */
static void add_poke(uint64_t gpa, unsigned int size, uint64_t value)
{
	struct poke *p = &vcpu.poke[vcpu.count++];

	*p = (struct poke){ .at = guest_ptr(&guest, gpa), .size = size, .a = value };
	p->b = read_value(p->at, size);
}

/* Adds a field of a descriptor, with an invalid or a different value. */
static void poke_descriptor(uint64_t gpa, struct input *in)
{
	static const uint64_t addresses[] = { GUEST_HOLE - 8,  GUEST_TOP - 8, GUEST_HIGH - 8,
					      GUEST_DESC,      GUEST_USED,    0,
					      UINT64_MAX - 15, GUEST_FAR };
	static const uint32_t lengths[] = { 0,	  1,	 16,	     512,	 4096,
					    8192, 65536, 0xffffffff, 0x80000000, 0xfffff000 };

	switch (in_below(in, 4)) {
	case 0:
		add_poke(gpa, 8,
			 in_rarely(in) ? in_u64(in)
				       : addresses[in_below(in, ARRAY_SIZE(addresses))]);
		break;
	case 1:
		add_poke(gpa + 8, 4,
			 in_rarely(in) ? in_u32(in) : lengths[in_below(in, ARRAY_SIZE(lengths))]);
		break;
	case 2: /* flags; packed: AVAIL and USED, too */
		add_poke(gpa + (ring.packed ? 14 : 12), 2,
			 (in_u8(in) &
			  7) | (ring.packed ? in_u8(in) * 0x80u & (PLACE_AVAIL | PLACE_USED) : 0));
		break;
	case 3: /* next or id */
		add_poke(gpa + (ring.packed ? 12 : 14), 2,
			 in_rarely(in) ? in_u16(in) : in_below(in, 64));
		break;
	}
}

/* Adds the type or sector of a request. */
static void poke_header(struct input *in)
{
	static const uint64_t sectors[] = {
		VDISK_SIZE / 512, VDISK_SIZE / 512 - 1, 1ull << 54, UINT64_MAX, 0, 8
	};
	uint64_t gpa = driver.header[in_below(in, ARRAY_SIZE(driver.header))];

	if (!gpa)
		return;
	if (in_below(in, 3))
		add_poke(gpa + 8, 8, sectors[in_below(in, ARRAY_SIZE(sectors))]);
	else
		add_poke(gpa, 4, in_below(in, 16));
}

static void choose_poke(struct input *in)
{
	uint64_t gpa = GUEST_DESC + 16ull * in_below(in, ring.size);
	struct vring_desc d;

	switch (in_below(in, 8)) {
	case 0:
	case 1:
		poke_descriptor(gpa, in);
		break;
	case 2: /* of an indirect table, if it refers to one */
		memcpy(&d, guest_ptr(&guest, gpa), sizeof(d));
		if ((ring.packed ? d.next : d.flags) & VRING_DESC_F_INDIRECT && d.len >= 16 &&
		    guest_pieces(d.addr, d.len))
			poke_descriptor(d.addr + in_below(in, d.len / 16 % 256 + 1) * 16ull % d.len,
					in);
		break;
	case 3:
	case 4:
		poke_header(in);
		break;
	case 5: /* an entry, the index, flags or used_event; or the driver's event */
		add_poke(GUEST_AVAIL + 2ull * in_below(in, ring.size + 3u), 2,
			 in_rarely(in) ? in_u16(in) : in_below(in, 2 * ring.size));
		break;
	case 6: /* the used ring */
		add_poke(GUEST_USED + 4ull * in_below(in, 2 * ring.size + 1u), 4, in_u32(in));
		break;
	case 7: /* anything */
		add_poke(GUEST_HEAP + in_u16(in) % (GUEST_HOLE - GUEST_HEAP - 8), 8, in_u64(in));
		break;
	}
}

/* ---- the first vCPU ---- */

/* Both sides start at the beginning of the ring. */
static void begin_again(void)
{
	driver.avail_idx = 0;
	driver.put = (struct place){ .at = 0, .wrap = true };
	if (!ring.packed)
		memset(driver.used->ring, 0xff, 8ul * ring.size);
}

/* Offers the contents of the ring once more. */
static void offer_again(unsigned int count)
{
	driver.avail_idx += (uint16_t)count;
	for (unsigned int n = ring.packed ? count : 0; n; n--) {
		uint16_t *flags = &driver.packed[driver.put.at].flags;

		STORE_RELEASE(*flags, (*flags & (uint16_t) ~(PLACE_AVAIL | PLACE_USED)) |
					      (driver.put.wrap ? PLACE_AVAIL : PLACE_USED));
		place_advance(&driver.put, ring.size, 1);
	}
}

static void offer(struct input *in)
{
	for (unsigned int n = 1 + in_below(in, ring.size); n; n--)
		driver_stage(&driver, driver_request(&driver, in));
}

static void bring_up(struct input *in)
{
	uint8_t bits = in_u8(in);
	bool overlap = bits >> 6 == 3;

	ring = (struct vring_config){ .size = (uint16_t)(8u << bits % 4),
				      .desc = GUEST_DESC,
				      .avail = GUEST_AVAIL,
				      .used = GUEST_USED,
				      .event_idx = bits & 4,
				      .indirect = !(bits & 8) };
	ring.packed = bits & 16;
	ring.in_order = bits & 32;
	if (overlap)
		guest_overlap_ring(&ring, in);
	driver_init(&driver, &guest, &ring, VDISK_SIZE / 512);
	begin_again();
	/*
	 * These chains are in the ring before the device first reads it: later it has moved the
	 * indices.
	 */
	if (overlap) {
		offer(in);
		driver_show(&driver);
	}
	vdisk_bring_up(&ring);
}

/* Waits a while for the device; progress is not required. */
static void give_way(unsigned int times)
{
	while (times-- && (ring.packed || LOAD_ACQUIRE(driver.used->idx) != driver.avail_idx) &&
	       !(vdisk_get(VIRTIO_MMIO_STATUS) & VDISK_NEEDS_RESET))
		sched_yield();
}

static void step(struct input *in)
{
	switch (in_below(in, 8)) {
	case 0:
	case 1:
	case 2:
		offer_again(1 + in_below(in, ring.size));
		driver_show(&driver);
		vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		give_way(64);
		break;
	case 3:
		offer(in);
		driver_show(&driver);
		vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		break;
	case 4:
		vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		give_way(in_u8(in));
		break;
	case 5:
		vdisk_set(VIRTIO_MMIO_INTERRUPT_ACK, vdisk_get(VIRTIO_MMIO_INTERRUPT_STATUS));
		vdisk_toggle_cache(in_u8(in));
		break;
	case 6:
	case 7: /* a reset with requests in flight, or of a broken ring */
		give_way(in_u8(in) & 15);
		vdisk_set(VIRTIO_MMIO_STATUS, 0);
		fuzz_must(!vdisk_get(VIRTIO_MMIO_STATUS));
		vdisk_bring_up(&ring);
		/* The driver offers its requests again, from the first one on. */
		begin_again();
		break;
	}
}

/* Checks that after a reset the memory belongs to the driver at once. */
static void check_reset(void)
{
	vdisk_set(VIRTIO_MMIO_STATUS, 0);
	memcpy(snapshot, guest.mem, sizeof(snapshot));
	vdisk_interrupts();
	fuzz_must(!vdisk_get(VIRTIO_MMIO_STATUS) && !vdisk_get(VIRTIO_MMIO_INTERRUPT_STATUS));
	vdisk_check();
	fuzz_must(!memcmp(snapshot, guest.mem, sizeof(snapshot)) && !vdisk_interrupts());
}

static void check_resources(void)
{
	time_t end = 0;

	fuzz_must(count_entries("/proc/self/fd") == fds);
	/*
	 * A joined thread may be listed for another moment. Each disk has a helper thread from its
	 * first discard on.
	 */
	while (count_entries("/proc/self/task") > threads + VDISK_COUNT)
		fuzz_must(vdisk_wait(&end));
}

static void set_up(void)
{
	pthread_t thread;

	guest_create(&guest);
	vdisk_create(&guest);
	fuzz_must(!sem_init(&vcpu.go, 0, 0) && !sem_init(&vcpu.stopped, 0, 0));
	fuzz_must(!pthread_create(&thread, NULL, vcpu_main, NULL));
	/* Engines are created on first use. */
	for (unsigned int i = 0; i < VDISK_COUNT; i++) {
		vdisk_choose(i, 0, nothing);
		vdisk_check_alive();
	}
	threads = count_entries("/proc/self/task");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned int kind;
	uint32_t faults;
	uint8_t how;

	if (!guest.mem)
		set_up();
	kind = in_below(&in, VDISK_COUNT);
	faults = in_u8(&in) >= 0xc0 ? in_u32(&in) : 0;
	how = in_u8(&in);
	vdisk_choose(kind, faults, just_now);
	fds = count_entries("/proc/self/fd"); /* now: the fuzzer opens files between cases */
	guest_clear(&guest, 0);
	bring_up(&in);
	offer(&in);
	vcpu.count = 0;
	vcpu.pause = how & 0x70;
	vcpu.refill = how & 0x80;
	for (unsigned int n = how % 8; n; n--)
		choose_poke(&in);

	vcpu_go();
	driver_show(&driver);
	vdisk_set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	give_way(64);
	for (unsigned int i = 0; i < STEPS && in.left; i++)
		step(&in);
	/* The reset happens while the other thread still runs, as with a guest's second vCPU. */
	vdisk_set(VIRTIO_MMIO_STATUS, 0);
	vcpu_stop();

	check_reset();
	vdisk_choose(kind, 0, nothing);
	vdisk_check_alive();
	check_resources();
	return 0;
}
