/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/disk.h"

#include <check.h>
#include <string.h>
#include <unistd.h>

void disk_init(struct disk *d, enum blk_engine engine)
{
	mock_init(&d->m, 64, false, false);
	close(d->m.kick_fd);
	close(d->m.irq_fd);
	d->m.kick_fd = d->m.irq_fd = -1;
	image_make(&d->image, DISK_BYTES, false);
	d->config = (struct blk_config){
		.path = d->image.path,
		.engine = engine,
		.discard = true,
		.blk_size = 512,
		.queue_size = 64,
		.queues = 1,
	};
	d->blk = NULL;
	d->format = 0;
}

void disk_open(struct disk *d)
{
	const char *why;

	ck_assert_int_eq(blk_create(&d->blk, &d->config, 3, &d->m.hostmem, &why), 0);
	d->dev = blk_virtio(d->blk);
	d->m.kick_fd = d->dev->queue[0].kick_fd;
	d->m.irq_fd = d->dev->irq.fd;
	virtio_mmio_init(&d->mmio, d->dev);
}

int disk_close(struct disk *d)
{
	int err = 0;

	if (d->blk) {
		err = blk_destroy(d->blk);
		virtio_mmio_destroy(&d->mmio);
	}
	d->blk = NULL;
	d->m.kick_fd = d->m.irq_fd = -1;
	return err;
}

void disk_fini(struct disk *d)
{
	ck_assert_int_eq(disk_close(d), 0);
	image_remove(&d->image);
	mock_fini(&d->m);
}

void disk_bring_up(struct disk *d, uint16_t size, uint64_t features)
{
	reg_bring_up(&d->mmio, &d->m, size, features | d->format);
}

void disk_queue(const struct disk *d, struct mockdrv *q, unsigned int queue, unsigned int place,
		uint16_t size, uint64_t features)
{
	mock_beside(q, &d->m, place);
	reg_ring(q, size, features);
	q->kick_fd = d->dev->queue[queue].kick_fd;
}

uint8_t disk_do(struct disk *d, uint32_t type, uint64_t sector, uint32_t len, struct mock_blk *req,
		uint32_t *used_len)
{
	struct vring_used_elem elem;

	mock_forget(&d->m);
	mock_blk(&d->m, req, type, sector, len);
	mock_stage(&d->m, req->head);
	mock_show(&d->m);
	reg_set(&d->mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	mock_wait_used(&d->m, &elem);
	ck_assert_uint_eq(elem.id, req->head);
	if (used_len)
		*used_len = elem.len;
	return mock_status(&d->m, req);
}
