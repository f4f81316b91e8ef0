/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/queues.h"

#include <stdio.h>

#include "dataplane/base.h"
#include "tests/lib/engines.h"

int queues_ways(void)
{
	return QUEUES_FORMATS * engine_count();
}

const char *queues_format_name(int i)
{
	static char name[24];

	snprintf(name, sizeof(name), "%s%s", mock_format_name(i & 1), i & 2 ? ", IN_ORDER" : "");
	return name;
}

const char *queues_way_name(int way)
{
	static char name[48];

	snprintf(name, sizeof(name), "%s, %s", engine_name(way / QUEUES_FORMATS),
		 queues_format_name(way % QUEUES_FORMATS));
	return name;
}

uint64_t queues_format(int i)
{
	return (i & 1 ? BIT64(VIRTIO_F_RING_PACKED) : 0) | (i & 2 ? BIT64(VIRTIO_F_IN_ORDER) : 0);
}

void queues_init(struct disk *d, enum blk_engine engine, unsigned int count)
{
	disk_init(d, engine);
	d->config.queues = count;
	d->config.packed = d->config.in_order = true;
}

void queues_bring_up(struct disk *d, struct mockdrv *q, unsigned int ready, uint64_t features)
{
	reg_set_status(&d->mmio, 0);
	ck_assert(reg_negotiate(&d->mmio, features));
	for (unsigned int i = 0; i < d->config.queues; i++) {
		disk_queue(d, &q[i], i, 1 + i, QUEUES_RING, features);
		if (ready & 1u << i)
			ck_assert(reg_queue_n(&d->mmio, i, &q[i].ring));
	}
	reg_set_status(&d->mmio, ST_DRIVER_OK);
	ck_assert_uint_eq(reg_status(&d->mmio), ST_DRIVER_OK);
}

void queues_read(struct disk *d, struct mockdrv *q, unsigned int which)
{
	static unsigned int round;
	struct mock_blk req[VIRTIO_MAX_QUEUES];
	struct vring_used_elem elem;

	round++;
	for (unsigned int i = 0; which >> i; i++) {
		if (!(which & 1u << i))
			continue;
		mock_forget(&q[i]);
		mock_blk(&q[i], &req[i], VIRTIO_BLK_T_IN, (round + 100 * i) % 1024, 4096);
		mock_stage(&q[i], req[i].head);
		mock_show(&q[i]);
	}
	for (unsigned int i = 0; which >> i; i++)
		if (which & 1u << i)
			reg_set(&d->mmio, VIRTIO_MMIO_QUEUE_NOTIFY, i);
	for (unsigned int i = 0; which >> i; i++) {
		uint64_t sector = (round + 100 * i) % 1024;

		if (!(which & 1u << i))
			continue;
		mock_wait_used(&q[i], &elem);
		ck_assert_uint_eq(elem.id, req[i].head);
		ck_assert_uint_eq(mock_status(&q[i], &req[i]), VIRTIO_BLK_S_OK);
		ck_assert(image_is_fresh(mock_ptr(&q[i], req[i].data), sector * 512, 4096));
		q[i].heap = req[i].header;
	}
}

void queues_offer(struct mockdrv *q, struct queues_batch *batch, unsigned int round)
{
	mock_forget(q);
	for (unsigned int i = 0; i < QUEUES_DEPTH && 3 * i + 3 <= q->ring.size; i++) {
		bool quick = (i + round) % 3;

		mock_blk(q, &batch->req[i], quick ? VIRTIO_BLK_T_GET_ID : VIRTIO_BLK_T_IN,
			 8 * i + round % 100, quick ? 20 : 4096);
		mock_stage(q, batch->req[i].head);
	}
	mock_show(q);
}

unsigned int queues_take(struct mockdrv *q, const struct queues_batch *batch, bool in_order,
			 bool all)
{
	unsigned int depth = q->ring.size / 3u, seen = 0, n = 0;
	struct vring_used_elem elem;

	depth = depth < QUEUES_DEPTH ? depth : QUEUES_DEPTH;
	for (; n < depth; n++) {
		if (all)
			mock_wait_used(q, &elem);
		else if (!mock_used(q, &elem))
			break;
		/* Each chain has three descriptors, so the heads are 0, 3, 6, ... */
		must(elem.id % 3 == 0 && elem.id / 3 < depth && !(seen & 1u << elem.id));
		seen |= 1u << elem.id;
		must(!in_order || elem.id == 3 * n);
		must(elem.len == 1 + batch->req[elem.id / 3].len);
		must(mock_status(q, &batch->req[elem.id / 3]) == VIRTIO_BLK_S_OK);
	}
	must(n < depth || !mock_has_used(q));
	q->heap = batch->req[0].header;
	return n;
}
