/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/rows.h"

#include <stdio.h>
#include <string.h>

#define GOOD_SECTOR 8
#define GOOD_LEN    4096u

/* Fails the test with the name of the case when cond is false. */
#define in_case(what, cond)                                         \
	do {                                                        \
		if (!(cond))                                        \
			ck_abort_msg("%s: not: %s", (what), #cond); \
	} while (0)

int rows_ways(void)
{
	return 2 * engine_ways();
}

const char *rows_way_name(int way)
{
	static char name[48];

	snprintf(name, sizeof(name), "%s, %s", engine_way_name(way % engine_ways()),
		 mock_format_name(way >= engine_ways()));
	return name;
}

void rows_init(struct disk *d, int way)
{
	struct engine_way engine = engine_way(way % engine_ways());

	disk_init(d, engine.engine);
	d->config.direct = engine.direct ? BLK_DIRECT_AUTO : BLK_DIRECT_OFF;
	d->config.packed = way >= engine_ways();
	d->format = d->config.packed ? BIT64(VIRTIO_F_RING_PACKED) : 0;
	d->config.queue_size = BLK_QUEUE_MAX;
}

void rows_open(struct disk *d)
{
	disk_open(d);
	rows_recover(d, ROWS_RING, DISK_FEATURES | DISK_RING);
}

void rows_begin(struct disk *d, int way)
{
	rows_init(d, way);
	rows_open(d);
}

void rows_end(struct disk *d, bool written)
{
	rows_recover(d, ROWS_RING, DISK_FEATURES);
	if (written)
		ck_assert_uint_eq(image_size(&d->image), d->image.size);
	else
		ck_assert(image_is_untouched(&d->image));
	disk_fini(d);
}

static void good_read(struct disk *d, const char *what)
{
	struct mock_blk req;
	uint32_t len;

	in_case(what,
		disk_do(d, VIRTIO_BLK_T_IN, GOOD_SECTOR, GOOD_LEN, &req, &len) == VIRTIO_BLK_S_OK);
	in_case(what, len == GOOD_LEN + 1);
	in_case(what, image_is_fresh(mock_ptr(&d->m, req.data), GOOD_SECTOR * 512, GOOD_LEN));
}

void rows_recover(struct disk *d, uint16_t ring, uint64_t features)
{
	disk_bring_up(d, ring, features);
	good_read(d, "after a reset");
}

static void stage_good(struct mockdrv *m, struct mock_blk *req)
{
	mock_blk(m, req, VIRTIO_BLK_T_IN, GOOD_SECTOR, GOOD_LEN);
	mock_stage(m, req->head);
}

static void ring(struct disk *d)
{
	mock_show(&d->m);
	reg_set(&d->mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* ---- requests that break the queue ([B] in tests/rows/table) ---- */

static bool untouched(const struct mockdrv *m, const struct mock_blk *req)
{
	return mock_status(m, req) == 0xff && all_bytes(mock_ptr(m, req->data), 0xee, req->len);
}

static bool told_broken(struct disk *d)
{
	return reg_get(&d->mmio, VIRTIO_MMIO_INTERRUPT_STATUS) & IRQLINE_CONFIG;
}

/* Checks the outcome of the batch after a reset of the device. The good read before the bad entry
 * may have been completed once; the good read after it must be untouched. */
static void judge_broken(struct disk *d, const struct row_bad *bad, const struct mock_blk *before,
			 const struct mock_blk *after)
{
	struct mockdrv *m = &d->m;
	unsigned int goods = 0, bads = 0;
	struct vring_used_elem elem;

	while (mock_used(m, &elem)) {
		if (elem.id == before->head) {
			goods++;
			in_case(bad->what, elem.len == GOOD_LEN + 1);
			in_case(bad->what, mock_status(m, before) == VIRTIO_BLK_S_OK);
			in_case(bad->what, image_is_fresh(mock_ptr(m, before->data),
							  GOOD_SECTOR * 512, GOOD_LEN));
		} else {
			bads++;
			in_case(bad->what, elem.len == 0);
		}
	}
	in_case(bad->what, goods <= !(bad->flags & HIDES_EARLIER));
	in_case(bad->what, bads == !!(bad->flags & COMES_BACK));
	if (bad->flags & HIDES_EARLIER)
		in_case(bad->what, untouched(m, before));
	in_case(bad->what, untouched(m, after));
}

static void break_once(struct disk *d, const struct row_bad *bad)
{
	struct mockdrv *m = &d->m;
	struct mock_blk before, after;

	disk_bring_up(d, ROWS_RING, DISK_FEATURES | (bad->flags & NO_INDIRECT ? 0 : DISK_RING));
	good_read(d, bad->what);
	stage_good(m, &before);
	bad->offer(m, &before, bad->arg);
	m->next_desc = ROWS_RING - 3;
	stage_good(m, &after);
	ring(d);
	for (int64_t end = mock_deadline(); !told_broken(d);) {
		in_case(bad->what, mock_seconds() <= end);
		mock_yield(end);
	}
	in_case(bad->what, reg_status(&d->mmio) == (ST_DRIVER_OK | ST_NEEDS_RESET));
	in_case(bad->what, mock_wait_irq(m) >= 1);
	/* A broken queue must ignore further requests. */
	mock_offer(m, after.head);
	reg_set_status(&d->mmio, 0);
	in_case(bad->what, reg_status(&d->mmio) == 0);
	judge_broken(d, bad, &before, &after);
}

void rows_break(struct disk *d, const struct row_bad *bad, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (bad[i].flags & (d->format ? SPLIT_ONLY : PACKED_ONLY))
			continue;
		break_once(d, &bad[i]);
		rows_recover(d, ROWS_RING, DISK_FEATURES | DISK_RING);
	}
}

/* ---- unusual framing, which must work ---- */

#define PIECES_MAX 1024u

/* The layout of a request. Addresses are guest physical. */
struct layout {
	struct mock_piece piece[PIECES_MAX]; /* its descriptors, in order */
	unsigned int count;
	uint64_t data[PIECES_MAX]; /* address of each piece of the data */
	unsigned int data_count;
	uint64_t header;
	uint64_t status;
};

static void add_piece(struct layout *l, const struct row_framing *f, uint64_t gpa, uint32_t len,
		      bool write)
{
	must(l->count + 2 <= PIECES_MAX);
	if (f->empties)
		l->piece[l->count++] = (struct mock_piece){ MOCK_HOLE, 0, write };
	l->piece[l->count++] = (struct mock_piece){ gpa, len, write };
}

static uint32_t piece_len(const struct row_framing *f, unsigned int i)
{
	uint32_t piece = f->piece ? f->piece : f->len;
	uint32_t left = f->len - i * piece;

	return left < piece ? left : piece;
}

static void place_data(struct mockdrv *m, const struct row_framing *f, struct layout *l)
{
	uint32_t piece = f->piece ? f->piece : f->len;
	unsigned int count = (f->len + piece - 1) / piece;
	uint64_t bytes = f->len + (uint64_t)count * f->gap;
	/* The allocation leaves room for a header before the data and a status byte behind it. */
	uint64_t at = f->at ? f->at : mock_alloc(m, bytes + f->odd + 1024, 512) + 512 + f->odd;

	if (f->at)
		memset(mock_ptr(m, at), 0xee, bytes);
	l->data_count = count;
	for (unsigned int i = 0; i < count; i++)
		l->data[i] = at + (uint64_t)i * (piece + f->gap);
	l->header = f->glued ? at - 16 : mock_alloc(m, 16, 1);
	l->status = f->glued ? at + bytes : mock_alloc(m, 1, 1);
}

/* Fills *l with the header, data and status of a request, split as the case says. */
static void lay_out(struct mockdrv *m, const struct row_framing *f, uint64_t sector, bool in,
		    struct layout *l)
{
	struct virtio_blk_outhdr header = {
		.type = in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
		.sector = sector,
	};
	unsigned int heads = f->header ? f->header : 1;
	bool glue_header = f->glued && !in, glue_status = f->glued && in;

	l->count = 0;
	place_data(m, f, l);
	memcpy(mock_ptr(m, l->header), &header, sizeof(header));
	*(uint8_t *)mock_ptr(m, l->status) = 0xff;
	for (unsigned int i = 0; i < heads; i++) {
		uint32_t from = i * 16 / heads, to = (i + 1) * 16 / heads;

		if (glue_header && i + 1 == heads)
			to += piece_len(f, 0);
		add_piece(l, f, l->header + from, to - from, false);
	}
	for (unsigned int i = glue_header; i < l->data_count; i++)
		add_piece(l, f, l->data[i],
			  piece_len(f, i) + (glue_status && i + 1 == l->data_count), in);
	if (!glue_status)
		add_piece(l, f, l->status, 1, true);
}

static uint16_t make_chain(struct mockdrv *m, const struct row_framing *f, const struct layout *l)
{
	unsigned int direct = f->table == TABLE_NONE ? l->count : f->table == TABLE_TAIL ? 1 : 0;
	uint32_t bytes = (l->count - direct + f->table_spare) * (uint32_t)sizeof(struct vring_desc);
	uint16_t head = m->next_desc;

	if (direct)
		mock_chain(m, l->piece, direct);
	if (direct == l->count)
		return head;
	uint16_t ref =
		mock_chain_indirect(m, mock_alloc(m, bytes + f->table_odd, 16) + f->table_odd,
				    l->piece + direct, l->count - direct);
	m->desc[ref].len = bytes;
	m->desc[ref].flags |= f->ref_flags;
	if (direct) {
		m->desc[ref - 1].flags |= NEXT;
		m->desc[ref - 1].next = ref;
	}
	return head;
}

/* Returns byte i of the data that case `number` writes. */
static uint8_t pattern(unsigned int number, uint32_t i)
{
	return (uint8_t)(number * 37 + i % 251);
}

/* Expected content of the image: the data of a request, and 512 bytes before and behind it. */
static uint8_t in_file[512 + (256 << 10) + 512];

static void frame_once(struct disk *d, uint64_t sector, const struct row_framing *f, bool in,
		       unsigned int number)
{
	static struct layout l;
	struct mockdrv *m = &d->m;
	struct mock_blk before, after;
	struct vring_used_elem elem;
	uint32_t at = 0;

	rows_recover(d, BLK_QUEUE_MAX, DISK_FEATURES | DISK_RING);
	mock_forget(m);
	lay_out(m, f, sector, in, &l);
	for (unsigned int i = 0; i < l.data_count && !in; i++)
		for (uint32_t k = 0; k < piece_len(f, i); k++)
			((uint8_t *)mock_ptr(m, l.data[i]))[k] = pattern(number, at++);
	image_peek(&d->image, in_file, sector * 512 - 512, f->len + 1024);

	stage_good(m, &before);
	uint16_t head = make_chain(m, f, &l);
	mock_stage(m, head);
	stage_good(m, &after);
	ring(d);
	for (unsigned int i = 0; i < 3; i++) {
		mock_wait_used(m, &elem);
		if (elem.id == head)
			in_case(f->what, elem.len == (in ? f->len + 1 : 1));
	}
	in_case(f->what, *(uint8_t *)mock_ptr(m, l.status) == VIRTIO_BLK_S_OK);
	in_case(f->what, mock_status(m, &before) == VIRTIO_BLK_S_OK);
	in_case(f->what, mock_status(m, &after) == VIRTIO_BLK_S_OK);

	/* In memory, a read must change the data and nothing between its pieces. */
	at = 512;
	for (unsigned int i = 0; i < l.data_count; i++) {
		const uint8_t *bytes = mock_ptr(m, l.data[i]);

		for (uint32_t k = 0; k < piece_len(f, i) && !in; k++, at++)
			in_file[at] = bytes[k];
		if (in)
			in_case(f->what, !memcmp(bytes, in_file + at, piece_len(f, i)));
		at += in ? piece_len(f, i) : 0;
		in_case(f->what,
			i + 1 == l.data_count || all_bytes(bytes + piece_len(f, i), 0xee, f->gap));
	}
	/* In the file, a write must change its data and no byte around it. */
	static uint8_t now[sizeof(in_file)];
	image_peek(&d->image, now, sector * 512 - 512, f->len + 1024);
	in_case(f->what, !memcmp(now, in_file, f->len + 1024));
}

void rows_frame(struct disk *d, uint64_t sector, const struct row_framing *framing,
		unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (d->format && (framing[i].table == TABLE_TAIL || framing[i].table_spare))
			continue;
		must(framing[i].len + 1024 <= sizeof(in_file));
		frame_once(d, sector, &framing[i], false, i + 1);
		frame_once(d, sector, &framing[i], true, i + 1);
	}
}

/* ---- requests that fail ([E] in tests/rows/table), and requests that need no I/O ---- */

static void answer_once(struct disk *d, const struct row_request *r)
{
	struct mockdrv *m = &d->m;
	struct mock_blk before, req, after;
	struct vring_used_elem elem;
	char what[96];

	snprintf(what, sizeof(what), "type %u, sector 0x%llx, %u bytes", r->type,
		 (unsigned long long)r->sector, r->len);
	disk_bring_up(d, ROWS_RING, d->dev->accepted);
	stage_good(m, &before);
	mock_blk(m, &req, r->type, r->sector, r->len);
	if (r->len)
		m->desc[req.head + 1].flags = (uint16_t)(NEXT | (r->to_guest ? WRITE : 0));
	mock_stage(m, req.head);
	stage_good(m, &after);
	ring(d);
	for (unsigned int i = 0; i < 3; i++) {
		mock_wait_used(m, &elem);
		if (elem.id == req.head)
			in_case(what, elem.len == r->used_len);
		else
			in_case(what, elem.len == GOOD_LEN + 1);
	}
	uint8_t status = mock_status(m, &req);
	in_case(what, status == r->status || (r->status2 && status == r->status2));
	in_case(what, mock_status(m, &before) == VIRTIO_BLK_S_OK);
	in_case(what, mock_status(m, &after) == VIRTIO_BLK_S_OK);
	/* A request that failed must not have changed its data buffer. */
	if (status != VIRTIO_BLK_S_OK)
		in_case(what, all_bytes(mock_ptr(m, req.data), 0xee, r->len));
	in_case(what, reg_status(&d->mmio) == ST_DRIVER_OK);
}

void rows_answer(struct disk *d, const struct row_request *request, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		answer_once(d, &request[i]);
}
