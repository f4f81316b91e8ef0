/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile second CPU, which interferes while the first uses the device: rows 15 to 17, 26 to 28
 * (tests/rows).
 */
#include "guest/bare/hostile.h"

/* ---- 15: changing memory that the device is about to read ---- */

/* A word that alternates between a valid and an invalid value. */
struct scribble {
	volatile uint64_t *at;
	uint64_t good, bad;
};

static void scribble(void *arg)
{
	const struct scribble *s = arg;

	while (!work_stopped()) {
		*s->at = s->bad;
		for (unsigned int i = 0; i < 5; i++)
			arch_relax();
		*s->at = s->good;
		for (unsigned int i = 0; i < 5; i++)
			arch_relax();
	}
}

/* Packed ring: it holds a single chain, so the descriptor in the ring is the one to change. */
static volatile uint64_t *buffer_address(const struct request *r)
{
	struct vring_desc *own = &d.ring.desc[r->head + 1];

	if (!d.ring.packed)
		return (volatile uint64_t *)&own->addr;
	d.ring.packed[1].addr = own->addr;
	return (volatile uint64_t *)&d.ring.packed[1].addr;
}

static volatile uint64_t *header_sector(const struct request *r)
{
	return (volatile uint64_t *)&r->header->sector;
}

/*
 * Reads continue while a word alternates. Each read is judged by one of the values: by the good one
 * it succeeds; by the bad one its status is `refused` or, if there is no such status, the queue
 * breaks and DEVICE_NEEDS_RESET is set.
 */
static void read_while_flipping(volatile uint64_t *(*word)(const struct request *), uint64_t bad,
				uint8_t refused)
{
	uint8_t *expected = page_alloc(SECTOR);
	struct scribble s = { .bad = bad };
	struct request r;

	begin(16, 0);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 0, expected, SECTOR) == VIRTIO_BLK_S_OK);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	for (unsigned int i = 0; i < rounds(1000); i++) {
		struct vring_used_elem elem;
		bool used = false;

		if (i == 0 || status(&d) != STATUS_RUNNING) {
			if (i)
				work_end();
			device_start(&d, d.ring.packed ? 3 : 16, d.features);
			request_chain(&d, &r);
			s.at = word(&r);
			s.good = *s.at;
			work_begin(scribble, &s);
		}
		*r.status = NO_STATUS;
		memset(r.data, 0xee, SECTOR);
		offer(&d, r.head);
		wait_until((used = ring_used(&d, &elem)) || status(&d) != STATUS_RUNNING);
		if (!used)
			continue;
		check(elem.id == r.head);
		if (*r.status == VIRTIO_BLK_S_OK)
			check(elem.len == r.len + 1 && !memcmp(r.data, expected, SECTOR));
		else
			check(*r.status == refused && refused != NO_STATUS && elem.len == 0);
	}
	work_end();
	device_check_alive(&d);
}

TEST(row15_buffer_address_flips_while_read)
{
	read_while_flipping(buffer_address, 0x7ffffffffffff000ull, NO_STATUS);
}

/*
 * The bad value is the first sector beyond the disk, for which the host would return zeros, not an
 * error.
 */
TEST(row15_header_flips_while_read)
{
	read_while_flipping(header_sector,
			    parse_number(option("sectors=", 0), &(const char *){ NULL }),
			    VIRTIO_BLK_S_IOERR);
}

/*
 * Fills the ring and its descriptors with noise. Addresses change only within their page or to
 * places without RAM, and lengths only to ones that reach beyond RAM: the device writes where it is
 * told to, and must not be told to overwrite this program.
 */
static void noise(void *arg)
{
	struct device *device = arg;
	const struct ring *ring = &device->ring;
	/* Packed ring: the driver's event suppression area instead of the avail ring. */
	volatile uint16_t *avail = ring->packed ? (volatile uint16_t *)ring->driver_event
						: (volatile uint16_t *)ring->avail;
	volatile uint64_t *table =
		ring->packed ? (volatile uint64_t *)ring->packed : (volatile uint64_t *)ring->desc;
	uint64_t x = 88172645463325252ull;

	while (!work_stopped()) {
		unsigned int word, bit;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		word = x >> 8 & 31;
		bit = x >> 16 & 63;
		if (x & 1)
			avail[x >> 24 & 15] = (uint16_t)(x >> 32 & 31);
		else if (word % 2 ? bit >= 31 && (bit < 35 || bit >= 48) : bit < 12 || bit > 32)
			table[word] ^= 1ull << bit;
	}
}

