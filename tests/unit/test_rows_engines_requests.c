/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows 29 to 39 of tests/rows/table for block requests, on a whole disk with every engine. */
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

static struct disk d;
static struct mockdrv *const m = &d.m;

#define SECTORS (DISK_BYTES / 512)

enum { IN = VIRTIO_BLK_T_IN, OUT = VIRTIO_BLK_T_OUT, FLUSH = VIRTIO_BLK_T_FLUSH };
enum { OK = VIRTIO_BLK_S_OK, IOERR = VIRTIO_BLK_S_IOERR, UNSUPP = VIRTIO_BLK_S_UNSUPP };

/* Tests these requests on a new disk. */
static void answer(int way, const struct row_request *cases, unsigned int count)
{
	rows_begin(&d, way);
	rows_answer(&d, cases, count);
	rows_end(&d, false);
}

/* A read and a write that fail. The device writes only their status bytes. */
#define BOTH(sector, len, used)                          \
	{ IN, (sector), (len), true, IOERR, 0, (used) }, \
	{                                                \
		OUT, (sector), (len), false, IOERR, 0, 1 \
	}

START_TEST(row30_beyond_the_capacity_on_every_engine)
{
	static const struct row_request cases[] = {
		BOTH(SECTORS, 512, 0),
		BOTH(SECTORS - 1, 1024, 0),
		BOTH(SECTORS - 7, 4096, 0),
		BOTH(1ull << 31, 512, 0),
		BOTH(1ull << 40, 512, 0),
		/* The byte offsets of these sectors reach the sign bit, which io_submit refuses, or
		 * wrap to 0. */
		BOTH((1ull << 54) - 1, 512, 0),
		BOTH(1ull << 54, 512, 0),
		BOTH(1ull << 55, 512, 0),
		BOTH((1ull << 55) + 1, 1024, 0),
		BOTH(~0ull, 512, 0),
		BOTH(~0ull, 1024, 0),
		BOTH(~0ull - 7, 8192, 0),
	};

	answer(_i, cases, ARRAY_SIZE(cases));
}
END_TEST

/* Each buffer would fit alone, but the sum of them exceeds the capacity by one sector. */
START_TEST(row30_segments_inside_and_the_sum_outside_on_every_engine)
{
	rows_begin(&d, _i);
	for (unsigned int in = 0; in < 2; in++) {
		mock_forget(m);
		uint64_t status = mock_alloc(m, 1, 1), data = mock_alloc(m, 4096, 512);
		const struct mock_piece piece[] = {
			{ mock_header(m, in ? IN : OUT, SECTORS - 4), 16, false },
			{ data, 1024, in },
			{ data + 1024, 1024, in },
			{ data + 2048, 512, in },
			{ status, 1, true },
		};
		struct vring_used_elem elem;

		mock_offer(m, mock_chain(m, piece, ARRAY_SIZE(piece)));
		mock_wait_used(m, &elem);
		ck_assert_uint_eq(elem.len, !in);
		ck_assert_uint_eq(*(uint8_t *)mock_ptr(m, status), IOERR);
		ck_assert(all_bytes(mock_ptr(m, data), 0xee, 4096));
	}
	rows_end(&d, false);
}
END_TEST

START_TEST(row31_length_not_a_multiple_of_a_sector_on_every_engine)
{
	static const struct row_request cases[] = {
		BOTH(0, 1, 0), BOTH(0, 511, 0), BOTH(0, 513, 0), BOTH(0, 4095, 0), BOTH(9, 1000, 0),
	};

	answer(_i, cases, ARRAY_SIZE(cases));
}
END_TEST

START_TEST(row31_length_or_sector_not_a_multiple_of_a_block_on_every_engine)
{
	static const struct row_request cases[] = {
		BOTH(0, 512, 0),  BOTH(0, 4096 + 512, 0),    BOTH(1, 4096, 0),
		BOTH(7, 4096, 0), BOTH(SECTORS - 1, 512, 0),
	};

	rows_init(&d, _i);
	d.config.blk_size = 4096;
	rows_open(&d);
	rows_answer(&d, cases, ARRAY_SIZE(cases));
	rows_end(&d, false);
}
END_TEST

