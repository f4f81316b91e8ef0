/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ranges zero|punch DISK OFFSET LEN: zeroes a range of a block device by fallocate, and keeps or
 * releases its blocks. busybox has no command for this.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	int mode, fd;

	if (argc != 5)
		return 2;
	mode = strcmp(argv[1], "punch") ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	fd = open(argv[2], O_RDWR);
	if (fd < 0 || fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, strtoll(argv[3], NULL, 0),
				strtoll(argv[4], NULL, 0))) {
		perror(argv[2]);
		return 1;
	}
	return 0;
}
