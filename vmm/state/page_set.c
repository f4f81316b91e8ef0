/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/state/page_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"

/* Flags of an entry (Linux: Documentation/admin-guide/mm/pagemap.rst). */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE	(UINT64_C(1) << 61) /* a page of a file, or shared anonymous */

#define ENTRIES		512u /* read at once */

static size_t bitmap_size(const struct page_set *set)
{
	return (size_t)(set->pages + 7) / 8;
}

/* Initialises an empty set for `size` bytes of memory. */
static int create(struct page_set *set, uint64_t size)
{
	set->page = (size_t)sysconf(_SC_PAGESIZE);
	set->pages = size / set->page;
	set->bits = calloc(1, bitmap_size(set));
	return set->bits ? 0 : -ENOMEM;
}

/* Adds the pages from `first` on whose entries say that they are of this kind. */
static void add_pages(struct page_set *set, enum page_kind kind, uint64_t first,
		      const uint64_t *entries, uint64_t count)
{
	uint64_t unwanted = kind == PAGES_OWN ? PAGEMAP_FILE : 0;

	for (uint64_t i = 0; i < count; i++)
		if ((entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) && !(entries[i] & unwanted))
			set->bits[(first + i) / 8] |= (uint8_t)(1 << (first + i) % 8);
}

int page_set_scan(struct page_set *set, int pagemap_fd, const void *base, uint64_t size,
		  enum page_kind kind, const uint32_t *cancel)
{
	uint64_t entries[ENTRIES];
	int err = create(set, size);

	for (uint64_t i = 0; i < set->pages && !err; i += ENTRIES) {
		uint64_t n = set->pages - i < ENTRIES ? set->pages - i : ENTRIES;
		ssize_t bytes = (ssize_t)(n * sizeof(*entries));
		uint64_t at = ((uintptr_t)base / set->page + i) * sizeof(*entries);
		ssize_t got = pread(pagemap_fd, entries, (size_t)bytes, (off_t)at);

		if (got == bytes)
			add_pages(set, kind, i, entries, n);
		else
			err = got < 0 ? -errno : -EIO;
		if (!err && READ_ONCE(*cancel))
			err = -ECANCELED;
	}
	return err;
}

static bool has(const struct page_set *set, uint64_t i)
{
	return set->bits[i / 8] >> i % 8 & 1;
}

bool page_set_next(const struct page_set *set, struct page_run *run)
{
	uint64_t i = run->first + run->count;

	while (i < set->pages && !has(set, i))
		i += i % 8 || set->bits[i / 8] ? 1 : 8;
	run->first = i;
	while (i < set->pages && has(set, i))
		i++;
	run->count = i - run->first;
	return run->count > 0;
}

uint64_t page_set_count(const struct page_set *set)
{
	struct page_run run = { 0 };
	uint64_t count = 0;

	while (page_set_next(set, &run))
		count += run.count;
	return count;
}

/* The section is the page size, and the bitmap. */
void page_set_put(const struct page_set *set, struct state_writer *writer)
{
	uint64_t page = set->page;
	uint8_t *to = state_reserve(writer, TAG_PAGES, 0, sizeof(page) + bitmap_size(set));

	if (!to)
		return;
	memcpy(to, &page, sizeof(page));
	memcpy(to + sizeof(page), set->bits, bitmap_size(set));
}

int page_set_get(struct page_set *set, struct state_reader *reader, uint64_t size)
{
	size_t found = 0;
	const uint8_t *data = state_find(reader, TAG_PAGES, 0, &found);
	int err = create(set, size);
	uint64_t page = 0;

	reader->why[0] = '\0';
	if (err)
		return err;
	if (data && found >= sizeof(page))
		memcpy(&page, data, sizeof(page));
	if (page != set->page || found != sizeof(page) + bitmap_size(set))
		return state_refuse(reader, TAG_PAGES, 0, "is not for this memory");
	memcpy(set->bits, data + sizeof(page), bitmap_size(set));
	return 0;
}

void page_set_free(struct page_set *set)
{
	free(set->bits);
	*set = (struct page_set){ .bits = NULL };
}
