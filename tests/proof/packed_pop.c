/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vring_packed_pop, with indirect tables
 * Bounds: rings of 1 and 2 anywhere in RAM, any state, features and capacity; any descriptors,
 *   which change between any two reads; tables of up to 2 entries
 * Properties: each field of a descriptor is read once, the flags first and with acquire order; only
 *   available descriptors are taken; the chain is the buffers of the descriptors in their order,
 *   readable ones first; a buffer id is in flight at most once; no more descriptors are taken than
 *   the ring has; the position advances by those of the chain; state is unchanged when the ring is
 *   empty or broken; nothing is written
 * Section: 2.8.1, 2.8.6, 2.8.7, 2.8.19
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_COPY_IN(copy, at, len)	  table_read(copy, at, len)
#define ON_MAP(gpa, len, write, iov, max) walk_map(gpa, len, write, iov, max)
#define ON_MAPPED(n, len, write)	  walk_mapped((unsigned int)(n), len, write)
#define ON_LOAD(at, len, order, value)	  loaded(at, len, order, value)
#define ON_STORE(at, len, order, value)	  prove(false, "pop writes nothing")

static void table_read(const void *copy, const void *at, uint64_t len);
static void walk_map(uint64_t gpa, uint64_t len, bool write, const void *at, unsigned int max);
static void walk_mapped(unsigned int n, uint64_t len, bool write);
static void loaded(const void *at, uint64_t len, int order, uint64_t value);

#include "tests/proof/proof.h"
#include "tests/proof/ram.h"
#include "tests/proof/packed.h"

#include "dataplane/vring_packed.c"

static struct vring_dev vr, before;
static struct vring_chain chain;
static struct iovec iov[RING + HOSTMEM_MAX_REGIONS];

/* The walk as the specification has it. */
static struct {
	uint16_t at;	     /* index of the descriptor in the ring */
	bool wrap;	     /* the wrap counter of an available one there */
	unsigned int fields; /* those that were read: 1 flags, 2 addr, 4 len, 8 id */
	bool available;
	struct vring_packed_desc d; /* the descriptor, or an entry of the table */
	unsigned int count;	    /* descriptors of the ring */
	uint32_t entry, entries;    /* of an indirect table */
	bool buffer;		    /* its buffer is the next to be mapped */
	uint64_t out_len, in_len;
	unsigned int out_pieces, in_pieces;
} walk;

static void field(unsigned int which, bool first)
{
	prove(!(walk.fields & which), "each field once");
	prove(first || walk.available, "only of an available descriptor, behind its flags");
	walk.fields |= which;
	if (walk.fields != 15)
		return;
	walk.count++;
	walk.buffer = !(walk.d.flags & VRING_DESC_F_INDIRECT) && walk.d.len;
	walk.entries = walk.d.flags & VRING_DESC_F_INDIRECT ? walk.d.len / 16 : 0;
}

static void loaded(const void *at, uint64_t len, int order, uint64_t value)
{
	const struct vring_packed_desc *d;

	if (walk.fields == 15) {
		prove(walk.d.flags & VRING_DESC_F_NEXT && !walk.buffer && !walk.entries,
		      "a next one");
		walk.fields = 0;
		walk.available = false;
		if (++walk.at == vr.size) {
			walk.at = 0;
			walk.wrap = !walk.wrap;
		}
	}
	d = &vr.ring.desc[walk.at];
	if (at == (const void *)&d->flags) {
		prove(len == 2 && order == __ATOMIC_ACQUIRE, "with acquire order");
		walk.d.flags = (uint16_t)value;
		walk.available = !!(walk.d.flags & AVAIL) == walk.wrap &&
				 !!(walk.d.flags & USED) != walk.wrap;
		field(1, true);
	} else if (at == (const void *)&d->addr) {
		walk.d.addr = value;
		field(2, false);
	} else if (at == (const void *)&d->len) {
		walk.d.len = (uint32_t)value;
		field(4, false);
	} else {
		prove(at == (const void *)&d->id && len == 2, "a field of the next descriptor");
		walk.d.id = (uint16_t)value;
		field(8, false);
	}
}

static void table_read(const void *copy, const void *at, uint64_t len)
{
	static uint64_t table;

	if (!walk.entry)
		table = walk.d.addr;
	prove(len == 16 && walk.fields == 15 && walk.count == 1 && vr.indirect, "a table");
	prove(walk.entry < walk.entries && !walk.buffer, "an entry of it");
	prove(at == (const void *)(ram_base + table + 16ull * walk.entry), "the next entry");
	walk.entry++;
	walk.d.addr = ((const struct vring_packed_desc *)copy)->addr;
	walk.d.len = ((const struct vring_packed_desc *)copy)->len;
	walk.d.flags = ((const struct vring_packed_desc *)copy)->flags;
	walk.buffer = walk.d.len != 0;
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
	uint16_t id = walk.d.id;

	prove(walk.fields == 15 && !walk.buffer && walk.entry == walk.entries, "the whole chain");
	prove(walk.entries || !(walk.d.flags & VRING_DESC_F_NEXT), "up to its last descriptor");
	prove(id < vr.size && !bit_of(before.in_flight, id), "an id that was not in flight");
	prove(chain.head == id, "the id of the last descriptor");
	prove(chain.out_count == walk.out_pieces && chain.in_count == walk.in_pieces, "pieces");
	prove(chain.out_len == walk.out_len && chain.in_len == walk.in_len, "lengths");
	prove(vr.in_flight[0] == (before.in_flight[0] | 1ull << id), "it is in flight now");
	prove(vr.ring.length[id] == walk.count, "its descriptors");
	prove(vr.ring.avail_next == (walk.at + 1 == vr.size ? 0 : walk.at + 1) &&
		      avail_wrap(&vr) == (walk.at + 1 == vr.size ? !walk.wrap : walk.wrap),
	      "the position behind the chain");
	prove(!vr.broken, "the ring works");
}

int main(void)
{
	int result;

	packed_any(&vr);
	assume(!vr.broken && vr.size <= RING);
	chain.iov = iov;
	chain.capacity = ANY(unsigned int);
	assume(chain.capacity <= RING + HOSTMEM_MAX_REGIONS);
	before = vr;
	walk.at = vr.ring.avail_next;
	walk.wrap = avail_wrap(&vr);

	result = vring_packed_pop(&vr, &chain);

	if (result == 1) {
		popped();
	} else {
		prove(vr.ring.avail_next == before.ring.avail_next &&
			      vr.ring.avail_flags == before.ring.avail_flags &&
			      vr.ring.desc_in_flight == before.ring.desc_in_flight &&
			      vr.in_flight[0] == before.in_flight[0],
		      "nothing was popped");
		prove(result == (vr.broken ? -EBADMSG : 0), "empty or broken");
		prove(result || (walk.fields == 1 && !walk.available), "the ring is empty");
	}
	prove(vr.ring.used_next == before.ring.used_next && vr.ring.batch == before.ring.batch,
	      "used elements are left alone");
	prove(packed_holds(&vr), "the ring's state stays valid");
}
