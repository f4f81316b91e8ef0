/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: bit_of, set_bit_of, clear_bit_of, vring_need_event, range_inside, add_u64
 * Bounds: none
 * Properties: a set of heads is a set; need_event is true if and only if one of the new indices is
 *   the event (2.7.7.2, 2.7.10.1), at every wrap; range_inside and add_u64 as integers without a
 *   limit would have it
 * Section: 2.7.10
 */
#include "tests/proof/proof.h"

#include "dataplane/vring_internal.h"

int hostmem_map(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write,
		struct iovec *iov, unsigned int max)
{
	return -EFAULT;
}

void *hostmem_lookup(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write)
{
	return NULL;
}

static void sets(void)
{
	uint64_t bits[VRING_MAX_SIZE / 64];
	uint16_t i = ANY(uint16_t), k = ANY(uint16_t);
	bool was;

	assume(i < VRING_MAX_SIZE && k < VRING_MAX_SIZE);
	was = bit_of(bits, k);
	if (ANY(bool)) {
		set_bit_of(bits, i);
		prove(bit_of(bits, i), "added");
	} else {
		clear_bit_of(bits, i);
		prove(!bit_of(bits, i), "removed");
	}
	prove(i == k || bit_of(bits, k) == was, "no other member changes");
}

static void events(void)
{
	uint16_t event = ANY(uint16_t), old = ANY(uint16_t), new = ANY(uint16_t);
	uint16_t k = ANY(uint16_t), count = (uint16_t)(new - old);
	bool need = vring_need_event(event, new, old);

	/* Index k of the `count` that are new. */
	if (k < count && event == (uint16_t)(old + k))
		prove(need, "no event is missed");
	if (need)
		prove((uint16_t)(event - old) < count, "the event is one of the new indices");
}

static void ranges(void)
{
	uint64_t start = ANY(uint64_t), len = ANY(uint64_t), limit = ANY(uint64_t), sum;
	unsigned __int128 end = (unsigned __int128)start + len;

	prove(range_inside(start, len, limit) == (end <= limit), "range_inside");
	prove(add_u64(start, len, &sum) == (end >> 64 == 0), "add_u64 tells an overflow");
	prove(end >> 64 || sum == end, "add_u64 adds");
}

int main(void)
{
	sets();
	events();
	ranges();
}
