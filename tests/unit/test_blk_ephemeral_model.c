/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random requests to an ephemeral disk, compared with a flat copy of the guest's writes: with
 * every engine and both ring formats, by one queue and by two with a thread each. The requests of a
 * round are in flight together and share blocks, but no sectors.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/overlay.h"
#include "tests/lib/cases.h"
#include "tests/lib/queues.h"
#include "tests/lib/rows.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

/* The last block is incomplete. */
#define BYTES	 (DISK_BYTES - 3 * 512)
#define SECTORS	 (BYTES / 512)
#define BLOCK	 (OVERLAY_BLOCK / 512)
#define QUEUES	 2u
#define DEPTH	 QUEUES_DEPTH
#define OPS_MOST 20u /* sectors */
/* Rounds between two starts of the disk, after which nothing is written. */
#define LIFE 60u

/* 24 cases of 700 rounds with 6 requests each on average. */
#define MODEL_ROUNDS ROUNDS(700, 120, 120)

struct request {
	uint32_t type;
	uint64_t sector;
	uint32_t sectors;
	uint64_t data, status;
	uint16_t head;
};

static struct disk d;
static struct mockdrv q[QUEUES];
static unsigned int queues;
static uint8_t model[BYTES], seen[BYTES];
static uint8_t used[SECTORS]; /* by a request of this round */
static struct request request[QUEUES][DEPTH];
static uint32_t state;

static uint32_t next(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

/* ---- the disk ---- */

static void begin(int i)
{
	unsigned int ways = (unsigned int)rows_ways();

	queues = 1 + (unsigned int)i / ways;
	rows_init(&d, i % (int)ways);
	ck_assert_int_eq(ftruncate(d.image.fd, BYTES), 0);
	d.image.size = BYTES;
	d.config.ephemeral = true;
	d.config.queues = d.config.iothreads = queues;
}

static void start(void)
{
	disk_open(&d);
	queues_bring_up(&d, q, QUEUES_ALL(queues),
			DISK_FEATURES | DISK_RING | d.format | BIT64(VIRTIO_BLK_F_DISCARD) |
				BIT64(VIRTIO_BLK_F_WRITE_ZEROES) |
				(queues > 1 ? BIT64(VIRTIO_BLK_F_MQ) : 0));
	image_peek(&d.image, model, 0, BYTES);
}

static void stop(void)
{
	ck_assert_int_eq(disk_close(&d), 0);
	ck_assert(image_is_untouched(&d.image));
}

/* ---- requests ---- */

/* Chooses sectors that no other request of the round uses. False: the choice is in use. */
static bool choose(struct request *r, uint64_t window)
{
	r->sectors = 1 + next(next(4) ? OPS_MOST : 8);
	r->sector = next(4) ? window + next(6 * BLOCK) : next(SECTORS);
	if (r->type == VIRTIO_BLK_T_DISCARD && next(4)) {
		r->sector -= r->sector % BLOCK;
		r->sectors += BLOCK - r->sectors % BLOCK;
	}
	if (r->sector >= SECTORS)
		return false;
	if (r->sectors > SECTORS - r->sector)
		r->sectors = (uint32_t)(SECTORS - r->sector);
	for (uint32_t i = 0; i < r->sectors; i++)
		if (used[r->sector + i])
			return false;
	memset(used + r->sector, 1, r->sectors);
	return true;
}

static bool moves_data(const struct request *r)
{
	return r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_OUT;
}

static uint32_t data_len(const struct request *r)
{
	if (r->type == VIRTIO_BLK_T_FLUSH)
		return 0;
	return moves_data(r) ? r->sectors * 512 : sizeof(struct virtio_blk_discard_write_zeroes);
}

static void fill(struct mockdrv *m, struct request *r)
{
	uint8_t *data = mock_ptr(m, r->data);
	uint32_t seed = next(1 << 20);

	if (r->type == VIRTIO_BLK_T_OUT) {
		for (uint32_t i = 0; i < r->sectors * 512; i++)
			data[i] = (uint8_t)(seed + i * 7 + i / 512);
	} else if (!moves_data(r)) {
		struct virtio_blk_discard_write_zeroes range = {
			.sector = r->sector,
			.num_sectors = r->sectors,
			.flags = r->type == VIRTIO_BLK_T_WRITE_ZEROES ? next(2) : 0,
		};

		memcpy(data, &range, data_len(r));
	}
}

/* Builds the chain: the data in up to four pieces, at an odd address or not. */
static void build(struct mockdrv *m, struct request *r)
{
	struct mock_piece piece[6];
	uint32_t len = data_len(r), at = 0;
	unsigned int n = 1;

	piece[0] = (struct mock_piece){ mock_header(m, r->type, r->sector), 16, false };
	r->data = mock_alloc(m, len + 16, 512) + (next(4) ? 0 : next(16));
	fill(m, r);
	while (at < len) {
		uint32_t rest = len - at;
		uint32_t size = n < 4 && next(2) ? 1 + next(rest) : rest;

		if (size < rest && next(2) && size > 512)
			size -= size % 512;
		piece[n++] = (struct mock_piece){ r->data + at, size, r->type == VIRTIO_BLK_T_IN };
		at += size;
	}
	r->status = mock_alloc(m, 1, 1);
	piece[n++] = (struct mock_piece){ r->status, 1, true };
	r->head = mock_chain_indirect(m, 0, piece, n);
	mock_stage(m, r->head);
}

static void offer(unsigned int count[QUEUES])
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN,	     VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_OUT,	     VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_DISCARD,
					  VIRTIO_BLK_T_IN,	     VIRTIO_BLK_T_FLUSH };
	uint64_t window = next(SECTORS);

	memset(used, 0, sizeof(used));
	for (unsigned int k = 0; k < queues; k++) {
		mock_forget(&q[k]);
		count[k] = 0;
		for (unsigned int i = 0; i < DEPTH; i++) {
			struct request *r = &request[k][count[k]];

			r->type = types[next(ARRAY_SIZE(types))];
			if (!choose(r, window))
				continue;
			build(&q[k], r);
			count[k]++;
		}
		mock_show(&q[k]);
	}
	for (unsigned int k = 0; k < queues; k++)
		if (count[k])
			mock_kick(&q[k]);
}