START_TEST(row33_read_only_disk_on_every_engine)
{
	static const struct row_request cases[] = {
		{ OUT, 0, 512, false, IOERR, 0, 1 },
		{ OUT, 8, 4096, false, IOERR, 0, 1 },
		{ OUT, SECTORS, 512, false, IOERR, 0, 1 },
		{ VIRTIO_BLK_T_DISCARD, 0, 16, false, IOERR, UNSUPP, 1 },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false, IOERR, UNSUPP, 1 },
		{ VIRTIO_BLK_T_SECURE_ERASE, 0, 16, false, IOERR, UNSUPP, 1 },
	};

	for (unsigned int ro = 0; ro < 2; ro++) {
		rows_init(&d, _i);
		d.config.readonly = true;
		disk_open(&d);
		rows_recover(&d, ROWS_RING, DISK_FEATURES | (ro ? BIT64(VIRTIO_BLK_F_RO) : 0));
		rows_answer(&d, cases, ARRAY_SIZE(cases));
		rows_end(&d, false);
	}
}
END_TEST

START_TEST(row34_unknown_types_on_every_engine)
{
	/* These include SCSI commands, BARRIER, zone commands and undefined types; each is tested
	 * with data in either direction, and without. */
	static const uint32_t types[] = { 2,  3,  5,  6,	  7,	      9,	  10,
					  12, 15, 24, 0x80000000, 0x80000001, 0x7fffffff, ~0u };

	rows_begin(&d, _i);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		const struct row_request cases[] = {
			{ types[i], 0, 512, true, UNSUPP, 0, 0 },
			{ types[i], ~0ull, 512, false, UNSUPP, 0, 1 },
			{ types[i], 0, 0, false, UNSUPP, 0, 1 },
		};

		rows_answer(&d, cases, ARRAY_SIZE(cases));
	}
	rows_end(&d, false);
}
END_TEST

START_TEST(row35_get_id_of_any_length_on_every_engine)
{
	/* used.len counts the bytes that were written without a gap, which include the status byte
	 * when the 20 bytes of the ID reach it. */
	static const struct {
		uint32_t len, used;
	} cases[] = { { 0, 1 },	  { 1, 2 },   { 19, 20 },  { 20, 21 },
		      { 21, 20 }, { 64, 20 }, { 4096, 20 } };
	static const char id[] = "nineteen-and-a-half.";
	struct mock_blk req;
	uint32_t used;

	rows_init(&d, _i);
	d.config.serial = id;
	rows_open(&d);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t n = cases[i].len < 20 ? cases[i].len : 20;

		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_GET_ID, ~0ull, cases[i].len, &req,
					  &used),
				  OK);
		ck_assert_uint_eq(used, cases[i].used);
		ck_assert_mem_eq(mock_ptr(m, req.data), id, n);
		ck_assert(all_bytes((uint8_t *)mock_ptr(m, req.data) + n, 0xee, cases[i].len - n));
	}
	rows_end(&d, false);
}
END_TEST

/* A flush succeeds or is unsupported, and its data is ignored. */
START_TEST(row36_flush_with_data_or_a_sector_on_every_engine)
{
	static const struct row_request cases[] = {
		{ FLUSH, 0, 0, false, OK, 0, 1 },
		{ FLUSH, ~0ull, 0, false, OK, UNSUPP, 1 },
		{ FLUSH, SECTORS, 512, false, OK, UNSUPP, 1 },
		{ FLUSH, 0, 512, true, OK, UNSUPP, 0 },
	};

	rows_begin(&d, _i);
	rows_answer(&d, cases, ARRAY_SIZE(cases));
	rows_recover(&d, ROWS_RING, DISK_PLAIN);
	rows_answer(&d, cases, ARRAY_SIZE(cases));
	rows_end(&d, false);
}
END_TEST

/* The segments are valid, invalid, or missing. */
START_TEST(row37_discard_and_write_zeroes_not_negotiated_on_every_engine)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
					  VIRTIO_BLK_T_SECURE_ERASE };
	static const struct virtio_blk_discard_write_zeroes segments[] = {
		{ .sector = 0, .num_sectors = 8 },
		{ .sector = 0, .num_sectors = 8, .flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP },
		{ .sector = 0, .num_sectors = ~0u },
		{ .sector = ~0ull, .num_sectors = 8 },
		{ .sector = 0, .num_sectors = 8, .flags = ~0u },
	};
	static const uint32_t lengths[] = { 0, 15, 16, 17, 32, 4096 };
	struct mock_blk req;
	uint32_t used;

	rows_begin(&d, _i);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(segments); k++) {
			mock_forget(m);
			mock_blk(m, &req, types[i], 0, 16);
			memcpy(mock_ptr(m, req.data), &segments[k], 16);
			ck_assert_uint_eq(mock_do(m, &req, &used), UNSUPP);
			ck_assert_uint_eq(used, 1);
		}
		for (unsigned int k = 0; k < ARRAY_SIZE(lengths); k++) {
			ck_assert_uint_eq(disk_do(&d, types[i], 0, lengths[k], &req, &used),
					  UNSUPP);
			ck_assert_uint_eq(used, 1);
		}
	}
	rows_end(&d, false);
}
END_TEST

