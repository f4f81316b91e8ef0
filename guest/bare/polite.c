/* SPDX-License-Identifier: BSD-3-Clause */
/* A correct driver: requests of every size and framing. */
#include "guest/bare/virtio.h"

#define MAX_LEN (1u << 20)

static struct device d;

static void begin(uint16_t size, uint64_t features)
{
	device_find(&d, 0);
	device_start(&d, size, features);
}

static void fill(uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t x = random64();

		memcpy(data + i, &x, 8);
	}
}

/* Checks that a chain of these pieces succeeds, and that used.len is `written`. */
static void run_chain(const struct piece *piece, unsigned int count, bool indirect,
		      uint32_t written)
{
	struct vring_used_elem elem;
	uint16_t head;

	d.ring.next_desc = 0;
	head = indirect ? chain_indirect(&d, NULL, piece, count) : chain(&d, piece, count);
	offer(&d, head);
	ring_wait_used(&d, &elem);
	check(elem.id == head && elem.len == written);
	d.ring.next_desc = 0;
}

TEST(capacity_and_limits_are_told)
{
	begin(16, 0);
	check(d.space.capacity == parse_number(option("sectors=", 0), &(const char *){ NULL }));
	check(d.offered & FEATURE(VIRTIO_BLK_F_SEG_MAX));
	check(d.space.seg_max >= 1 && d.space.seg_max <= QUEUE_MAX - 2);
	check(d.offered & FEATURE(VIRTIO_BLK_F_BLK_SIZE));
	check(d.space.blk_size >= SECTOR && (d.space.blk_size & (d.space.blk_size - 1)) == 0);
	check(d.offered & FEATURE(VIRTIO_BLK_F_FLUSH));
	check(reg_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) == QUEUE_MAX);
}

TEST(every_size_is_written_and_read)
{
	uint8_t *data = page_alloc(MAX_LEN), *read = page_alloc(MAX_LEN);

	begin(16, FEATURE(VIRTIO_BLK_F_FLUSH));
	for (uint32_t len = SECTOR; len <= MAX_LEN; len += len < 16 * SECTOR ? SECTOR : len / 2) {
		uint64_t sector = random64() % (d.space.capacity - len / SECTOR);

		len &= ~(SECTOR - 1);
		fill(data, len);
		memset(read, 0, len);
		check(blk_do(&d, VIRTIO_BLK_T_OUT, sector, data, len) == VIRTIO_BLK_S_OK);
		check(blk_do(&d, VIRTIO_BLK_T_IN, sector, read, len) == VIRTIO_BLK_S_OK);
		check(memcmp(data, read, len) == 0);
	}
	check(blk_do(&d, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) == VIRTIO_BLK_S_OK);
}

TEST(first_and_last_sector)
{
	uint8_t *data = page_alloc(PAGE), *read = page_alloc(PAGE);
	uint64_t last;

	begin(16, 0);
	last = d.space.capacity - 1;
	fill(data, 2 * SECTOR);
	check(blk_do(&d, VIRTIO_BLK_T_OUT, 0, data, SECTOR) == VIRTIO_BLK_S_OK);
	check(blk_do(&d, VIRTIO_BLK_T_OUT, last, data + SECTOR, SECTOR) == VIRTIO_BLK_S_OK);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 0, read, SECTOR) == VIRTIO_BLK_S_OK);
	check(blk_do(&d, VIRTIO_BLK_T_IN, last, read + SECTOR, SECTOR) == VIRTIO_BLK_S_OK);
	check(memcmp(data, read, 2 * SECTOR) == 0);
}

TEST(every_ring_size)
{
	for (uint16_t size = 4; size <= QUEUE_MAX; size = (uint16_t)(size * 2)) {
		uint8_t *read = page_alloc(PAGE);

		begin(size, 0);
		for (unsigned int i = 0; i < 2u * size + 3; i++)
			check(blk_do(&d, VIRTIO_BLK_T_IN, 0, read, SECTOR) == VIRTIO_BLK_S_OK);
		check(ring_used_index(&d) == 2 * size + 3);
	}
}

/* The ring takes chains of at most two descriptors, or a table: a flush fits. */
TEST(ring_of_two)
{
	struct request r;

	begin(2, INDIRECTION | FEATURE(VIRTIO_BLK_F_FLUSH));
	request_init(&r, VIRTIO_BLK_T_FLUSH, 0, 0);
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.status, 1, true } };
	for (unsigned int i = 0; i < 5; i++) {
		*r.status = NO_STATUS;
		run_chain(piece, 2, true, 1);
		check(*r.status == VIRTIO_BLK_S_OK);
	}
}

