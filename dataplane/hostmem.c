/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/hostmem.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "dataplane/base.h"

COLD int hostmem_add(struct hostmem *mem, uint64_t gpa, uint64_t size, void *hva, bool readonly)
{
	unsigned int at = 0;
	uint64_t end;

	if (!size || !add_u64(gpa, size, &end) || !hva)
		return -EINVAL;
	if (mem->count == HOSTMEM_MAX_REGIONS)
		return -ENOSPC;

	while (at < mem->count && mem->region[at].gpa < gpa)
		at++;
	if (at > 0 && mem->region[at - 1].gpa + mem->region[at - 1].size > gpa)
		return -EEXIST;
	if (at < mem->count && end > mem->region[at].gpa)
		return -EEXIST;

	memmove(&mem->region[at + 1], &mem->region[at], (mem->count - at) * sizeof(mem->region[0]));
	mem->region[at] = (struct hostmem_region){
		.gpa = gpa, .size = size, .hva = hva, .readonly = readonly
	};
	mem->count++;
	return 0;
}

COLD void hostmem_remove(struct hostmem *mem, uint64_t gpa)
{
	unsigned int at = 0;

	while (mem->region[at].gpa != gpa)
		at++;
	mem->count--;
	memmove(&mem->region[at], &mem->region[at + 1], (mem->count - at) * sizeof(mem->region[0]));
}

/* Sets the bits of pages first to last. A bit that is set already is not stored again, so that the
 * cache line can be shared with other threads. */
static void mark_pages(const struct hostmem_dirty *dirty, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page <= last && page / 8 < dirty->bytes; page++) {
		uint8_t bit = (uint8_t)(1u << (page % 8));

		if (!(__atomic_load_n(&dirty->bits[page / 8], __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(&dirty->bits[page / 8], bit, __ATOMIC_RELEASE);
	}
}

void hostmem_mark_dirty(const struct hostmem *mem, const void *hva, uint64_t len)
{
	for (unsigned int i = 0; i < mem->count && len; i++) {
		const struct hostmem_region *r = &mem->region[i];
		uint64_t offset = (uint64_t)((uintptr_t)hva - (uintptr_t)r->hva);

		if (offset >= r->size)
			continue;
		mark_pages(mem->dirty, (r->gpa + offset) / HOSTMEM_DIRTY_PAGE,
			   (r->gpa + offset + len - 1) / HOSTMEM_DIRTY_PAGE);
		return;
	}
}

COLD uint64_t hostmem_gpa(const struct hostmem *mem, const void *hva)
{
	uint64_t gpa = 0;

	for (unsigned int i = 0; i < mem->count; i++) {
		const struct hostmem_region *r = &mem->region[i];
		uint64_t offset = (uint64_t)((uintptr_t)hva - (uintptr_t)r->hva);

		if (offset < r->size)
			gpa = r->gpa + offset;
	}
	return gpa;
}

/* Returns the region that contains gpa, or NULL, also when the region is read-only and `write` is
 * set. A linear search is fastest for so few regions. */
static const struct hostmem_region *hostmem_find(const struct hostmem *mem, uint64_t gpa,
						 bool write)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct hostmem_region *r = &mem->region[i];

		if (gpa - r->gpa < r->size && gpa >= r->gpa)
			return write && r->readonly ? NULL : r;
	}
	return NULL;
}

void *hostmem_lookup(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write)
{
	const struct hostmem_region *r = hostmem_find(mem, gpa, write);

	if (!r || !len || !range_inside(gpa - r->gpa, len, r->size))
		return NULL;
	return (char *)r->hva + (gpa - r->gpa);
}

/* The slow path of hostmem_map: maps a range that may cross from one region into the next, or reach
 * outside guest RAM. */
static __attribute__((noinline)) int hostmem_map_pieces(const struct hostmem *mem, uint64_t gpa,
							uint64_t len, bool write, struct iovec *iov,
							unsigned int max)
{
	unsigned int n = 0;

	while (len) {
		const struct hostmem_region *r = hostmem_find(mem, gpa, write);
		if (!r)
			return -EFAULT;
		if (n == max)
			return -ENOSPC;

		uint64_t offset = gpa - r->gpa;
		uint64_t piece = r->size - offset;
		if (piece > len)
			piece = len;
		iov[n].iov_base = (char *)r->hva + offset;
		iov[n].iov_len = piece;
		n++;
		len -= piece;
		/* The sum cannot wrap: hostmem_add keeps the end of every region below 2^64. */
		gpa += piece;
	}
	return (int)n;
}

int hostmem_map(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write,
		struct iovec *iov, unsigned int max)
{
	const struct hostmem_region *r = hostmem_find(mem, gpa, write);

	/* Nearly all buffers lie within one region and skip this branch. For len 0, len - 1 wraps,
	 * and the branch is taken. */
	if (!r || !max || len - 1 >= r->size - (gpa - r->gpa))
		return hostmem_map_pieces(mem, gpa, len, write, iov, max);
	iov->iov_base = (char *)r->hva + (gpa - r->gpa);
	iov->iov_len = len;
	return 1;
}
