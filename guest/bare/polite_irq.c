/* SPDX-License-Identifier: BSD-3-Clause */
/* A correct driver's notifications: interrupts, and kicks only when the device asks for them. */
#include "guest/bare/virtio.h"

static struct device d, second;

static uint64_t irqs(unsigned int slot)
{
	return __atomic_load_n(&irq_count[slot], __ATOMIC_ACQUIRE);
}

static void begin(uint64_t features)
{
	device_find(&d, 0);
	irq_attach(0, d.gsi);
	device_start(&d, 16, features);
	irqs_on();
}

/*
 * One request: its interrupt arrives, and is identified and acknowledged. The status bit stays set
 * (irqline.h).
 */
static void one_with_interrupt(struct device *device, unsigned int slot, uint64_t sector)
{
	uint64_t before = irqs(slot);
	struct vring_used_elem elem;
	struct request r;

	request_init(&r, VIRTIO_BLK_T_IN, sector, SECTOR);
	device->ring.next_desc = 0;
	request_chain(device, &r);
	offer(device, r.head);
	wait_until(irqs(slot) != before);
	check(reg_read(device, VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING);
	reg_write(device, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	check(ring_used(device, &elem) && elem.id == r.head);
	check(*r.status == VIRTIO_BLK_S_OK);
	check(reg_read(device, VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING);
	check(irqs(slot) == before + 1);
}

TEST(interrupt_for_each_request_without_event_idx)
{
	begin(0);
	d.ring.avail->flags = 0;
	for (unsigned int i = 0; i < rounds(200); i++)
		one_with_interrupt(&d, 0, i);
}

TEST(interrupt_for_each_request_with_event_idx)
{
	begin(EVENT_IDX);
	for (unsigned int i = 0; i < rounds(200); i++) {
		ring_set_used_event(&d, d.ring.used_idx);
		one_with_interrupt(&d, 0, i);
	}
}

TEST(no_interrupt_when_the_flag_says_so)
{
	uint64_t before;
	uint8_t *data = page_alloc(PAGE);

	begin(0);
	before = irqs(0);
	for (unsigned int i = 0; i < rounds(200); i++)
		check(blk_do(&d, VIRTIO_BLK_T_IN, i, data, SECTOR) == VIRTIO_BLK_S_OK);
	d.ring.avail->flags = 0;
	one_with_interrupt(&d, 0, 0);
	check(irqs(0) == before + 1);
}

/* used_event is ten ahead: only the tenth completion interrupts. */
TEST(interrupt_when_used_event_is_crossed)
{
	uint8_t *data = page_alloc(PAGE);

	begin(EVENT_IDX);
	for (unsigned int round = 0; round < 20; round++) {
		uint64_t before = irqs(0);

		ring_set_used_event(&d, (uint16_t)(d.ring.used_idx + 9));
		for (unsigned int i = 0; i < 9; i++)
			check(blk_do(&d, VIRTIO_BLK_T_IN, i, data, SECTOR) == VIRTIO_BLK_S_OK);
		check(irqs(0) == before);
		one_with_interrupt(&d, 0, 0);
	}
}

/* A batch causes one or a few interrupts, not one for each element, and always one for its last. */
TEST(interrupts_of_a_batch)
{
	enum { COUNT = 5, ROUNDS = 100 };
	struct vring_used_elem elem;
	struct request r[COUNT];
	uint64_t begun;

	begin(0);
	d.ring.avail->flags = 0;
	begun = irqs(0);
	for (unsigned int i = 0; i < COUNT; i++) {
		request_init(&r[i], VIRTIO_BLK_T_GET_ID, 0, 20);
		request_chain(&d, &r[i]);
	}
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t before;

		for (unsigned int i = 0; i < COUNT; i++)
			ring_stage(&d, r[i].head);
		ring_show(&d);
		kick(&d);
		for (unsigned int taken = 0; taken < COUNT;) {
			before = irqs(0);
			reg_write(&d, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
			while (ring_used(&d, &elem))
				taken++;
			if (taken < COUNT)
				wait_until(irqs(0) != before);
		}
	}
	check(irqs(0) - begun <= (uint64_t)COUNT * ROUNDS);
}

/* 2.7.10: a device that is kicked only when it asks misses no request. */
TEST(kick_only_when_avail_event_asks)
{
	struct vring_used_elem elem;
	struct request r;
	unsigned int kicks = 0;

	begin(EVENT_IDX);
	request_init(&r, VIRTIO_BLK_T_GET_ID, 0, 20);
	request_chain(&d, &r);
	for (unsigned int i = 0; i < rounds(20000); i++) {
		uint16_t old = d.ring.avail_idx;

		ring_stage(&d, r.head);
		ring_show(&d);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (vring_need_event(ring_avail_event(&d), d.ring.avail_idx, old)) {
			kick(&d);
			kicks++;
		}
		ring_wait_used(&d, &elem);
		ring_set_used_event(&d, (uint16_t)(d.ring.used_idx + 0x8000));
	}
	check(kicks > 0);
}

TEST(kick_only_when_the_flag_allows)
{
	struct vring_used_elem elem;
	struct request r;

	begin(0);
	request_init(&r, VIRTIO_BLK_T_GET_ID, 0, 20);
	request_chain(&d, &r);
	for (unsigned int i = 0; i < rounds(5000); i++) {
		ring_stage(&d, r.head);
		ring_show(&d);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!(__atomic_load_n(&d.ring.used->flags, __ATOMIC_SEQ_CST) &
		      VRING_USED_F_NO_NOTIFY))
			kick(&d);
		ring_wait_used(&d, &elem);
	}
}

/* ---- two disks, two CPUs ---- */

TEST(two_disks_with_interrupts_of_their_own)
{
	device_find(&second, 1);
	begin(0);
	irq_attach(1, second.gsi);
	device_start(&second, 16, 0);
	d.ring.avail->flags = second.ring.avail->flags = 0;
	for (unsigned int i = 0; i < 50; i++) {
		uint64_t others = irqs(1);

		one_with_interrupt(&d, 0, i);
		check(irqs(1) == others);
		others = irqs(0);
		one_with_interrupt(&second, 1, i);
		check(irqs(0) == others);
	}
	device_reset(&second);
}

/* Work of the second CPU: requests for its own disk. */
struct second_work {
	struct request r;
	unsigned int requests;
	bool good;
};

static void use_second(void *arg)
{
	struct second_work *work = arg;
	struct vring_used_elem elem;

	for (unsigned int i = 0; i < work->requests; i++) {
		*work->r.status = NO_STATUS;
		offer(&second, work->r.head);
		while (!ring_used(&second, &elem))
			if (work_stopped())
				return;
		if (*work->r.status != VIRTIO_BLK_S_OK || elem.id != work->r.head)
			return;
	}
	work->good = true;
}

TEST(two_cpus_use_a_disk_each)
{
	struct second_work work = { .requests = rounds(5000) };
	struct request r;
	unsigned int done = 0;

	device_find(&second, 1);
	begin(0);
	device_start(&second, 16, 0);
	request_init(&work.r, VIRTIO_BLK_T_IN, 0, PAGE);
	request_chain(&second, &work.r);
	request_init(&r, VIRTIO_BLK_T_IN, 0, PAGE);
	work_begin(use_second, &work);
	while (!cpu_idle() || done < 50) {
		*r.status = NO_STATUS;
		check(request_do(&d, &r, NULL) == VIRTIO_BLK_S_OK);
		done++;
	}
	check(work.good);
	device_reset(&second);
}

/* Reads the field as Linux does; false if the generation has changed meanwhile. */
static bool read_capacity(uint64_t *sectors)
{
	uint32_t before = reg_read(&d, VIRTIO_MMIO_CONFIG_GENERATION);

	*sectors = config_read(&d, 0, 4) | config_read(&d, 4, 4) << 32;
	return reg_read(&d, VIRTIO_MMIO_CONFIG_GENERATION) == before;
}

static bool generation_is_new(uint32_t *generation)
{
	uint32_t before = *generation;

	*generation = reg_read(&d, VIRTIO_MMIO_CONFIG_GENERATION);
	return *generation != before;
}

/*
 * The host keeps changing the size to values that differ in both halves of the field. A driver that
 * checks the generation never reads a mixture, and gets a configuration interrupt for each change.
 */
TEST(capacity_is_never_read_in_halves)
{
	const char *times = option("resizes=", 0);
	uint64_t first, sectors, left = times ? parse_number(times, &times) : 0;
	uint32_t generation, told = 0;

	if (!left)
		bare_skip("the host does not resize the disk");
	begin(0);
	wait_until(read_capacity(&first));
	for (generation = reg_read(&d, VIRTIO_MMIO_CONFIG_GENERATION); left; left--) {
		for (uint64_t end = arch_ticks() + arch_timeout; !generation_is_new(&generation);) {
			check(arch_ticks() < end);
			if (read_capacity(&sectors))
				check(sectors == first || sectors == 0xfffffffe ||
				      sectors == 0x100000000);
			if (!(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG))
				continue;
			reg_write(&d, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
			told++;
		}
	}
	check(told > 0 && irqs(0) > 0);
}
