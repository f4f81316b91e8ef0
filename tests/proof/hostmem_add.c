/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: hostmem_add, hostmem_remove
 * Bounds: tables of up to 3 regions, the largest that the code under proof has, anywhere in 64
 *   bits; any new region
 * Properties: the table stays sorted, without overlaps and below 2^64; a new region is in it, and
 *   all others stay; a region that is refused changes nothing; exactly those are refused that
 *   overlap, wrap, or are empty, or for which there is no room
 * Section: none
 */
#include "tests/proof/proof.h"

#include "dataplane/hostmem.h"

/* memmove of whole regions. */
static void move_regions(struct hostmem_region *to, const struct hostmem_region *from, size_t len)
{
	struct hostmem_region copy[HOSTMEM_MAX_REGIONS];
	size_t count = len / sizeof(*to);

	prove(count * sizeof(*to) == len && count < HOSTMEM_MAX_REGIONS, "whole regions");
	for (size_t i = 0; i < HOSTMEM_MAX_REGIONS && i < count; i++)
		copy[i] = from[i];
	for (size_t i = 0; i < HOSTMEM_MAX_REGIONS && i < count; i++)
		to[i] = copy[i];
}

#define memmove(to, from, len) move_regions(to, from, len)

#include "dataplane/hostmem.c"

#include "tests/proof/hostmem.h"

#define REGIONS HOSTMEM_MAX_REGIONS

static bool has(const struct hostmem *mem, const struct hostmem_region *r)
{
	for (unsigned int i = 0; i < REGIONS && i < mem->count; i++)
		if (mem->region[i].gpa == r->gpa && mem->region[i].size == r->size &&
		    mem->region[i].hva == r->hva && mem->region[i].readonly == r->readonly)
			return true;
	return false;
}

int main(void)
{
	static char object[REGIONS + 1];
	struct hostmem mem, before;
	struct hostmem_region new;
	unsigned int k = ANY(unsigned int);
	bool overlaps = false;
	int err;

	mem.count = ANY(unsigned int);
	assume(mem.count <= REGIONS);
	for (unsigned int i = 0; i < REGIONS; i++) {
		mem.region[i].gpa = ANY(uint64_t);
		mem.region[i].size = ANY(uint64_t);
		mem.region[i].readonly = ANY(bool);
		mem.region[i].hva = &object[i];
	}
	assume(hostmem_is_sorted(&mem, REGIONS));
	before = mem;
	if (ANY(bool)) {
		assume(k < mem.count);
		hostmem_remove(&mem, before.region[k].gpa);
		prove(mem.count == before.count - 1 && !has(&mem, &before.region[k]), "one less");
		prove(hostmem_is_sorted(&mem, REGIONS), "still sorted");
		return 0;
	}
	new.gpa = ANY(uint64_t);
	new.size = ANY(uint64_t);
	new.readonly = ANY(bool);
	new.hva = ANY(bool) ? NULL : &object[REGIONS];
	for (unsigned int i = 0; i < REGIONS && i < mem.count; i++)
		overlaps |= new.gpa < mem.region[i].gpa + mem.region[i].size &&mem.region[i].gpa <
			    new.gpa + new.size;

	err = hostmem_add(&mem, new.gpa, new.size, new.hva, new.readonly);

	if (err) {
		prove(mem.count == before.count, "nothing was added");
		if (new.size &&new.hva &&new.gpa + new.size > new.gpa)
			prove(err == (before.count == REGIONS ? -ENOSPC : -EEXIST) &&
				      (before.count == REGIONS || overlaps),
			      "refused for this reason alone");
	} else {
		prove(!overlaps && mem.count == before.count + 1 && has(&mem, &new),
		      "it was added");
	}
	if (k < before.count)
		prove(has(&mem, &before.region[k]), "the others stay");
	prove(hostmem_is_sorted(&mem, REGIONS), "still sorted");
}