TEST(every_feature_by_itself)
{
	uint8_t *data = page_alloc(PAGE);

	device_find(&d, 0);
	device_negotiate(&d, 0);
	for (unsigned int bit = 0; bit < 64; bit++)
		if (d.offered & FEATURE(bit)) {
			begin(16, FEATURE(bit));
			check(blk_do(&d, VIRTIO_BLK_T_IN, bit, data, SECTOR) == VIRTIO_BLK_S_OK);
		}
	begin(16, d.offered);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 0, data, SECTOR) == VIRTIO_BLK_S_OK);
}

/* ---- 11: indirect tables ---- */

TEST(row11_unaligned_indirect_table)
{
	uint8_t *memory = page_alloc(PAGE);
	struct vring_used_elem elem;
	struct request r;

	begin(8, INDIRECTION);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.data, SECTOR, true },
				 { (uintptr_t)r.status, 1, true } };
	for (unsigned int shift = 1; shift < 16; shift++) {
		*r.status = NO_STATUS;
		d.ring.next_desc = 0;
		offer(&d, chain_indirect(&d, memory + shift, piece, 3));
		ring_wait_used(&d, &elem);
		check(elem.len == SECTOR + 1 && *r.status == VIRTIO_BLK_S_OK);
	}
}

TEST(row11_long_table_of_which_little_is_walked)
{
	struct vring_desc *table = page_alloc(2 * PAGE);
	struct vring_used_elem elem;
	struct request r;

	begin(8, INDIRECTION);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	desc_set(&table[0], (uintptr_t)r.header, 16, NEXT, 500);
	desc_set(&table[500], (uintptr_t)r.data, SECTOR, NEXT | WRITE, 100);
	desc_set(&table[100], (uintptr_t)r.status, 1, WRITE, 0);
	desc_set(&d.ring.desc[0], (uintptr_t)table, 2 * PAGE, INDIRECT, 0);
	offer(&d, 0);
	ring_wait_used(&d, &elem);
	check(elem.len == SECTOR + 1 && *r.status == VIRTIO_BLK_S_OK);
}

TEST(row11_normal_descriptors_then_a_table_marked_writable)
{
	struct vring_desc *table = page_alloc(PAGE);
	struct vring_used_elem elem;
	struct request r;

	begin(8, INDIRECTION);
	request_init(&r, VIRTIO_BLK_T_IN, 0, SECTOR);
	desc_set(&d.ring.desc[0], (uintptr_t)r.header, 16, NEXT, 1);
	desc_set(&d.ring.desc[1], (uintptr_t)table, 32, INDIRECT | WRITE, 0);
	desc_set(&table[0], (uintptr_t)r.data, SECTOR, NEXT | WRITE, 1);
	desc_set(&table[1], (uintptr_t)r.status, 1, WRITE, 0);
	offer(&d, 0);
	ring_wait_used(&d, &elem);
	check(elem.len == SECTOR + 1 && *r.status == VIRTIO_BLK_S_OK);
}

/* ---- 14: framings ---- */

TEST(row14_header_in_pieces)
{
	for (unsigned int indirect = 0; indirect < 2; indirect++) {
		begin(32, INDIRECTION);
		for (unsigned int pieces = 1; pieces <= 16; pieces++) {
			struct piece piece[18];
			struct request r;
			uint32_t at = 0;

			request_init(&r, VIRTIO_BLK_T_IN, 3, SECTOR);
			for (unsigned int i = 0; i < pieces; i++) {
				uint32_t len = i + 1 < pieces ? 16 / pieces : 16 - at;

				piece[i] = (struct piece){ (uintptr_t)r.header + at, len, false };
				at += len;
			}
			piece[pieces] = (struct piece){ (uintptr_t)r.data, SECTOR, true };
			piece[pieces + 1] = (struct piece){ (uintptr_t)r.status, 1, true };
			run_chain(piece, pieces + 2, indirect, SECTOR + 1);
			check(*r.status == VIRTIO_BLK_S_OK);
		}
	}
}

TEST(row14_status_glued_to_the_data)
{
	struct request r;

	begin(8, 0);
	request_init(&r, VIRTIO_BLK_T_IN, 0, 2 * SECTOR);
	r.data[SECTOR] = NO_STATUS;
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.data, SECTOR + 1, true } };
	run_chain(piece, 2, false, SECTOR + 1);
	check(r.data[SECTOR] == VIRTIO_BLK_S_OK && r.data[SECTOR + 1] == 0xee);
}

TEST(row14_header_glued_to_the_data)
{
	uint8_t *memory = page_alloc(PAGE), *read = page_alloc(PAGE), *state = page_alloc(PAGE);
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_OUT, .sector = 7 };

	begin(8, 0);
	memcpy(memory, &header, 16);
	fill(memory + 16, SECTOR);
	*state = NO_STATUS;
	struct piece piece[] = { { (uintptr_t)memory, 16 + SECTOR, false },
				 { (uintptr_t)state, 1, true } };
	run_chain(piece, 2, false, 1);
	check(*state == VIRTIO_BLK_S_OK);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 7, read, SECTOR) == VIRTIO_BLK_S_OK);
	check(memcmp(read, memory + 16, SECTOR) == 0);
}

