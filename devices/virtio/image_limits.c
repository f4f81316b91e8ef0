/* SPDX-License-Identifier: BSD-3-Clause */
/* image_limits: block and discard limits of an image, as the host reports them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "devices/virtio/image.h"

#define SECTOR 512u
/* Largest block size in bytes that is used; no host requires more than a page. */
#define BLOCK_MAX 4096u

/* Returns a usable block size: a power of two from SECTOR to BLOCK_MAX. */
static uint32_t block(uint32_t size)
{
	if (!is_power_of_2(size) || size < SECTOR)
		return SECTOR;
	return size < BLOCK_MAX ? size : BLOCK_MAX;
}

/* Returns the value of a device's ioctl, or `otherwise` if it fails. */
static uint32_t ask(int fd, unsigned long request, uint32_t otherwise)
{
	uint32_t value = 0;

	return ioctl(fd, request, &value) ? otherwise : value;
}

/* Reads a number from the device's queue directory in sysfs; a partition uses that of its disk.
 * Returns false if there is none. */
static bool ask_queue(dev_t dev, const char *name, uint64_t *number)
{
	static const char *const format[] = { "/sys/dev/block/%u:%u/queue/%s",
					      "/sys/dev/block/%u:%u/../queue/%s" };
	char text[32] = { 0 };
	int fd = -1;

	for (unsigned int i = 0; i < ARRAY_SIZE(format) && fd < 0; i++) {
		char path[96];

		snprintf(path, sizeof(path), format[i], major(dev), minor(dev), name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	*number = strtoull(text, NULL, 10);
	return n > 0;
}

static void ask_device(struct image *image, const struct stat *st)
{
	int offset = 0;
	uint64_t number;

	image->device_block = block(ask(image->fd, BLKSSZGET, SECTOR));
	image->physical_block = block(ask(image->fd, BLKPBSZGET, SECTOR));
	image->io_min = ask(image->fd, BLKIOMIN, 0);
	image->io_opt = ask(image->fd, BLKIOOPT, 0);
	/* A negative offset means that the layers of a stacked device have no common alignment. */
	if (!ioctl(image->fd, BLKALIGNOFF, &offset) && offset > 0)
		image->align_offset = (uint32_t)offset;

	image->discard_align = image->device_block;
	if (ask_queue(st->st_rdev, "discard_granularity", &number) && number <= UINT32_MAX &&
	    number > image->device_block)
		image->discard_align = (uint32_t)number;
	image->discard_max = UINT64_MAX;
	if (ask_queue(st->st_rdev, "discard_max_bytes", &number))
		image->discard_max = number;
}

void image_ask_limits(struct image *image, const struct stat *st)
{
	if (S_ISBLK(st->st_mode)) {
		ask_device(image, st);
		return;
	}
	image->physical_block = block((uint32_t)st->st_blksize);
	image->io_min = image->physical_block;
	/* Some file systems report a preferred size larger than a block. */
	if ((uint32_t)st->st_blksize > image->physical_block)
		image->io_opt = (uint32_t)st->st_blksize;
	image->discard_align = image->physical_block;
	image->discard_max = UINT64_MAX;
}
