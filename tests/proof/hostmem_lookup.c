/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: hostmem_lookup
 * Bounds: 3 regions of up to 64 TiB anywhere in 64 bits, in any order of host addresses; any range
 * Properties: exactly the ranges that lie inside of one region are found, at the region's host
 *   address; a range of 2^64 bytes and more is not; none in a read-only region for writing
 * Section: 2.7 (the parts of a ring are guest physical memory)
 */
#include "tests/proof/proof.h"

#include "dataplane/hostmem.c"

#include "tests/proof/hostmem.h"

#define REGIONS 3

static void lookup(const struct hostmem *mem)
{
	uint64_t gpa = ANY(uint64_t), len = ANY(uint64_t);
	bool write = ANY(bool);
	const struct hostmem_region *first = hostmem_owner(mem, REGIONS, gpa);
	const char *at = hostmem_lookup(mem, gpa, len, write);
	bool inside = first && len && len <= first->size - (gpa - first->gpa) &&
		      !(write && first->readonly);

	prove(!at == !inside, "exactly the ranges inside of one region are found");
	prove(!at || at == (const char *)first->hva + (gpa - first->gpa), "at the right place");
}

int main(void)
{
	struct hostmem mem;

	hostmem_any(&mem, REGIONS);
	lookup(&mem);
}
