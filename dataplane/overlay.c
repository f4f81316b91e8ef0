/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/overlay.h"

#include <errno.h>
#include <sys/mman.h>

#include "dataplane/base.h"

#define PER_WORD 32u
#define CLAIMED	 PER_WORD /* position of the claim bits */

static size_t overlay_map_bytes(const struct overlay *o)
{
	return ((o->blocks + PER_WORD - 1) / PER_WORD) * sizeof(uint64_t);
}

COLD int overlay_create(struct overlay **overlay, uint64_t bytes)
{
	struct overlay *o = cacheline_alloc(sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->blocks = (bytes + OVERLAY_BLOCK - 1) / OVERLAY_BLOCK;
	o->map = mmap(NULL, overlay_map_bytes(o), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (o->map == MAP_FAILED) {
		cacheline_free(o);
		return -ENOMEM;
	}
	/* With huge pages, the first write would make 2 MiB resident. */
	madvise(o->map, overlay_map_bytes(o), MADV_NOHUGEPAGE);
	*overlay = o;
	return 0;
}

COLD void overlay_destroy(struct overlay *o)
{
	if (!o)
		return;
	munmap(o->map, overlay_map_bytes(o));
	cacheline_free(o);
}

COLD void overlay_attach(struct overlay *o, unsigned int waiter, struct evloop *loop)
{
	o->loop[waiter] = loop;
}

/* Returns a mask of the blocks from `first` on that are in its word, at most `count` of them. */
static uint32_t overlay_mask(uint64_t first, unsigned int count)
{
	unsigned int at = first % PER_WORD;
	uint32_t mask = UINT32_MAX << at;

	if (count < PER_WORD - at)
		mask &= (1u << (at + count)) - 1;
	return mask;
}

/* Returns how many low bits of `bits` from position `at` on are set without a gap. */
static unsigned int overlay_count(uint32_t bits, unsigned int at)
{
	uint32_t clear = ~(bits >> at);

	return clear ? (unsigned int)__builtin_ctz(clear) : PER_WORD;
}

/* Returns the written bits of the word that the block is in. The acquire pairs with the release in
 * overlay_end_claim: a block that reads as written has its data in the other file. */
static uint32_t overlay_written(const struct overlay *o, uint64_t block)
{
	return (uint32_t)LOAD_ACQUIRE(o->map[block / PER_WORD]);
}

unsigned int overlay_run(const struct overlay *o, uint64_t first, unsigned int most, bool *written)
{
	unsigned int count = 0;
	uint32_t bits, flip;

	*written = first >= o->blocks;
	if (*written)
		return most;
	if (most > o->blocks - first)
		most = (unsigned int)(o->blocks - first);
	bits = overlay_written(o, first);
	/* Turns the bits of blocks like the first one into ones. */
	flip = (bits >> first % PER_WORD & 1) - 1;
	*written = !flip;
	for (;;) {
		uint64_t at = first + count;
		unsigned int n = overlay_count((bits ^ flip) & overlay_mask(at, most - count),
					       at % PER_WORD);

		count += n;
		if (!n || count == most || (at + n) % PER_WORD)
			return count;
		bits = overlay_written(o, at + n);
	}
}

/* Claims unwritten and unclaimed blocks of one word, at the front of `mask`. Returns how many. */
static unsigned int overlay_claim_word(uint64_t *word, uint32_t mask)
{
	unsigned int at = (unsigned int)__builtin_ctz(mask);
	uint64_t old = READ_ONCE(*word), new;
	unsigned int count;

	do {
		uint32_t taken = (uint32_t)old | (uint32_t)(old >> CLAIMED);

		count = overlay_count(~taken & mask, at);
		if (!count)
			return 0;
		new = old | (uint64_t)overlay_mask(at, count) << CLAIMED;
		/* The acquire pairs with the release in overlay_end_claim: what a failed change has
		 * left in the other file comes before the next change. */
	} while (!__atomic_compare_exchange_n(word, &old, new, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	return count;
}

unsigned int overlay_claim(struct overlay *o, uint64_t first, unsigned int most)
{
	unsigned int count = 0, n;

	if (most > o->blocks - first)
		most = (unsigned int)(o->blocks - first);
	do {
		uint64_t at = first + count;

		n = overlay_claim_word(&o->map[at / PER_WORD], overlay_mask(at, most - count));
		count += n;
	} while (n && count < most && !((first + count) % PER_WORD));
	return count;
}

static void overlay_wake(struct overlay *o)
{
	uint32_t waiting = __atomic_exchange_n(&o->waiting, 0, __ATOMIC_SEQ_CST);

	while (waiting) {
		evloop_wake(o->loop[__builtin_ctz(waiting)]);
		waiting &= waiting - 1;
	}
}

void overlay_end_claim(struct overlay *o, uint64_t first, unsigned int count, bool written)
{
	while (count) {
		uint32_t mask = overlay_mask(first, count);
		unsigned int n = (unsigned int)__builtin_popcount(mask);

		/* Ends the claims, and sets the written bits, which are clear, at once. The release
		 * pairs with the acquires in overlay_written and overlay_claim_word; the sequential
		 * consistency with overlay_wait: either this thread sees the waiter below, or the
		 * waiter sees the end of the claim. */
		__atomic_fetch_xor(&o->map[first / PER_WORD],
				   (uint64_t)mask << CLAIMED | (written ? mask : 0),
				   __ATOMIC_SEQ_CST);
		first += n;
		count -= n;
	}
	if (__atomic_load_n(&o->waiting, __ATOMIC_SEQ_CST))
		overlay_wake(o);
}

bool overlay_wait(struct overlay *o, unsigned int waiter, uint64_t block)
{
	uint32_t bit = 1u << waiter;
	/* Pairs with overlay_end_claim and overlay_lose_claims. */
	bool waited = __atomic_fetch_or(&o->waiting, bit, __ATOMIC_SEQ_CST) & bit;
	uint64_t word = __atomic_load_n(&o->map[block / PER_WORD], __ATOMIC_SEQ_CST);

	if (overlay_lost(o) || !(word >> CLAIMED >> block % PER_WORD & 1)) {
		__atomic_fetch_and(&o->waiting, ~bit, __ATOMIC_SEQ_CST);
		evloop_wake(o->loop[waiter]);
	}
	return waited;
}

void overlay_lose_claims(struct overlay *o)
{
	__atomic_store_n(&o->lost, true, __ATOMIC_SEQ_CST);
	overlay_wake(o);
}
