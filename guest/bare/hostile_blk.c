/* SPDX-License-Identifier: BSD-3-Clause */
/* A hostile guest's block requests and console: rows 30 to 40 (tests/rows). */
#include "guest/bare/hostile.h"

static bool readonly(void)
{
	return d.offered & FEATURE(VIRTIO_BLK_F_RO);
}

/* Checks that a request fails with IOERR, and that only its status is written. */
static void refused(uint32_t type, uint64_t sector, uint32_t len)
{
	struct request r;
	uint32_t written;

	request_init(&r, type, sector, len);
	check(request_do(&d, &r, &written) == VIRTIO_BLK_S_IOERR);
	/*
	 * 2.7.8.2: used.len counts from the first writable byte on, so a status behind data that
	 * was not written does not count.
	 */
	check(written == (request_reads(type) && len ? 0 : 1));
	check(all_bytes(r.data, 0xee, len));
}

TEST(row30_sectors_beyond_the_disk)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT };
	uint64_t end;

	begin(16, 0);
	end = d.space.capacity;
	for (unsigned int i = 0; i < 2; i++) {
		refused(types[i], end, SECTOR);
		refused(types[i], end - 1, 2 * SECTOR);
		refused(types[i], end + 1000, SECTOR);
		refused(types[i], 1ull << 54, SECTOR);
		refused(types[i], 1ull << 55, SECTOR);
		refused(types[i], (1ull << 55) - 1, SECTOR);
		refused(types[i], UINT64_MAX, SECTOR);
		refused(types[i], UINT64_MAX - 7, PAGE);
	}
	device_check_alive(&d);
}

TEST(row30_segments_inside_but_their_sum_outside)
{
	struct vring_used_elem elem;
	struct request r;

	begin(16, 0);
	request_init(&r, VIRTIO_BLK_T_IN, d.space.capacity - 1, 2 * SECTOR);
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.data, SECTOR, true },
				 { (uintptr_t)r.data + SECTOR, SECTOR, true },
				 { (uintptr_t)r.status, 1, true } };
	offer(&d, chain(&d, piece, 4));
	ring_wait_used(&d, &elem);
	check(*r.status == VIRTIO_BLK_S_IOERR && elem.len == 0);
	check(all_bytes(r.data, 0xee, r.len));
}

TEST(row31_lengths_that_are_no_sectors)
{
	static const uint32_t lengths[] = { 1, 7, 511, 513, 1000, 4095, 4097 };

	begin(16, 0);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		refused(VIRTIO_BLK_T_IN, 0, lengths[i]);
		refused(VIRTIO_BLK_T_OUT, 0, lengths[i]);
	}
	device_check_alive(&d);
}

/*
 * Writes and reads pieces of 1 to 64 bytes at odd addresses, whatever alignment the host requires.
 */
TEST(row32_odd_addresses_and_lengths)
{
	enum { LEN = 2048, PIECES = 40 };
	uint8_t *odd = page_alloc(8 * PAGE), *data = page_alloc(LEN);

	device_find(&d, 0);
	device_start(&d, 64, 0);
	if (readonly())
		bare_skip("read-only disk");
	for (unsigned int round = 0; round < 50; round++) {
		struct piece piece[PIECES + 2];
		struct request r;
		struct vring_used_elem elem;
		uint32_t at = 1 + (uint32_t)(random64() % 63), offset = 0;
		unsigned int count = 1;

		for (unsigned int i = 0; i < LEN; i++)
			data[i] = (uint8_t)random64();
		request_init(&r, VIRTIO_BLK_T_OUT, 16, 0);
		piece[0] = (struct piece){ (uintptr_t)r.header, 16, false };
		while (offset < LEN) {
			uint32_t len = 1 + (uint32_t)(random64() % 64);

			if (len > LEN - offset || count == PIECES)
				len = LEN - offset;
			memcpy(odd + at, data + offset, len);
			piece[count++] = (struct piece){ (uintptr_t)odd + at, len, false };
			offset += len;
			at += len + 1 + (uint32_t)(random64() % 30);
		}
		piece[count] = (struct piece){ (uintptr_t)r.status, 1, true };
		d.ring.next_desc = 0;
		offer(&d, chain(&d, piece, count + 1));
		ring_wait_used(&d, &elem);
		check(*r.status == VIRTIO_BLK_S_OK && elem.len == 1);

		memset(odd, 0, 8 * PAGE);
		r.header->type = VIRTIO_BLK_T_IN;
		for (unsigned int i = 1; i < count; i++)
			piece[i].write = true;
		d.ring.next_desc = 0;
		offer(&d, chain(&d, piece, count + 1));
		ring_wait_used(&d, &elem);
		check(*r.status == VIRTIO_BLK_S_OK && elem.len == LEN + 1);
		offset = 0;
		for (unsigned int i = 1; i < count; i++) {
			const uint8_t *got = (const uint8_t *)piece[i].gpa;

			check(memcmp(got, data + offset, piece[i].len) == 0);
			check(got[-1] == 0 && got[piece[i].len] == 0);
			offset += piece[i].len;
		}
		d.ring.next_desc = 0;
	}
}

