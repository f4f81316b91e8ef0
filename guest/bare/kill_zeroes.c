/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest of tests/cli/behave: its disk has minutes of work when an operator pauses or ends the VM.
 * A host file system that cannot zero a range has to write all of these zeros.
 */
#include "guest/bare/virtio.h"

typedef struct virtio_blk_discard_write_zeroes segment;

#define ZEROES	   42u
#define SEGMENTS   16u
#define READS	   40u

#define HUGE_PIECE (64u << 20)

static struct device d;

static void stage(uint32_t type, uint32_t len)
{
	struct request r;

	request_init(&r, type, 0, len);
	if (type == VIRTIO_BLK_T_WRITE_ZEROES)
		for (unsigned int i = 0; i < SEGMENTS; i++)
			((segment *)r.data)[i] = (segment){ 0, (uint32_t)d.space.capacity, 0 };
	request_chain(&d, &r);
	ring_stage(&d, r.head);
}

static void begin_and_wait(void)
{
	ring_show(&d);
	kick(&d);
	say("begun\n");
	for (;;)
		arch_relax();
}

TEST(whole_disk_zeroes_beside_reads_until_the_vm_ends)
{
	device_find(&d, 0);
	device_start(&d, 256, FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
	for (unsigned int i = 0; i < ZEROES; i++) {
		stage(VIRTIO_BLK_T_WRITE_ZEROES, SEGMENTS * (uint32_t)sizeof(segment));
		if (i < READS)
			stage(VIRTIO_BLK_T_IN, SECTOR);
	}
	begin_and_wait();
}

/* Each request reads nearly 4 GiB, because all its descriptors refer to the same memory. */
TEST(huge_reads_until_the_vm_ends)
{
	enum { PIECES = 62, REQUESTS = 200 };
	static struct piece piece[PIECES + 2];
	uint8_t *data = page_alloc(HUGE_PIECE);
	struct request r;

	device_find(&d, 0);
	device_start(&d, 256, FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
	for (unsigned int i = 0; i < PIECES; i++)
		piece[1 + i] = (struct piece){ (uintptr_t)data, HUGE_PIECE, true };
	for (unsigned int i = 0; i < REQUESTS; i++) {
		request_init(&r, VIRTIO_BLK_T_IN, 0, 0);
		piece[0] = (struct piece){ (uintptr_t)r.header, sizeof(*r.header), false };
		piece[PIECES + 1] = (struct piece){ (uintptr_t)r.status, 1, true };
		ring_stage(&d, chain_indirect(&d, NULL, piece, PIECES + 2));
	}
	begin_and_wait();
}
