/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile discards and write-zeroes requests: rows 26, 33, 37 and 38 (tests/rows). */
#include "guest/bare/hostile.h"

typedef struct virtio_blk_discard_write_zeroes segment;

#define RANGES (FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES))

static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };

static uint8_t change(uint32_t type, const segment *seg, uint32_t bytes)
{
	struct request r;
	uint32_t written;

	request_init(&r, type, ~0ull, bytes);
	memcpy(r.data, seg, bytes);
	request_do(&d, &r, &written);
	check(written == 1);
	return *r.status;
}

TEST(row37_segments_that_will_not_do)
{
	uint64_t end;
	segment many[17];
	uint32_t max;

	begin(16, RANGES);
	end = d.space.capacity;
	max = d.space.max_discard_sectors;
	const segment bad[] = { { end, 1, 0 },
				{ end - 1, 2, 0 },
				{ 0, (uint32_t)end + 1, 0 },
				{ 0, max + 1, 0 },
				{ 0, UINT32_MAX, 0 },
				{ UINT64_MAX, 1, 0 },
				{ UINT64_MAX - 6, 8, 0 },
				{ 1ull << 55, 8, 0 } };

	memset(many, 0, sizeof(many));
	for (unsigned int t = 0; t < 2; t++) {
		for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			/* An invalid segment behind valid ones: none of them is executed. */
			for (unsigned int k = 0; k < 15; k++)
				many[k] = (segment){ 8 * k, 8, 0 };
			many[15] = bad[i];
			check(change(types[t], many, 16 * sizeof(*many)) == VIRTIO_BLK_S_IOERR);
		}
		for (unsigned int i = 0; i < 32; i++) {
			segment flags = { 0, 8, 1u << i };

			if (i || types[t] == VIRTIO_BLK_T_DISCARD)
				check(change(types[t], &flags, sizeof(flags)) ==
				      VIRTIO_BLK_S_UNSUPP);
		}
		memset(many, 0, sizeof(many));
		for (uint32_t bytes = 0; bytes <= sizeof(many); bytes++)
			check(change(types[t], many, bytes) ==
			      (bytes && bytes % 16 == 0 && bytes <= 256 ? VIRTIO_BLK_S_OK
									: VIRTIO_BLK_S_IOERR));
	}
	device_check_alive(&d);
}

TEST(row33_discard_and_zeroes_on_a_read_only_disk)
{
	const segment seg = { 0, 8, 0 };

	device_find(&d, 1);
	device_start(&d, 16, 0);
	check(!(d.offered & RANGES));
	for (unsigned int t = 0; t < 2; t++)
		check(change(types[t], &seg, sizeof(seg)) != VIRTIO_BLK_S_OK);
	device_reset(&d);
}

/* Sends maximal discards and zero writes over the same sectors, with reads; then resets at once. */
static void flood(unsigned int rounds, bool wait)
{
	struct request zeroes[8], read[8];
	struct vring_used_elem elem;

	for (unsigned int round = 0; round < rounds; round++) {
		begin(64, RANGES);
		for (unsigned int i = 0; i < 8; i++) {
			segment *seg;

			request_init(&zeroes[i], types[i & 1], 0, 16 * sizeof(*seg));
			seg = (segment *)zeroes[i].data;
			for (unsigned int k = 0; k < 16; k++)
				seg[k] = (segment){ 64, 4096, i & 1 };
			request_chain(&d, &zeroes[i]);
			ring_stage(&d, zeroes[i].head);
			request_init(&read[i], VIRTIO_BLK_T_IN, 8192 + i, SECTOR);
			request_chain(&d, &read[i]);
			ring_stage(&d, read[i].head);
		}
		ring_show(&d);
		kick(&d);
		for (unsigned int i = 0; wait && i < 16; i++)
			ring_wait_used(&d, &elem);
		for (unsigned int i = 0; wait && i < 8; i++)
			check(*zeroes[i].status == VIRTIO_BLK_S_OK &&
			      *read[i].status == VIRTIO_BLK_S_OK);
		device_reset(&d);
		/* After the reset, the memory belongs to the guest again. */
		for (unsigned int i = 0; i < 8; i++)
			memset(zeroes[i].data, 0x77, zeroes[i].len);
	}
	device_check_alive(&d);
}

TEST(row38_flood_of_zeroes_and_discards)
{
	flood(3, true);
}

TEST(row26_reset_with_zeroes_in_flight)
{
	flood(8, false);
}
