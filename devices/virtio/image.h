/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image: raw file or block device behind a disk.
 *
 * The content is always treated as raw: another format whose magic number the image begins with is
 * only reported. An image is locked while it is open (an OFD lock: shared by readers, exclusive for
 * a writer), so that no second VM writes to it. Images are opened and closed on the main thread.
 * Errors are -errno.
 *
 * An ephemeral disk only reads its image, which it locks as a reader. The guest's writes go to a
 * second file without a name, which the kernel frees when the process ends: a clone of the image
 * where the file system can make one (FICLONE), else an empty file and a map of the blocks in it
 * (dataplane/overlay.h).
 */
#ifndef VIRTIO_IMAGE_H
#define VIRTIO_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/blk.h"

struct overlay;
struct stat;

struct image {
	int fd;	     /* the file that the guest writes to */
	int base_fd; /* the image of an ephemeral disk; else -1 */
	int lock_fd; /* another open file description, which holds the lock; -1: the image's own */
	struct overlay *overlay; /* map of the blocks in fd; NULL: all are there */
	bool readonly;
	uint64_t size;	       /* bytes, a multiple of the disk's logical block size */
	const char *format;    /* format whose magic number it begins with; NULL: none */
	uint32_t direct_align; /* O_DIRECT's alignment in bytes; 1: page cache */

	/* Block limits that the host reports, in bytes; 0: not reported. */
	uint32_t physical_block; /* physical block size: a power of two, 512 to 4096 */
	uint32_t device_block;	 /* logical block size of a block device, 512 to 4096; 0: a file */
	uint32_t io_min, io_opt; /* preferred minimum and optimal sizes */
	uint32_t align_offset;	 /* offset of the first whole physical block */
	uint32_t discard_align;	 /* alignment of start and end of a discard */
	uint64_t discard_max;	 /* largest discard; 0: discard is not supported */
};

/*
 * Opens and locks the image at config->path. Returns 0, or -errno with a message in *why that says
 * what is wrong (a string that is valid until the next call). The function changes no file, and
 * creates none with a name.
 */
int image_open(struct image *image, const struct blk_config *config, const char **why);

/*
 * Makes the image that has been opened as `image`, and measured, the base of an ephemeral disk: opens
 * the second file, whose status is stored in *st. For image.c, which closes the image after an
 * error.
 */
int image_make_ephemeral(struct image *image, const struct blk_config *config, struct stat *st,
			 const char **why);

/* Returns the bytes that the ephemeral disk's second file occupies; those of a clone include the
 * blocks that it shares with the image. Any thread. */
uint64_t image_allocated(const struct image *image);

/*
 * Returns the descriptor of the file that has the content of the disk from byte `at`, a multiple of
 * 4096, up to *end, which the function stores; -EINVAL: the image is a block device. Any thread,
 * while no request is in flight.
 */
int image_content(const struct image *image, uint64_t at, uint64_t *end);

/* Returns whether `path` names the file or block device that is open as `image`, by any of its
 * names. */
bool image_is(const struct image *image, const char *path);

/*
 * Returns the format other than raw whose magic number the file begins with (a static string), or
 * NULL. The function reads with O_DIRECT where that is enabled, because a page in the host's page
 * cache would make each later direct write check for it. For image.c.
 */
const char *image_format(int fd);

/* Fills in the block limits that the host reports. For image.c. */
void image_ask_limits(struct image *image, const struct stat *st);

/*
 * Changes the size to `bytes`, or to the host's current size of the image (0), rounded down to
 * whole logical blocks. A shorter file is grown; a longer one is left as it is. An ephemeral disk
 * does not follow the size of its image, so that 0 is refused. Returns 0, or
 * -errno with a message in *why as from image_open; after an error nothing has changed. Called
 * while the device runs, one call at a time.
 */
int image_resize(struct image *image, uint32_t blk_size, uint64_t bytes, const char **why);

/* Makes all completed writes stable, other than those to an ephemeral disk, which nothing survives.
 * Returns 0 or -errno. */
int image_flush(const struct image *image);

/*
 * Makes all completed writes stable, without consuming an error that the guest's own flush has to
 * report. The host reports a lost write once to each open file description, and this function uses
 * one of its own. Returns 0 or -errno (-EBADF: there is none, because /proc is missing). Any
 * thread.
 */
int image_flush_independent(const struct image *image);

/* Closes the image and releases its lock. */
void image_close(struct image *image);

#endif
