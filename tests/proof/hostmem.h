/* SPDX-License-Identifier: BSD-3-Clause */
/* hostmem: guest RAM of up to three regions anywhere in 64 bits, for harnesses. */
#ifndef PROOF_HOSTMEM_H
#define PROOF_HOSTMEM_H

#include "dataplane/hostmem.h"

/* Largest region, in bytes. CBMC has 56 bits for the offset of a pointer. */
#define REGION_MAX (1ull << 46)

/* True when the regions are sorted, lie in 64 bits, and do not overlap. */
static inline bool hostmem_is_sorted(const struct hostmem *mem, unsigned int most)
{
	for (unsigned int i = 0; i < most && i < mem->count; i++) {
		const struct hostmem_region *r = &mem->region[i];

		if (!r->size || !r->hva || r->gpa + r->size < r->gpa)
			return false;
		if (i && r[-1].gpa + r[-1].size > r->gpa)
			return false;
	}
	return true;
}

/* Makes a table of at most `most` regions, up to SHARED_MAX, each with memory of its own. */
static inline void hostmem_any(struct hostmem *mem, unsigned int most)
{
	mem->count = ANY(unsigned int);
	mem->dirty = NULL;
	assume(mem->count <= most);
	for (unsigned int i = 0; i < most; i++) {
		struct hostmem_region *r = &mem->region[i];

		r->gpa = ANY(uint64_t);
		r->size = ANY(uint64_t);
		r->readonly = ANY(bool);
		assume(r->size <= REGION_MAX);
		r->hva = shared_create(i, r->size, r->readonly);
	}
	assume(hostmem_is_sorted(mem, most));
}

/* Returns the region that has a byte of guest memory, or NULL: the definition. */
static inline const struct hostmem_region *hostmem_owner(const struct hostmem *mem,
							 unsigned int most, uint64_t gpa)
{
	for (unsigned int i = 0; i < most && i < mem->count; i++)
		if (gpa >= mem->region[i].gpa && gpa - mem->region[i].gpa < mem->region[i].size)
			return &mem->region[i];
	return NULL;
}

#endif
