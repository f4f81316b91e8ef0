/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_file: sparse file of a guest's RAM.
 *
 * A page is written if the process has a page of its own there: one that is present or swapped and
 * not shared with a file, by /proc/self/pagemap. Pages that were never touched stay holes, and are
 * not touched. The memory must not change meanwhile. Any thread.
 */
#ifndef VMM_STATE_MEMORY_FILE_H
#define VMM_STATE_MEMORY_FILE_H

#include <stdint.h>

struct memory_image {
	const void *base;
	uint64_t size;	/* a multiple of the page size */
	int pagemap_fd; /* /proc/self/pagemap */
	int base_fd;	/* the file of which the memory is a private mapping; -1: anonymous */
	/* Atomic; the caller stops the write by another value than 0. */
	const uint32_t *cancel;
};

/*
 * Writes the memory to `fd`, an empty file, and stores how many pages the guest has of its own in
 * *pages. Pages of zeros become holes where the base has none. Returns 0 or -errno; -ECANCELED:
 * image->cancel was set.
 */
int memory_file_write(int fd, const struct memory_image *image, uint64_t *pages);

#endif
