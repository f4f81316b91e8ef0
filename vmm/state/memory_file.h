/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_file: guest RAM as a file, which has all of it or the pages of a diff.
 *
 * A full file is sparse: the pages that were never touched stay holes, and are not touched. A diff
 * has only the pages of a set, one after the other in ascending order; the set is stored elsewhere.
 * The memory must not change meanwhile. Any thread. Errors are -errno; -ECANCELED: image->cancel
 * was set.
 */
#ifndef VMM_STATE_MEMORY_FILE_H
#define VMM_STATE_MEMORY_FILE_H

#include <stdint.h>

#include "vmm/state/page_set.h"

struct memory_image {
	const void *base;
	uint64_t size; /* a multiple of the page size */
	int base_fd;   /* the file of which the memory is a private mapping; -1: anonymous */
	/* Atomic; the caller stops the write by another value than 0. */
	const uint32_t *cancel;
};

/* Gives an empty file the size of the memory and the data of image->base_fd. The memory may change
 * meanwhile. */
int memory_file_begin(int fd, const struct memory_image *image);

/* Writes these pages: to a file that memory_file_begin has prepared, or, with `diff`, to an empty
 * one. In a full file without a base, pages of zeros become holes and are taken out of the set. */
int memory_file_write(int fd, const struct memory_image *image, struct page_set *own, bool diff);

/* Reads the pages of a diff into the memory. -EIO: the file is too short. */
int memory_file_read_diff(int fd, void *base, const struct page_set *set);

#endif