/* The table has as many descriptors as the ring: 254 for data, of which the first have one byte. */
TEST(row14_data_in_one_byte_pieces)
{
	enum { PIECES = 254, LEN = 2 * SECTOR };
	uint8_t *data = page_alloc(PAGE), *memory = page_alloc(PIECES * 16 + LEN);

	begin(256, INDIRECTION);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 0, data, LEN) == VIRTIO_BLK_S_OK);
	for (unsigned int indirect = 0; indirect < 2; indirect++) {
		struct piece piece[PIECES + 2];
		struct request r;
		uint32_t at = 0;

		request_init(&r, VIRTIO_BLK_T_IN, 0, 0);
		memset(memory, 0xee, PIECES * 16 + LEN);
		piece[0] = (struct piece){ (uintptr_t)r.header, 16, false };
		for (unsigned int i = 0; i < PIECES; i++) {
			uint32_t len = i + 1 < PIECES ? 1 : LEN - at;

			piece[i + 1] = (struct piece){ (uintptr_t)memory + 16 * i, len, true };
			at += len;
		}
		piece[PIECES + 1] = (struct piece){ (uintptr_t)r.status, 1, true };
		run_chain(piece, PIECES + 2, indirect, LEN + 1);
		check(*r.status == VIRTIO_BLK_S_OK);
		for (unsigned int i = 0; i + 1 < PIECES; i++)
			check(memory[16 * i] == data[i] && memory[16 * i + 1] == 0xee);
		check(memcmp(memory + 16 * (PIECES - 1), data + PIECES - 1, LEN - PIECES + 1) == 0);
	}
}

/* ---- 18: more requests than an index has values ---- */

TEST(row18_indices_wrap)
{
	enum { BATCH = 64, REQUESTS = 70016 };
	struct request r[BATCH];
	struct vring_used_elem elem;
	uint32_t seen[BATCH];

	begin(256, EVENT_IDX);
	memset(seen, 0, sizeof(seen));
	for (unsigned int i = 0; i < BATCH; i++) {
		request_init(&r[i], VIRTIO_BLK_T_GET_ID, 0, 20);
		request_chain(&d, &r[i]);
	}
	for (unsigned int done = 0; done < REQUESTS; done += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++)
			ring_stage(&d, r[i].head);
		ring_show(&d);
		kick(&d);
		ring_set_used_event(&d, (uint16_t)(d.ring.used_idx + 0x8000));
		for (unsigned int i = 0; i < BATCH; i++) {
			ring_wait_used(&d, &elem);
			check(elem.id % 3 == 0 && elem.id < 3 * BATCH);
			seen[elem.id / 3]++;
		}
	}
	for (unsigned int i = 0; i < BATCH; i++)
		check(seen[i] == REQUESTS / BATCH && *r[i].status == VIRTIO_BLK_S_OK);
	check(ring_used_index(&d) == (uint16_t)REQUESTS);
}

/* ---- concurrent requests ---- */

TEST(many_in_flight_keep_their_data)
{
	enum { COUNT = 64 };
	struct vring_used_elem elem;
	struct request r[COUNT];

	begin(256, INDIRECTION | EVENT_IDX);
	for (unsigned int round = 0; round < 40; round++) {
		uint32_t type = round % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;

		for (unsigned int i = 0; i < COUNT; i++) {
			if (round == 0)
				request_init(&r[i], type, 8 * i, PAGE);
			r[i].header->type = type;
			*r[i].status = NO_STATUS;
			memset(r[i].data, type == VIRTIO_BLK_T_OUT ? (int)(i + round) : 0, PAGE);
			request_chain(&d, &r[i]);
			ring_stage(&d, r[i].head);
		}
		ring_show(&d);
		kick(&d);
		for (unsigned int i = 0; i < COUNT; i++)
			ring_wait_used(&d, &elem);
		d.ring.next_desc = 0;
		for (unsigned int i = 0; i < COUNT; i++) {
			check(*r[i].status == VIRTIO_BLK_S_OK);
			if (type == VIRTIO_BLK_T_IN)
				check(all_bytes(r[i].data, (uint8_t)(i + round - 1), PAGE));
		}
	}
}

TEST(reset_and_start_again)
{
	uint8_t *data = page_alloc(PAGE);

	for (unsigned int i = 0; i < rounds(200); i++) {
		begin((uint16_t)(4u << i % 6), i % 2 ? EVENT_IDX : 0);
		check(blk_do(&d, VIRTIO_BLK_T_IN, i, data, SECTOR) == VIRTIO_BLK_S_OK);
		device_reset(&d);
		check(reg_read(&d, VIRTIO_MMIO_QUEUE_READY) == 0);
	}
}
