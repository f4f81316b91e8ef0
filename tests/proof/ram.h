/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ram: guest RAM for the harnesses of the rings, with the contract of hostmem_lookup and
 * hostmem_map in place of dataplane/hostmem.c: RAM is one range of guest addresses from 0 on, of
 * any size. A buffer may lie in one region or in two that adjoin, or in a read-only one.
 */
#ifndef PROOF_RAM_H
#define PROOF_RAM_H

#include "dataplane/hostmem.h"

static char *ram_base;
static uint64_t ram_size;
static struct hostmem ram;

static inline void ram_any(void)
{
	ram_size = ANY(uint64_t);
	assume(ram_size <= 1ull << 46);
	ram_base = shared_create(0, ram_size, false);
	ram.dirty = NULL;
}

static inline bool ram_has(uint64_t gpa, uint64_t len)
{
	return len && len <= ram_size && gpa <= ram_size - len;
}

/* Hooks for calls of hostmem_map, and for those that succeed with n pieces. */
#ifndef ON_MAP
#define ON_MAP(gpa, len, write, iov, max) ((void)0)
#define ON_MAPPED(n, len, write)	  ((void)0)
#endif

void *hostmem_lookup(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write)
{
	prove(mem == &ram, "the ring's memory");
	/* A range that crosses regions is not found. */
	return ram_has(gpa, len) && ANY(bool) ? ram_base + gpa : NULL;
}

int hostmem_map(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write,
		struct iovec *iov, unsigned int max)
{
	int n = ANY(bool) ? 1 : 2;

	prove(mem == &ram && len, "as hostmem_map requires");
	ON_MAP(gpa, len, write, iov, max);
	/* A read-only region is not written. */
	if (!ram_has(gpa, len) || ANY(bool))
		return -EFAULT;
	if ((unsigned int)n > max)
		return -ENOSPC;
	prove(__CPROVER_w_ok(iov, (unsigned int)n * sizeof(*iov)), "the pieces have room");
	ON_MAPPED(n, len, write);
	return n;
}

void hostmem_mark_dirty(const struct hostmem *mem, const void *hva, uint64_t len)
{
	prove(mem->dirty != NULL, "as hostmem_mark_dirty requires");
}

#endif
