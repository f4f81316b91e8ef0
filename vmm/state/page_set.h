/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * page_set: set of pages of guest RAM, as a bitmap.
 *
 * A set is found in /proc/self/pagemap, or read from a section of a file in the format of state.h.
 * Any bits are valid there: a file can name no page outside of the memory, and none twice. The
 * caller owns a set and calls page_set_free. Any thread. Errors are -errno.
 */
#ifndef VMM_STATE_PAGE_SET_H
#define VMM_STATE_PAGE_SET_H

#include <stdbool.h>

#include "vmm/state/state.h"

#define TAG_PAGES STATE_TAG('P', 'A', 'G', 'E')

struct page_set {
	uint8_t *bits;	/* page i is bit i % 8 of byte i / 8; allocated */
	uint64_t pages; /* of the memory */
	size_t page;	/* bytes of one */
};

/* Consecutive pages. */
struct page_run {
	uint64_t first, count;
};

enum page_kind {
	PAGES_OWN,     /* no longer shared with the file that the memory is a private mapping of */
	PAGES_PRESENT, /* mapped or swapped */
};

/* Finds the pages of this kind in the memory, which it does not touch. pagemap_fd is
 * /proc/self/pagemap. Returns -ECANCELED if *cancel, an atomic, is not 0. */
int page_set_scan(struct page_set *set, int pagemap_fd, const void *base, uint64_t size,
		  enum page_kind kind, const uint32_t *cancel);

/* Moves *run, at first zeroed, to the next run of pages in the set. Returns false at the end. */
bool page_set_next(const struct page_set *set, struct page_run *run);

/* Returns the number of pages in the set. */
uint64_t page_set_count(const struct page_set *set);

/* Appends the set as a section. */
void page_set_put(const struct page_set *set, struct state_writer *writer);

/* Reads the section of a set for `size` bytes of memory. Returns 0; -EINVAL with reader->why; or
 * -ENOMEM, with reader->why empty. */
int page_set_get(struct page_set *set, struct state_reader *reader, uint64_t size);

void page_set_free(struct page_set *set);

#endif