TEST(row15_ring_full_of_noise)
{
	for (unsigned int round = 0; round < rounds(100); round++) {
		struct request r;

		begin(16, INDIRECTION | EVENT_IDX);
		request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
		page_alloc(PAGE); /* for buffers moved up inside their page */
		work_begin(noise, &d);
		for (unsigned int i = 0; i < 50; i++) {
			d.ring.next_desc = 0;
			request_chain(&d, &r);
			offer(&d, r.head);
		}
		work_end();
	}
	device_check_alive(&d);
}

/* ---- 16: notification hints ---- */

static void flip_hints(void *arg)
{
	struct device *device = arg;
	uint16_t x = 0;

	while (!work_stopped()) {
		ring_set_used_event(device, x);
		__atomic_store_n(&device->ring.avail->flags, (uint16_t)(x * 40503u),
				 __ATOMIC_RELAXED);
		x++;
	}
}

TEST(row16_used_event_and_flags_flip)
{
	unsigned int count = rounds(5000);
	struct request r;

	device_find(&d, 0);
	device_start(&d, 16, EVENT_IDX);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	work_begin(flip_hints, &d);
	for (unsigned int i = 0; i < count; i++) {
		check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
		*r.status = NO_STATUS;
	}
	work_end();
	check(ring_used_index(&d) == count);
	check(status(&d) == STATUS_RUNNING);
}

/* ---- 28: a flood of acknowledgements, with writes that KVM coalesces until the next exit ---- */

static void acknowledge_loop(void *arg)
{
	const struct device *device = arg;

	while (!work_stopped())
		reg_write(device, VIRTIO_MMIO_INTERRUPT_ACK, 0xffffffff);
}

TEST(row28_acknowledgements_in_a_flood)
{
	struct request r;

	device_find(&d, 0);
	device_start(&d, 8, 0);
	d.ring.avail->flags = 0;
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	work_begin(acknowledge_loop, &d);
	for (unsigned int i = 0; i < rounds(1000); i++) {
		check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
		/* Acknowledging does not clear the bit. */
		wait_until(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING);
		/* These writes keep their order among those of the other CPU. */
		reg_write(&d, VIRTIO_MMIO_QUEUE_SEL, 0xffff);
		check(reg_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) == 0);
		reg_write(&d, VIRTIO_MMIO_QUEUE_SEL, 0);
		check(reg_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) == QUEUE_MAX);
	}
	work_end();
	device_check_alive(&d);
}

/* ---- 26 and 27: two CPUs write the registers ---- */

