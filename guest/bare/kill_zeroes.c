/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of tests/cli/behave: its disk has minutes of work to do when somebody wants to pause or to
 * end the VM. A host file system that cannot zero a range by itself has to write all of these zeros.
 */
#include "guest/bare/virtio.h"

typedef struct virtio_blk_discard_write_zeroes segment;

#define ZEROES	 42u
#define SEGMENTS 16u
#define READS	 40u

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

TEST(whole_disk_zeroes_beside_reads_until_the_vm_ends)
{
	device_find(&d, 0);
	device_start(&d, 256, FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
	for (unsigned int i = 0; i < ZEROES; i++) {
		stage(VIRTIO_BLK_T_WRITE_ZEROES, SEGMENTS * (uint32_t)sizeof(segment));
		if (i < READS)
			stage(VIRTIO_BLK_T_IN, SECTOR);
	}
	ring_show(&d);
	kick(&d);
	say("begun\n");
	for (;;)
		arch_relax();
}