/* ---- the model ---- */

static void peek_sector(uint64_t sector, uint8_t *data)
{
	struct mock_blk req;
	struct vring_used_elem elem;

	mock_forget(&q[0]);
	mock_blk(&q[0], &req, VIRTIO_BLK_T_IN, sector, 512);
	mock_offer(&q[0], req.head);
	mock_wait_used(&q[0], &elem);
	must(mock_status(&q[0], &req) == VIRTIO_BLK_S_OK);
	memcpy(data, mock_ptr(&q[0], req.data), 512);
	q[0].heap = req.header;
}

/* A discard zeroes whole blocks. Other sectors may have been zeroed or not. */
static void discard_model(const struct request *r)
{
	static const uint8_t zeros[512];

	for (uint64_t s = r->sector; s < r->sector + r->sectors; s++) {
		uint64_t first = s - s % BLOCK, last = first + BLOCK;
		uint8_t data[512];

		if (first >= r->sector && last <= r->sector + r->sectors) {
			memset(model + s * 512, 0, 512);
			continue;
		}
		peek_sector(s, data);
		must(!memcmp(data, zeros, 512) || !memcmp(data, model + s * 512, 512));
		memcpy(model + s * 512, data, 512);
	}
}

static void judge(struct mockdrv *m, const struct request *r)
{
	uint8_t *at = model + r->sector * 512;
	uint32_t len = r->sectors * 512;

	if (*(uint8_t *)mock_ptr(m, r->status) != VIRTIO_BLK_S_OK)
		ck_abort_msg("request of type %u: status %u", r->type,
			     *(uint8_t *)mock_ptr(m, r->status));
	if (r->type == VIRTIO_BLK_T_IN && memcmp(at, mock_ptr(m, r->data), len))
		ck_abort_msg("wrong data read from sector %llu", (unsigned long long)r->sector);
	if (r->type == VIRTIO_BLK_T_OUT)
		memcpy(at, mock_ptr(m, r->data), len);
	if (r->type == VIRTIO_BLK_T_WRITE_ZEROES)
		memset(at, 0, len);
}

static void run_round(void)
{
	struct vring_used_elem elem;
	unsigned int count[QUEUES];
	uint64_t heap[QUEUES];

	for (unsigned int k = 0; k < queues; k++)
		heap[k] = q[k].heap;
	offer(count);
	for (unsigned int k = 0; k < queues; k++)
		for (unsigned int i = 0; i < count[k]; i++)
			mock_wait_used(&q[k], &elem);
	for (unsigned int k = 0; k < queues; k++)
		for (unsigned int i = 0; i < count[k]; i++)
			judge(&q[k], &request[k][i]);
	for (unsigned int k = 0; k < queues; k++)
		for (unsigned int i = 0; i < count[k]; i++)
			if (request[k][i].type == VIRTIO_BLK_T_DISCARD)
				discard_model(&request[k][i]);
	for (unsigned int k = 0; k < queues; k++)
		q[k].heap = heap[k];
}

/* Reads all of the disk, by requests that span written and unwritten blocks. */
static void compare(void)
{
	const uint32_t most = 64u << 10;

	for (uint64_t at = 0; at < BYTES; at += most) {
		uint32_t len = BYTES - at < most ? (uint32_t)(BYTES - at) : most;
		struct vring_used_elem elem;
		struct mock_blk req;

		mock_forget(&q[0]);
		mock_blk(&q[0], &req, VIRTIO_BLK_T_IN, at / 512, len);
		mock_offer(&q[0], req.head);
		mock_wait_used(&q[0], &elem);
		must(elem.len == len + 1);
		memcpy(seen + at, mock_ptr(&q[0], req.data), len);
		q[0].heap = req.header;
	}
	for (uint64_t i = 0; i < SECTORS; i++)
		if (memcmp(seen + i * 512, model + i * 512, 512))
			ck_abort_msg("sector %llu differs", (unsigned long long)i);
}

static const char *name(int i)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s, queues=%d", rows_way_name(i % rows_ways()),
		 1 + i / rows_ways());
	return text;
}

START_TEST(random_requests_leave_what_the_guest_has_written)
{
	unsigned int rounds = MODEL_ROUNDS;

	begin(_i);
	state = 1 + (uint32_t)_i * 77;
	for (unsigned int i = 0; i < rounds; i++) {
		if (i % LIFE == 0)
			start();
		run_round();
		if (i % LIFE == LIFE - 1 || i == rounds - 1) {
			compare();
			stop();
		}
	}
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_ephemeral_model");
	TCase *t = tcase_create("model");

	tcase_set_timeout(t, 300);
	tcase_add_named_test(t, random_requests_leave_what_the_guest_has_written, 2 * rows_ways(),
			     name);
	suite_add_tcase(s, t);
	return s;
}
