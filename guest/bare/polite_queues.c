/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A correct driver with two queues, which also resets single queues; in both ring formats, and
 * IN_ORDER.
 */
#include "guest/bare/virtio.h"

#define QUEUES	    2u
#define DEPTH	    4u
#define QUEUE_RESET 0x0c0u

static struct device q[QUEUES];
static struct request r[QUEUES][DEPTH];

static const uint64_t formats[] = { 0, IN_ORDER, PACKED, PACKED | IN_ORDER };
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

/* Prepares chains with heads 0, 3 and so on, which are offered repeatedly. */
static void lay_out(struct device *queue, uint16_t size)
{
	device_lay_out(queue, size);
	for (unsigned int i = 0; i < DEPTH; i++)
		request_chain(queue, &r[queue->queue][i]);
}

/* Starts the disk; false if it does not offer rings of this format. */
static bool begin(uint64_t features)
{
	device_find(&q[0], 0);
	device_negotiate(&q[0], 0);
	if (!(q[0].offered & MQ))
		bare_skip("a disk with one queue");
	features |= MQ | RING_RESET | EVENT_IDX;
	if (features & ~q[0].offered)
		return false;
	device_negotiate(&q[0], features);
	check(q[0].space.num_queues >= QUEUES);
	for (unsigned int i = 0; i < QUEUES; i++) {
		for (unsigned int k = 0; k < DEPTH; k++)
			request_init(&r[i][k], VIRTIO_BLK_T_IN, 8 * k, PAGE);
		if (i)
			q[i] = q[0];
		q[i].queue = i;
		lay_out(&q[i], 16);
	}
	reg_write(&q[0], VIRTIO_MMIO_STATUS, STATUS_RUNNING);
	check(status(&q[0]) == STATUS_RUNNING);
	return true;
}

static void offer_all(struct device *queue)
{
	for (unsigned int i = 0; i < DEPTH; i++) {
		*r[queue->queue][i].status = NO_STATUS;
		ring_stage(queue, r[queue->queue][i].head);
	}
	ring_show(queue);
	kick(queue);
}

/* Checks the nth completion: the request was in flight, and in order if IN_ORDER was negotiated. */
static bool is_good(const struct device *queue, unsigned int nth,
		    const struct vring_used_elem *elem)
{
	struct request *done = &r[queue->queue][elem->id / 3];

	if (elem->id % 3 || elem->id / 3 >= DEPTH || elem->len != PAGE + 1 ||
	    *done->status != VIRTIO_BLK_S_OK)
		return false;
	*done->status = NO_STATUS;
	return !(queue->features & IN_ORDER) || elem->id == 3 * nth;
}

static void take_all(struct device *queue)
{
	struct vring_used_elem elem;

	for (unsigned int i = 0; i < DEPTH; i++) {
		ring_wait_used(queue, &elem);
		check(is_good(queue, i, &elem));
	}
	check(!ring_used(queue, &elem));
}

TEST(queues_side_by_side_in_every_format)
{
	for (unsigned int f = 0; f < FORMATS; f++) {
		if (!begin(formats[f]))
			continue;
		for (unsigned int i = 0; i < rounds(100); i++) {
			offer_all(&q[0]);
			offer_all(&q[1]);
			take_all(&q[1]);
			take_all(&q[0]);
		}
		device_reset(&q[0]);
	}
}

static void reset_queue(const struct device *queue)
{
	reg_write(queue, VIRTIO_MMIO_QUEUE_SEL, queue->queue);
	reg_write(queue, QUEUE_RESET, 1);
	wait_until(reg_read(queue, QUEUE_RESET) == 0);
	check(reg_read(queue, VIRTIO_MMIO_QUEUE_READY) == 0);
}

/* Work of the second CPU on its queue meanwhile. */
struct other_work {
	unsigned int done;
	bool bad;
};

static void use_the_other(void *arg)
{
	struct other_work *work = arg;

	while (!work_stopped()) {
		offer_all(&q[1]);
		for (unsigned int i = 0; i < DEPTH; i++) {
			struct vring_used_elem elem;

			while (!ring_used(&q[1], &elem))
				if (work_stopped())
					return;
			work->bad |= !is_good(&q[1], i, &elem);
		}
		__atomic_add_fetch(&work->done, 1, __ATOMIC_RELEASE);
	}
}

/*
 * Resets the queue with requests in flight, none of which completes; then uses a ring of another
 * size.
 */
static void reset_once(unsigned int round)
{
	static const uint16_t split[] = { 32, 16, 256, 64 }, packed[] = { 31, 12, 255, 13 };

	offer_all(&q[0]);
	reset_queue(&q[0]);
	for (unsigned int i = 0; i < DEPTH; i++)
		memset(r[0][i].data, 0x5a, PAGE);
	lay_out(&q[0], q[0].ring.packed ? packed[round % 4] : split[round % 4]);
	for (unsigned int i = 0; i < DEPTH; i++)
		check(all_bytes(r[0][i].data, 0x5a, PAGE));
	for (unsigned int i = 0; i < 3; i++) {
		offer_all(&q[0]);
		take_all(&q[0]);
	}
}

TEST(queue_reset_in_every_format_while_the_other_is_used)
{
	for (unsigned int f = 0; f < FORMATS; f++) {
		struct other_work work = { 0 };

		if (!begin(formats[f]))
			continue;
		work_begin(use_the_other, &work);
		for (unsigned int i = 0; i < rounds(40); i++)
			reset_once(i);
		wait_until(__atomic_load_n(&work.done, __ATOMIC_ACQUIRE) >= 10);
		work_end();
		check(!work.bad && status(&q[0]) == STATUS_RUNNING);
		device_reset(&q[0]);
	}
}

/* ---- the maximum number of disks ---- */

#define DISKS 16u

/* The host's threads and rings of all queues exist at the same time. */
TEST(every_disk_is_used_while_the_others_run)
{
	static struct device disk[DISKS];
	unsigned int count = 0;

	while (count < DISKS && device_probe(&disk[count], count)) {
		device_start(&disk[count], 16, 0);
		count++;
	}
	for (unsigned int i = 0; i < 2 * count; i++) {
		uint8_t *data = page_alloc(PAGE);

		check(blk_do(&disk[i % count], VIRTIO_BLK_T_IN, 8 * i, data, PAGE) ==
		      VIRTIO_BLK_S_OK);
	}
	for (unsigned int i = 0; i < count; i++)
		device_reset(&disk[i]);
}
