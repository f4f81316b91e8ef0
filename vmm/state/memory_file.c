/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/state/memory_file.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/state/file_copy.h"

/* Flags of an entry (Linux: Documentation/admin-guide/mm/pagemap.rst). */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE	(UINT64_C(1) << 61) /* a page of a file, or shared anonymous */

#define ENTRIES		512u	      /* read at once */
#define COPY_STEP	(16ull << 20) /* copied between two looks at image->cancel */

struct writer {
	const struct memory_image *image;
	int fd;
	size_t page;
	uint64_t start, end; /* a run of pages that is not written yet */
	uint64_t pages;
};

static bool cancelled(const struct writer *w)
{
	return READ_ONCE(*w->image->cancel) != 0;
}

static int write_run(struct writer *w)
{
	const char *base = w->image->base;

	while (w->start < w->end) {
		size_t len = w->end - w->start < COPY_STEP ? w->end - w->start : COPY_STEP;
		ssize_t n = pwrite(w->fd, base + w->start, len, (off_t)w->start);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		w->start += (uint64_t)n;
		if (cancelled(w))
			return -ECANCELED;
	}
	return 0;
}

static bool is_zero(const char *page, size_t size)
{
	return !page[0] && !memcmp(page, page + 1, size - 1);
}

/* Adds a page to the run, which is written first if the page does not continue it. */
static int add_page(struct writer *w, uint64_t at)
{
	int err = 0;

	w->pages++;
	/* Where the base has data, a page of zeros has to replace it. */
	if (w->image->base_fd < 0 && is_zero((const char *)w->image->base + at, w->page))
		return 0;
	if (at != w->end) {
		err = write_run(w);
		w->start = at;
	}
	w->end = at + w->page;
	return err;
}

static int add_own_pages(struct writer *w)
{
	uint64_t count = w->image->size / w->page, entries[ENTRIES];
	uint64_t first = (uintptr_t)w->image->base / w->page;
	int err = 0;

	for (uint64_t i = 0; i < count && !err; i += ENTRIES) {
		uint64_t n = count - i < ENTRIES ? count - i : ENTRIES;
		ssize_t bytes = (ssize_t)(n * sizeof(*entries));
		ssize_t got = pread(w->image->pagemap_fd, entries, (size_t)bytes,
				    (off_t)((first + i) * sizeof(*entries)));

		if (got != bytes)
			return got < 0 ? -errno : -EIO;
		for (uint64_t j = 0; j < n && !err; j++)
			if ((entries[j] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) &&
			    !(entries[j] & PAGEMAP_FILE))
				err = add_page(w, (i + j) * w->page);
		if (!err && cancelled(w))
			err = -ECANCELED;
	}
	return err ? err : write_run(w);
}

int memory_file_write(int fd, const struct memory_image *image, uint64_t *pages)
{
	struct writer w = { .image = image, .fd = fd, .page = (size_t)sysconf(_SC_PAGESIZE) };
	int err = ftruncate(fd, (off_t)image->size) ? -errno : 0;

	if (!err && image->base_fd >= 0)
		err = file_copy(image->base_fd, fd, 0, image->size, image->cancel);
	if (!err)
		err = add_own_pages(&w);
	*pages = w.pages;
	return err;
}
