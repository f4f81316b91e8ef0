/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory: allocation of guest RAM.
 *
 * The main thread calls these functions during set-up and tear-down. In between, all threads read
 * the region table `map`, which no longer changes.
 */
#ifndef VMM_KVM_MEMORY_H
#define VMM_KVM_MEMORY_H

#include <stdint.h>

#include "dataplane/hostmem.h"

struct memory {
	struct hostmem map;
	void *base; /* the one host mapping that backs all regions */
	uint64_t size;
};

/* Maps `size` bytes, a multiple of 4096, and divides them into the regions of arch_ram_layout. The
 * host allocates a page on first access and may use huge pages. With file_fd other than -1, the
 * memory begins with the content of that file, which is never written: a page that is written
 * becomes the process's own. The memory is excluded from core dumps. 0 or -errno; -ENOMEM: the host
 * cannot map that much. */
int memory_create(struct memory *memory, uint64_t size, int file_fd);

/* Includes guest RAM in core dumps (--core-dump). */
void memory_dump(const struct memory *memory);

/* Maps a range of a memory that has a file, for reading, so that the guest need not wait for it.
 * Kernels before Linux 5.14 only read the file ahead. Failure does no harm. */
void memory_prefault(const struct memory *memory, uint64_t offset, uint64_t size);

void memory_destroy(struct memory *memory);

#endif
