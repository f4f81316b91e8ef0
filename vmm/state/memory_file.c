/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/state/memory_file.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/state/file_copy.h"

#define VECTORS	   64u		/* parts of the memory that one system call moves... */
#define VECTOR_MAX (256u << 10) /* ...and the largest of them */

static bool is_zero(const char *page, size_t size)
{
	return !page[0] && !memcmp(page, page + 1, size - 1);
}

static void drop_zeros(const struct memory_image *image, struct page_set *set)
{
	struct page_run run = { 0 };

	while (page_set_next(set, &run))
		for (uint64_t i = run.first; i < run.first + run.count; i++)
			if (is_zero((const char *)image->base + i * set->page, set->page))
				set->bits[i / 8] &= (uint8_t) ~(1 << i % 8);
}

/* A part of a file that is moved by one system call. */
struct batch {
	int fd;
	bool write; /* to the file */
	bool diff;  /* the pages are one after the other in the file */
	const uint32_t *cancel;
	uint64_t at; /* in the file */
	unsigned int count;
	struct iovec iov[VECTORS];
};

/* Moves the batch, and empties it. */
static int move_batch(struct batch *b)
{
	struct iovec *iov = b->iov;

	while (b->count) {
		ssize_t n = (b->write ? pwritev : preadv)(b->fd, iov, (int)b->count, (off_t)b->at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		if (READ_ONCE(*b->cancel))
			return -ECANCELED;
		b->at += (uint64_t)n;
		for (; b->count && (size_t)n >= iov->iov_len; iov++, b->count--)
			n -= (ssize_t)iov->iov_len;
		if (b->count) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* Adds memory to the batch, which is moved when it is full. */
static int add(struct batch *b, char *at, size_t size)
{
	int err = 0;

	for (size_t len; size && !err; at += len, size -= len) {
		len = size < VECTOR_MAX ? size : VECTOR_MAX;
		b->iov[b->count++] = (struct iovec){ at, len };
		err = b->count == VECTORS ? move_batch(b) : 0;
	}
	return err;
}

/* Moves the pages of a set between the memory and a file. */
static int move_pages(struct batch *b, char *base, const struct page_set *set)
{
	struct page_run run = { 0 };
	int err = 0;

	while (!err && page_set_next(set, &run)) {
		uint64_t at = run.first * set->page;

		if (!b->diff) {
			err = move_batch(b);
			b->at = at;
		}
		if (!err)
			err = add(b, base + at, run.count * set->page);
	}
	return err ? err : move_batch(b);
}

int memory_file_begin(int fd, const struct memory_image *image)
{
	if (ftruncate(fd, (off_t)image->size))
		return -errno;
	return image->base_fd < 0 ? 0
				  : file_copy(image->base_fd, fd, 0, image->size, image->cancel);
}

int memory_file_write(int fd, const struct memory_image *image, struct page_set *own, bool diff)
{
	struct batch b = { .fd = fd, .write = true, .diff = diff, .cancel = image->cancel };

	/* Where the base has data, a page of zeros has to replace it. */
	if (!diff && image->base_fd < 0)
		drop_zeros(image, own);
	return move_pages(&b, (char *)image->base, own);
}

int memory_file_read_diff(int fd, void *base, const struct page_set *set)
{
	static const uint32_t never;
	struct batch b = { .fd = fd, .diff = true, .cancel = &never };

	return move_pages(&b, base, set);
}