/* The second disk is read-only; the driver ignores or honours the feature. */
TEST(row33_writes_to_a_read_only_disk)
{
	uint8_t *before = page_alloc(PAGE), *after = page_alloc(PAGE);

	device_find(&d, 1);
	for (unsigned int knows = 0; knows < 2; knows++) {
		device_start(&d, 16, knows ? FEATURE(VIRTIO_BLK_F_RO) : 0);
		check(blk_do(&d, VIRTIO_BLK_T_IN, 8, before, PAGE) == VIRTIO_BLK_S_OK);
		refused(VIRTIO_BLK_T_OUT, 8, PAGE);
		check(blk_do(&d, VIRTIO_BLK_T_IN, 8, after, PAGE) == VIRTIO_BLK_S_OK);
		check(memcmp(before, after, PAGE) == 0);
	}
	device_reset(&d);
}

static void unsupported(uint32_t type, uint32_t len)
{
	struct request r;
	uint32_t written;

	request_init(&r, type, 0, len);
	check(request_do(&d, &r, &written) == VIRTIO_BLK_S_UNSUPP);
	check(written == 1 && all_bytes(r.data, 0xee, len));
}

TEST(row34_unknown_requests)
{
	static const uint32_t types[] = { 2,  3,  5,	6,	    7,		9,	   10,
					  12, 14, 0x7f, 0x80000000, 0x80000001, 0xffffffff };

	begin(16, 0);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		unsupported(types[i], 0);
		unsupported(types[i], SECTOR);
	}
	device_check_alive(&d);
}

TEST(row35_get_id_of_every_size)
{
	static const uint32_t sizes[] = { 0, 1, 10, 19, 20, 21, 64, PAGE };
	struct request r;
	uint32_t written;

	begin(16, 0);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t room = sizes[i], part = room < 20 ? room : 20;

		request_init(&r, VIRTIO_BLK_T_GET_ID, 0, room);
		check(request_do(&d, &r, &written) == VIRTIO_BLK_S_OK);
		/* A status behind unfilled data does not count in used.len. */
		check(written == (room <= 20 ? part + 1 : part));
		check(all_bytes(r.data + part, 0xee, room - part));
	}
}

TEST(row36_flush_with_data_and_sector)
{
	struct request r;

	begin(16, FEATURE(VIRTIO_BLK_F_FLUSH));
	check(blk_do(&d, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) == VIRTIO_BLK_S_OK);
	check(blk_do(&d, VIRTIO_BLK_T_FLUSH, 1ull << 60, NULL, 0) == VIRTIO_BLK_S_OK);
	request_init(&r, VIRTIO_BLK_T_FLUSH, 0, SECTOR);
	request_do(&d, &r, NULL);
	check(*r.status == VIRTIO_BLK_S_OK || *r.status == VIRTIO_BLK_S_UNSUPP);
	begin(16, 0);
	check(blk_do(&d, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) != VIRTIO_BLK_S_IOERR);
}

