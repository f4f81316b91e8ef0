/* SPDX-License-Identifier: BSD-3-Clause */
/* A correct driver's discards, zero writes and write cache changes. */
#include "guest/bare/virtio.h"

typedef struct virtio_blk_discard_write_zeroes segment;

#define RANGES (FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES))
#define COUNT  16u
/* Sizes in sectors. Each segment is in the middle of a gap. */
#define GAP 64u
#define LEN 16u

static struct device d;

static void begin(void)
{
	device_find(&d, 0);
	device_start(&d, 64, RANGES);
	check(d.space.max_discard_sectors >= LEN && d.space.max_discard_seg >= COUNT);
	check(d.space.discard_sector_alignment >= 1);
	check(d.space.max_write_zeroes_sectors >= LEN && d.space.max_write_zeroes_seg >= COUNT);
	check(d.space.write_zeroes_may_unmap == 1);
}

static uint64_t at(unsigned int i)
{
	return i * GAP + (GAP - LEN) / 2;
}

/* Fills the gaps with data that is not zero, then changes one segment in each. */
static void change(uint32_t type, unsigned int count, uint32_t flags)
{
	uint8_t *data = page_alloc(COUNT * GAP * SECTOR);
	segment *seg = page_alloc(PAGE);

	memset(data, 0x3c, COUNT * GAP * SECTOR);
	check(blk_do(&d, VIRTIO_BLK_T_OUT, 0, data, COUNT * GAP * SECTOR) == VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < count; i++)
		seg[i] = (segment){ .sector = at(i), .num_sectors = LEN, .flags = flags };
	check(blk_do(&d, type, 0, seg, count * (uint32_t)sizeof(*seg)) == VIRTIO_BLK_S_OK);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 0, data, COUNT * GAP * SECTOR) == VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < COUNT; i++) {
		const uint8_t *gap = data + i * GAP * SECTOR, *middle = data + at(i) * SECTOR;
		const uint8_t *end = middle + LEN * SECTOR;

		check(all_bytes(gap, 0x3c, (uint32_t)(middle - gap)));
		check(all_bytes(end, 0x3c, (uint32_t)(gap + GAP * SECTOR - end)));
		if (i >= count)
			check(all_bytes(middle, 0x3c, LEN * SECTOR));
		else if (type == VIRTIO_BLK_T_WRITE_ZEROES)
			check(all_bytes(middle, 0, LEN * SECTOR));
	}
}

TEST(zeroes_are_written_in_1_to_16_segments)
{
	begin();
	for (unsigned int count = 1; count <= COUNT; count += 5)
		for (uint32_t flags = 0; flags < 2; flags++)
			change(VIRTIO_BLK_T_WRITE_ZEROES, count, flags);
}

TEST(discards_leave_the_rest_alone)
{
	begin();
	for (unsigned int count = 1; count <= COUNT; count += 5)
		change(VIRTIO_BLK_T_DISCARD, count, 0);
}

/* Fills the ring with zero requests, and with reads of sectors that are zero already. */
TEST(many_zeroes_in_flight)
{
	enum { FLIGHT = 20 };
	struct request r[FLIGHT];
	struct vring_used_elem elem;

	begin();
	for (unsigned int round = 0; round < 5; round++) {
		d.ring.next_desc = 0;
		for (unsigned int i = 0; i < FLIGHT; i++) {
			segment *seg;

			request_init(&r[i], VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(*seg));
			seg = (segment *)r[i].data;
			*seg = (segment){ .sector = 8 * i, .num_sectors = 8, .flags = i & 1 };
			request_chain(&d, &r[i]);
			ring_stage(&d, r[i].head);
		}
		ring_show(&d);
		reg_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		for (unsigned int i = 0; i < FLIGHT; i++)
			ring_wait_used(&d, &elem);
		for (unsigned int i = 0; i < FLIGHT; i++)
			check(*r[i].status == VIRTIO_BLK_S_OK);
	}
	uint8_t *data = page_alloc(FLIGHT * PAGE);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 0, data, FLIGHT * PAGE) == VIRTIO_BLK_S_OK);
	check(all_bytes(data, 0, FLIGHT * PAGE));
}

TEST(write_cache_is_switched)
{
	const uint32_t wce = offsetof(struct virtio_blk_config, wce);
	uint8_t *data = page_alloc(PAGE), *read = page_alloc(PAGE);

	device_find(&d, 0);
	device_start(&d, 16, FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
	check(config_read(&d, wce, 1) == 1);
	for (unsigned int i = 0; i < 8; i++) {
		config_write(&d, wce, 1, i & 1);
		check(config_read(&d, wce, 1) == (i & 1));
		memset(data, (int)(i + 1), PAGE);
		check(blk_do(&d, VIRTIO_BLK_T_OUT, 8 * i, data, PAGE) == VIRTIO_BLK_S_OK);
		check(blk_do(&d, VIRTIO_BLK_T_IN, 8 * i, read, PAGE) == VIRTIO_BLK_S_OK);
		check(memcmp(data, read, PAGE) == 0);
	}
}
