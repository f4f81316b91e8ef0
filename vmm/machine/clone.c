/* SPDX-License-Identifier: BSD-3-Clause */
/* Clones of disks in a snapshot, on the job thread. */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/machine/internal.h"
#include "vmm/state/file_copy.h"

bool machine_can_clone(const struct machine *m, unsigned int disk)
{
	uint64_t end;

	return blk_content(m->disk[disk].blk, 0, &end) >= 0;
}

int machine_clone_disk(const struct machine *m, unsigned int disk, int fd)
{
	const struct blk *blk = m->disk[disk].blk;
	uint64_t size = blk_capacity(blk), at = 0, end;
	int from = blk_content(blk, 0, &end), err;

	/* Where the file system shares blocks, the whole image takes one step. */
	if (from >= 0 && end == size && !ioctl(fd, FICLONE, from))
		at = size;
	/* An image that the disk does not use to its end becomes shorter. */
	err = ftruncate(fd, (off_t)size) ? -errno : 0;
	for (; at < size && !err; at = end) {
		from = blk_content(blk, at, &end);
		err = from < 0 ? from : file_copy(from, fd, at, end, &m->vm_exit.why);
	}
	return err;
}
