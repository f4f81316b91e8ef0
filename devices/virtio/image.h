/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image: the file or block device behind a disk. Always raw: what its first bytes look like is told,
 * and decides nothing.
 *
 * An image is locked while it is open (an OFD lock: shared by readers, exclusive for a writer), so
 * that no second VM writes to it. Set-up and tear-down, main thread.
 */
#ifndef VIRTIO_IMAGE_H
#define VIRTIO_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/blk.h"

struct image {
	int fd;
	int lock_fd; /* another open file of it, holds the lock; -1: fd does */
	bool readonly;
	uint64_t size;	       /* bytes, a multiple of the disk's logical block size */
	const char *format;    /* another format that it begins like; NULL: none */
	uint32_t direct_align; /* O_DIRECT's alignment in bytes; 1: through the page cache */

	/* Of the host; bytes; 0: it does not say. */
	uint32_t physical_block; /* what it writes in one piece: a power of two, 512 to 4096 */
	uint32_t device_block;	 /* a block device's logical block: the same; 0: a file */
	uint32_t io_min, io_opt; /* sizes that suit it */
	uint32_t align_offset;	 /* from the beginning to the first whole physical block */
	uint32_t discard_align;	 /* what can be discarded begins and ends at multiples of it */
	uint64_t discard_max;	 /* in one piece; 0: it cannot discard */
};

/* 0 or -errno, and then *why says in words what is wrong with config->path (a static string, or
 * strerror's). Nothing is created or changed. */
int image_open(struct image *image, const struct blk_config *config, const char **why);

/* True if `path` names the file or the block device that is open as `image`, by any of its names. */
bool image_is(const struct image *image, const char *path);

/* For image.c: the format, other than raw, whose magic number the file begins with: a static string, or
 * NULL. With O_DIRECT, where that is on: a page in the host's cache would cost each later write a look. */
const char *image_format(int fd);

struct stat;
/* For image.c: fill in what the host says. */
void image_ask_limits(struct image *image, const struct stat *st);

/*
 * Its size is `bytes` from now on, or what the host says it is (0), in whole logical blocks. A file that is
 * shorter is grown; one that is longer is left as it is. -errno with *why, as above; then nothing has
 * changed. While the device runs, one at a time.
 */
int image_resize(struct image *image, uint32_t blk_size, uint64_t bytes, const char **why);

/* Make everything written stable. 0 or -errno. */
int image_flush(const struct image *image);

/*
 * The same for somebody else than the guest, who must not be told of a lost write in its place: the
 * host tells each open file of it once, and this uses one of its own. -EBADF: there is none (no
 * /proc). Any thread.
 */
int image_flush_independent(const struct image *image);

void image_close(struct image *image);

#endif
