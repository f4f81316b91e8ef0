/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vring_split_pop, with indirect tables
 * Bounds: rings of 1 and 2 anywhere in RAM, any indices, heads in flight, features and capacity;
 *   any descriptors, which change between any two reads
 * Properties: each descriptor is read once, from the ring's table or from one indirect table, at
 *   the `next` of its predecessor; the chain is the buffers of the descriptors in their order,
 *   readable ones first; a head is in flight at most once; last_avail advances by what was popped;
 *   state is unchanged when the ring is empty or broken; nothing is written
 * Section: 2.7.5, 2.7.5.3, 2.7.13
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_COPY_IN(copy, at, len)	  walk_read(copy, at, len)
#define ON_MAP(gpa, len, write, iov, max) walk_map(gpa, len, write, iov, max)
#define ON_MAPPED(n, len, write)	  walk_mapped((unsigned int)(n), len, write)
#define ON_LOAD(at, len, order, value)	  loaded(at, len, order, value)
#define ON_STORE(at, len, order, value)	  prove(false, "pop writes nothing")

static void walk_read(const void *copy, const void *at, uint64_t len);
static void walk_map(uint64_t gpa, uint64_t len, bool write, const void *at, unsigned int max);
static void walk_mapped(unsigned int n, uint64_t len, bool write);
static void loaded(const void *at, uint64_t len, int order, uint64_t value);

#include "tests/proof/proof.h"
#include "tests/proof/ram.h"
#include "tests/proof/split.h"

#include "dataplane/vring_split.c"

static struct vring_dev vr, before;
static struct vring_chain chain;
static struct iovec iov[RING + HOSTMEM_MAX_REGIONS];

/* The walk as the specification has it. */
static struct {
	const char *table;
	uint32_t entries;
	bool indirect;
	uint32_t at; /* index of the descriptor to be read next */
	bool ended;
	struct vring_desc d; /* descriptor read last */
	bool buffer;	     /* its buffer is the next to be mapped */
	unsigned int count;  /* buffers */
	uint64_t out_len, in_len;
	unsigned int out_pieces, in_pieces;
} walk;

static uint16_t avail_idx, head;
static bool avail_idx_read, head_read;

static void loaded(const void *at, uint64_t len, int order, uint64_t value)
{
	prove(len == 2, "a field");
	if (at == (const void *)&vr.avail->idx) {
		prove(!avail_idx_read && !head_read, "the index is read once, before an entry");
		prove(order == __ATOMIC_ACQUIRE, "entries are read after the index");
		avail_idx_read = true;
		avail_idx = (uint16_t)value;
	} else {
		prove(at == (const void *)&vr.avail->ring[before.last_avail % vr.size],
		      "the entry of last_avail");
		prove(!head_read, "the entry is read once");
		head_read = true;
		head = (uint16_t)value;
		walk.table = (const char *)vr.desc;
		walk.entries = vr.size;
		walk.at = head;
	}
}

static void walk_read(const void *copy, const void *at, uint64_t len)
{
	prove(len == sizeof(walk.d) && head_read && !walk.ended, "a descriptor of the chain");
	prove(!walk.buffer, "no buffer was left out");
	prove(walk.at < walk.entries, "an entry of the table");
	prove(at == (const void *)(walk.table + 16ull * walk.at), "the next descriptor");
	walk.d = *(const struct vring_desc *)copy;
	if (walk.d.flags & VRING_DESC_F_INDIRECT) {
		walk.ended = walk.indirect || !vr.indirect || walk.d.flags & VRING_DESC_F_NEXT ||
			     !walk.d.len || walk.d.len % 16 || !ram_has(walk.d.addr, walk.d.len);
		walk.table = ram_base + walk.d.addr;
		walk.entries = walk.d.len / 16;
		walk.indirect = true;
		walk.at = 0;
	} else {
		walk.buffer = walk.d.len != 0;
		walk.count++;
		walk.ended = !(walk.d.flags & VRING_DESC_F_NEXT);
		walk.at = walk.d.next;
	}
}

static void walk_map(uint64_t gpa, uint64_t len, bool write, const void *at, unsigned int max)
{
	unsigned int pieces = walk.out_pieces + walk.in_pieces;

	prove(walk.buffer && gpa == walk.d.addr && len == walk.d.len, "the descriptor's buffer");
	prove(write == !!(walk.d.flags & VRING_DESC_F_WRITE), "in its direction");
	prove(write || !walk.in_len, "readable buffers first");
	prove(at == (const void *)(iov + pieces) && max == chain.capacity - pieces,
	      "behind the pieces before it");
	walk.buffer = false;
}

static void walk_mapped(unsigned int n, uint64_t len, bool write)
{
	if (write) {
		walk.in_pieces += n;
		walk.in_len += len;
	} else {
		walk.out_pieces += n;
		walk.out_len += len;
	}
}

static void popped(void)
{
	prove(head < vr.size && !bit_of(before.in_flight, head), "a head that was not in flight");
	prove(chain.head == head, "the head of the entry");
	prove(walk.count >= 1 && walk.count <= vr.size && walk.ended && !walk.buffer,
	      "the whole chain");
	prove(chain.out_count == walk.out_pieces && chain.in_count == walk.in_pieces, "pieces");
	prove(chain.out_len == walk.out_len && chain.in_len == walk.in_len, "lengths");
	prove(vr.in_flight[0] == (before.in_flight[0] | 1ull << head), "it is in flight now");
	prove(vr.last_avail == (uint16_t)(before.last_avail + 1), "one entry was popped");
	prove(!vr.broken, "the ring works");
	if (vr.in_order) {
		prove(vr.order.next == (uint16_t)(before.order.next + 1) &&
			      vr.order.head[before.order.next % VRING_MAX_SIZE] == head,
		      "its place in the order");
		prove(vr.order.first == before.order.first, "the order's first");
	}
}

int main(void)
{
	int result;

	split_any(&vr);
	assume(!vr.broken);
	chain.iov = iov;
	chain.capacity = ANY(unsigned int);
	assume(chain.capacity <= RING + HOSTMEM_MAX_REGIONS);
	before = vr;

	result = vring_split_pop(&vr, &chain);

	if (result == 1) {
		popped();
	} else {
		prove(vr.last_avail == before.last_avail &&
			      vr.in_flight[0] == before.in_flight[0] &&
			      vr.order.next == before.order.next,
		      "nothing was popped");
		prove(result == (vr.broken ? -EBADMSG : 0), "empty or broken");
		prove(result || (avail_idx_read && avail_idx == vr.last_avail),
		      "the ring is empty");
	}
	if (avail_idx_read)
		prove(vr.broken || (uint16_t)(avail_idx - before.last_avail) <= vr.size,
		      "an index too far ahead breaks the ring");
	prove(vr.used_next == before.used_next && vr.published == before.published &&
		      vr.signalled == before.signalled,
	      "the used ring is left alone");
	prove(vr.broken || split_holds(&vr), "the ring's state stays valid");
}