static void reset_loop(void *arg)
{
	struct device *device = arg;

	while (!work_stopped()) {
		reg_write(device, VIRTIO_MMIO_STATUS, 0);
		reg_write(device, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		reg_write(device, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	}
}

static void kick_loop(void *arg)
{
	const struct device *device = arg;

	while (!work_stopped())
		kick(device);
}

/* Starts the device while the other CPU resets it: any step may fail, but the host must survive. */
static void start_carelessly(const struct ring *ring)
{
	reg_write(&d, VIRTIO_MMIO_STATUS, 0);
	reg_write(&d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(d.features >> 32));
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_FEATURES_OK);
	if (ring->packed)
		device_set_queue(&d, ring->size, (uintptr_t)ring->packed,
				 (uintptr_t)ring->driver_event, (uintptr_t)ring->device_event);
	else
		device_set_queue(&d, ring->size, (uintptr_t)ring->desc, (uintptr_t)ring->avail,
				 (uintptr_t)ring->used);
	reg_write(&d, VIRTIO_MMIO_STATUS, STATUS_RUNNING);
	kick(&d);
}

TEST(row27_resets_from_two_cpus_under_kicks)
{
	struct request r[4];

	begin(16, 0);
	for (unsigned int i = 0; i < 4; i++) {
		request_init(&r[i], VIRTIO_BLK_T_IN, 8 * i, PAGE);
		request_chain(&d, &r[i]);
		ring_stage(&d, r[i].head);
	}
	ring_show(&d);
	work_begin(reset_loop, &d);
	for (unsigned int i = 0; i < rounds(300); i++)
		start_carelessly(&d.ring);
	work_end();
	device_check_alive(&d);
}

TEST(row26_resets_while_the_other_kicks)
{
	begin(16, 0);
	work_begin(kick_loop, &d);
	for (unsigned int round = 0; round < rounds(200); round++) {
		struct request r[4];

		device_start(&d, 16, d.features);
		for (unsigned int i = 0; i < 4; i++) {
			request_init(&r[i], VIRTIO_BLK_T_IN, 8 * i, PAGE);
			request_chain(&d, &r[i]);
			ring_stage(&d, r[i].head);
		}
		ring_show(&d);
		device_reset(&d);
		for (unsigned int i = 0; i < 4; i++)
			memset(r[i].data, 0x5a, PAGE);
		for (unsigned int i = 0; i < 4; i++)
			check(all_bytes(r[i].data, 0x5a, PAGE));
		check(status(&d) == 0);
	}
	work_end();
	device_check_alive(&d);
}

/* A ring of four that the other CPU keeps full: a reset still takes effect. */
static unsigned int refilled; /* number of refills; atomic */

static void refill_split(struct ring *ring)
{
	uint16_t idx = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);

	__atomic_store_n(&ring->avail->idx, (uint16_t)(idx + 4), __ATOMIC_RELEASE);
	__atomic_fetch_add(&refilled, (uint16_t)(idx - ring->used_idx), __ATOMIC_RELAXED);
	ring->used_idx = idx;
}

/*
 * Makes the descriptor at `take` available again after its use: only length and flags have changed.
 */
static void refill_packed(struct ring *ring)
{
	struct vring_packed_desc *at = &ring->packed[ring->take.at];
	uint16_t flags = __atomic_load_n(&at->flags, __ATOMIC_ACQUIRE);
	uint16_t both = PACKED_AVAIL | PACKED_USED;

	if ((flags & both) != (ring->take.wrap ? both : 0))
		return;
	at->len = 3 * sizeof(*at);
	flags = INDIRECT | (ring->take.wrap ? PACKED_USED : PACKED_AVAIL);
	__atomic_store_n(&at->flags, flags, __ATOMIC_RELEASE);
	ring->take.at = (uint16_t)((ring->take.at + 1) % ring->size);
	ring->take.wrap ^= !ring->take.at;
	__atomic_fetch_add(&refilled, 1, __ATOMIC_RELAXED);
}

static void refill(void *arg)
{
	struct device *device = arg;

	while (!work_stopped()) {
		if (device->ring.packed)
			refill_packed(&device->ring);
		else
			refill_split(&device->ring);
		kick(device);
	}
}

TEST(row17_stop_is_heeded_under_a_flood)
{
	struct request r[4];

	begin(4, INDIRECTION);
	for (unsigned int round = 0; round < rounds(100); round++) {
		device_start(&d, 4, d.features);
		for (unsigned int i = 0; i < 4; i++) {
			struct piece piece[3];

			request_init(&r[i], VIRTIO_BLK_T_GET_ID, 0, 20);
			piece[0] = (struct piece){ (uintptr_t)r[i].header, 16, false };
			piece[1] = (struct piece){ (uintptr_t)r[i].data, 20, true };
			piece[2] = (struct piece){ (uintptr_t)r[i].status, 1, true };
			ring_stage(&d, chain_indirect(&d, NULL, piece, 3));
		}
		ring_show(&d);
		refilled = 0;
		work_begin(refill, &d);
		wait_until(__atomic_load_n(&refilled, __ATOMIC_RELAXED) > 50 ||
			   status(&d) != STATUS_RUNNING);
		check(status(&d) == STATUS_RUNNING);
		device_reset(&d);
		work_end();
	}
	device_check_alive(&d);
}