/* Without the features, a request of every shape is unsupported. */
TEST(row37_discard_and_write_zeroes_not_negotiated)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	static const uint32_t lengths[] = { 0, 15, 16, 17, 32, PAGE };

	begin(16, 0);
	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++)
			unsupported(types[i], lengths[j]);
	device_check_alive(&d);
}

TEST(row38_flood_of_flushes)
{
	struct request flush[8], read[4];
	struct vring_used_elem elem;

	device_find(&d, 0);
	device_start(&d, 64, FEATURE(VIRTIO_BLK_F_FLUSH));
	for (unsigned int round = 0; round < 20; round++) {
		d.ring.next_desc = 0;
		for (unsigned int i = 0; i < 8; i++) {
			request_init(&flush[i], VIRTIO_BLK_T_FLUSH, 0, 0);
			request_chain(&d, &flush[i]);
			ring_stage(&d, flush[i].head);
		}
		for (unsigned int i = 0; i < 4; i++) {
			request_init(&read[i], VIRTIO_BLK_T_IN, i, SECTOR);
			request_chain(&d, &read[i]);
			ring_stage(&d, read[i].head);
		}
		ring_show(&d);
		kick(&d);
		for (unsigned int i = 0; i < 12; i++)
			ring_wait_used(&d, &elem);
		for (unsigned int i = 0; i < 8; i++)
			check(*flush[i].status == VIRTIO_BLK_S_OK);
		for (unsigned int i = 0; i < 4; i++)
			check(*read[i].status == VIRTIO_BLK_S_OK);
	}
}

/*
 * A qcow2 header that row39_... writes: it is plain data, in this boot and the next, and the disk
 * keeps its size.
 */
static const char qcow2[] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\1\0\0\0\0\24/etc/hostname";
static const uint32_t backing_at = 256;

static void check_still_raw(void)
{
	uint8_t *data = page_alloc(PAGE);

	begin(16, 0);
	check(blk_do(&d, VIRTIO_BLK_T_IN, 0, data, PAGE) == VIRTIO_BLK_S_OK);
	check(memcmp(data, qcow2, sizeof(qcow2)) == 0);
	check(memcmp(data + backing_at, "/etc/passwd", 12) == 0);
}

TEST(row39_header_of_another_format)
{
	uint8_t *data = page_alloc(PAGE);
	uint64_t capacity;

	begin(16, 0);
	capacity = d.space.capacity;
	memcpy(data, qcow2, sizeof(qcow2));
	memcpy(data + backing_at, "/etc/passwd", 12);
	check(blk_do(&d, VIRTIO_BLK_T_OUT, 0, data, PAGE) == VIRTIO_BLK_S_OK);
	check_still_raw();
	check(d.space.capacity == capacity);
}

/* Runs in the second boot. */
TEST(row39_still_raw_after_a_reboot)
{
	if (!option("rebooted=", 0))
		bare_skip("not the second boot");
	check_still_raw();
	check(d.space.capacity == parse_number(option("rebooted=", 0), &(const char *){ NULL }));
}

TEST(row40_flood_of_the_console)
{
	for (unsigned int i = 0; i < 2000; i++)
		arch_putc(i % 80 ? '.' : '\n');
	arch_putc('\n');
	device_find(&d, 0);
	device_check_alive(&d);
}

void writes_in_flight(void)
{
	struct request r[8];

	device_find(&d, 0);
	device_start(&d, 64, 0);
	for (unsigned int i = 0; i < 8; i++) {
		request_init(&r[i], VIRTIO_BLK_T_OUT, 128 + 128 * i, 16 * PAGE);
		memset(r[i].data, 0x11 * (int)(i + 1), r[i].len);
		request_chain(&d, &r[i]);
		ring_stage(&d, r[i].head);
	}
	ring_show(&d);
	kick(&d);
}