/* The ring is full of flushes, with a few reads among them. */
START_TEST(row38_flood_of_flushes_on_every_engine)
{
	enum { COUNT = 28 };
	struct mock_blk req[COUNT];
	struct vring_used_elem elem;
	unsigned int seen[ROWS_RING] = { 0 };

	rows_begin(&d, _i);
	for (unsigned int round = 0; round < 10; round++) {
		mock_forget(m);
		for (unsigned int i = 0; i < COUNT; i++) {
			bool read = i % 9 == 8;

			mock_blk(m, &req[i], read ? IN : FLUSH, i, read ? 512 : 0);
			mock_stage(m, req[i].head);
		}
		mock_show(m);
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		for (unsigned int i = 0; i < COUNT; i++) {
			mock_wait_used(m, &elem);
			seen[elem.id]++;
		}
		for (unsigned int i = 0; i < COUNT; i++) {
			ck_assert_uint_eq(seen[req[i].head], round + 1);
			ck_assert_uint_eq(mock_status(m, &req[i]), OK);
			if (req[i].len)
				ck_assert(image_is_fresh(mock_ptr(m, req[i].data), i * 512, 512));
		}
	}
	rows_end(&d, false);
}
END_TEST

/* The guest writes the magic number of another format, and restarts. The image must still be
 * raw. */
START_TEST(row39_another_formats_header_stays_data_on_every_engine)
{
	static const char *const magic[] = {
		"QFI\xfb\0\0\0\3",	   "KDMV\1\0\0\0", "vhdxfile", "conectix",
		"# Disk DescriptorFile\n", "LUKS\xba\xbe"
	};
	static const uint8_t len[] = { 8, 8, 8, 8, 22, 6 };
	struct mock_blk req;

	rows_init(&d, _i);
	for (unsigned int i = 0; i < ARRAY_SIZE(magic); i++) {
		disk_open(&d);
		disk_bring_up(&d, ROWS_RING, DISK_FEATURES);
		mock_blk(m, &req, OUT, 0, 512);
		memcpy(mock_ptr(m, req.data), magic[i], len[i]);
		ck_assert_uint_eq(mock_do(m, &req, NULL), OK);
		ck_assert_int_eq(disk_close(&d), 0);

		disk_open(&d);
		uint64_t sectors = 0;
		virtio_mmio_read(&d.mmio, VIRTIO_MMIO_CONFIG, (uint8_t *)&sectors, sizeof(sectors));
		ck_assert_uint_eq(sectors, SECTORS);
		rows_recover(&d, ROWS_RING, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, IN, 0, 512, &req, NULL), OK);
		ck_assert_mem_eq(mock_ptr(m, req.data), magic[i], len[i]);
		ck_assert(all_bytes((uint8_t *)mock_ptr(m, req.data) + len[i], 0xee, 512 - len[i]));
		ck_assert_uint_eq(disk_do(&d, IN, SECTORS - 1, 512, &req, NULL), OK);
		ck_assert(image_is_fresh(mock_ptr(m, req.data), DISK_BYTES - 512, 512));
		ck_assert_int_eq(disk_close(&d), 0);
	}
	disk_open(&d);
	rows_end(&d, true);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("rows_engines_requests");
	TCase *t = tcase_create("requests");
	const int n = rows_ways();

	tcase_add_named_test(t, row30_beyond_the_capacity_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row30_segments_inside_and_the_sum_outside_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row31_length_not_a_multiple_of_a_sector_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row31_length_or_sector_not_a_multiple_of_a_block_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row33_read_only_disk_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row34_unknown_types_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row35_get_id_of_any_length_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row36_flush_with_data_or_a_sector_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row37_discard_and_write_zeroes_not_negotiated_on_every_engine, n,
			     rows_way_name);
	tcase_add_named_test(t, row38_flood_of_flushes_on_every_engine, n, rows_way_name);
	tcase_add_named_test(t, row39_another_formats_header_stays_data_on_every_engine, n,
			     rows_way_name);
	suite_add_tcase(s, t);
	return s;
}
