/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/state/memory_file.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"

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

/* Copies a part of the base by reads and writes, for file systems without copy_file_range. */
static ssize_t copy_by_hand(int from, int to, off_t at, size_t len)
{
	char buf[16384];
	ssize_t n = pread(from, buf, len < sizeof(buf) ? len : sizeof(buf), at);

	return n > 0 ? pwrite(to, buf, (size_t)n, at) : n;
}

static int copy_range(struct writer *w, off_t at, off_t end)
{
	bool by_hand = false;

	while (at < end && !cancelled(w)) {
		size_t len = (size_t)(end - at) < COPY_STEP ? (size_t)(end - at) : COPY_STEP;
		off_t from = at, to = at;
		ssize_t n = by_hand ? copy_by_hand(w->image->base_fd, w->fd, at, len)
				    : copy_file_range(w->image->base_fd, &from, w->fd, &to, len, 0);

		if (n <= 0 && by_hand)
			return n < 0 ? -errno : -EIO;
		by_hand = by_hand || n <= 0;
		at += n > 0 ? n : 0;
	}
	return cancelled(w) ? -ECANCELED : 0;
}

/* Copies the data of the base, which keeps its holes. */
static int copy_base(struct writer *w)
{
	off_t size = (off_t)w->image->size, at = 0;
	int err = 0;

	while (at < size && !err) {
		off_t data = lseek(w->image->base_fd, at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(w->image->base_fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		at = hole < size ? hole : size;
		err = copy_range(w, data, at);
	}
	return err;
}

int memory_file_write(int fd, const struct memory_image *image, uint64_t *pages)
{
	struct writer w = { .image = image, .fd = fd, .page = (size_t)sysconf(_SC_PAGESIZE) };
	int err = ftruncate(fd, (off_t)image->size) ? -errno : 0;

	if (!err && image->base_fd >= 0)
		err = copy_base(&w);
	if (!err)
		err = add_own_pages(&w);
	*pages = w.pages;
	return err;
}
