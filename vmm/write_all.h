/* SPDX-License-Identifier: BSD-3-Clause */
/* write_all: write(2) that retries until all data is written. Any thread. */
#ifndef VMM_WRITE_ALL_H
#define VMM_WRITE_ALL_H

#include <stddef.h>

/*
 * Writes all of `data` to `fd`, which must be blocking or a regular file. Returns 0, or -errno of
 * the write that failed; after a short write, the next write returns the reason. -EIO: write(2)
 * returned 0.
 */
int write_all(int fd, const void *data, size_t size);

#endif
