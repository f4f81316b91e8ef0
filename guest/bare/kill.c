/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of tests/kill: writes until its VM is killed, and reports which data is stable. A batch
 * is a few concurrent writes, then a flush, which the next batch does not wait for. Without a write
 * cache, a batch is stable when its writes have completed. The guest prints one byte for each
 * stable batch, in order, so that the host sees it at once; the number of a batch determines its
 * blocks (tests/kill/run has the same arithmetic).
 *
 * Each 16 bytes of the disk identify the write they belong to (struct stamp), so torn writes are
 * found.
 */
#include "guest/bare/virtio.h"

#define SLOTS	  8u /* concurrent writes; each slot has a part of the disk of its own */
#define BLOCKS	  8u /* pages in the largest write */
#define RING	  64u
#define FLUSH	  (SLOTS * 3)
#define SEED	  0x9e3779b97f4a7c15ull
#define WRITEBACK 1

struct stamp {
	uint32_t epoch; /* number of this boot: epoch= on the command line */
	uint32_t batch;
	uint32_t place; /* slot << 16 | block of the write */
	uint32_t sum;	/* checksum of the other members */
};

static struct device d;
static struct request writes[SLOTS], flush;
static uint8_t *buffer[SLOTS];
static unsigned int writing;
static bool flushing;
static uint32_t epoch;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t draw(uint32_t batch, uint32_t slot)
{
	return mix(mix(((uint64_t)epoch << 32 | batch) + SEED) + slot);
}

static void fill(uint8_t *to, uint32_t batch, uint32_t slot, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct stamp stamp = { epoch, batch, slot << 16 | i, 0 };

		stamp.sum = (uint32_t)mix(draw(batch, stamp.place));
		for (uint32_t at = 0; at < PAGE; at += sizeof(stamp))
			memcpy(to + i * PAGE + at, &stamp, sizeof(stamp));
	}
}

static void begin_write(uint32_t batch, uint32_t slot)
{
	struct request *r = &writes[slot];
	uint64_t random = draw(batch, slot);
	uint64_t span = d.space.capacity / (PAGE / SECTOR) / SLOTS;
	uint64_t first = slot * span + (random & 0xffffffff) % (span - BLOCKS + 1);
	uint32_t count = 1 + (uint32_t)(random >> 32 & 0xff) % BLOCKS;

	/* Half of the buffers are aligned for O_DIRECT, the others are not. */
	r->data = buffer[slot] + (random >> 40 & 1) * sizeof(struct stamp);
	r->len = count * PAGE;
	r->header->sector = first * (PAGE / SECTOR);
	*r->status = NO_STATUS;
	fill(r->data, batch, slot, count);
	d.ring.next_desc = (uint16_t)(slot * 3);
	request_chain(&d, r);
	ring_stage(&d, r->head);
	writing++;
}

static void begin_flush(void)
{
	*flush.status = NO_STATUS;
	d.ring.next_desc = FLUSH;
	request_chain(&d, &flush);
	flushing = true;
	offer(&d, flush.head);
}

/* Takes completions; true when all writes are complete and, with `all`, the flush as well. */
static bool finished(bool all)
{
	struct vring_used_elem elem;

	while (ring_used(&d, &elem)) {
		if (elem.id == FLUSH) {
			check(flushing && *flush.status == VIRTIO_BLK_S_OK);
			flushing = false;
			arch_putc('.');
			continue;
		}
		check(elem.id < FLUSH && elem.id % 3 == 0);
		check(*writes[elem.id / 3].status == VIRTIO_BLK_S_OK);
		writing--;
	}
	return !writing && !(all && flushing);
}

static void start(void)
{
	uint64_t features = FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE);
	const char *life = option("epoch=", 0);

	check(life);
	epoch = (uint32_t)parse_number(life, &life);
	device_find(&d, 0);
	device_start(&d, RING, features | (option("packed=1", 0) ? PACKED : 0));
	for (unsigned int i = 0; i < SLOTS; i++) {
		request_init(&writes[i], VIRTIO_BLK_T_OUT, 0, (BLOCKS + 1) * PAGE);
		buffer[i] = writes[i].data;
	}
	request_init(&flush, VIRTIO_BLK_T_FLUSH, 0, 0);
	writing = 0;
	flushing = false;
	say("begin wce=%d\n", d.space.wce);
}

TEST(kill)
{
	start();
	for (uint32_t batch = 1;; batch++) {
		uint32_t count = 1 + (uint32_t)(draw(batch, SLOTS) % SLOTS);

		for (uint32_t slot = 0; slot < count; slot++)
			begin_write(batch, slot);
		ring_show(&d);
		kick(&d);
		wait_until(finished(false));
		if (d.space.wce == WRITEBACK) {
			/* The last batch's flush; this batch's runs beside the next writes. */
			wait_until(finished(true));
			begin_flush();
		} else {
			arch_putc('.');
		}
	}
}
