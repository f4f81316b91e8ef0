/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory: guest RAM. Main thread, set-up and tear-down; the table it builds is then read by all.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <stdint.h>

#include "dataplane/hostmem.h"

struct memory {
	struct hostmem map;
	void *base; /* one host mapping behind all regions */
	uint64_t size;
};

/* `size` bytes, a multiple of 4096, laid out as the architecture wants them. The pages are the
 * host's to give when they are touched; huge ones where it has them; not in a core dump.
 * -ENOMEM. */
int memory_create(struct memory *memory, uint64_t size);

/* Have it in core dumps after all. */
void memory_dump(const struct memory *memory);

void memory_destroy(struct memory *memory);

#endif
