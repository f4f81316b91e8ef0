/* SPDX-License-Identifier: BSD-3-Clause */
/* write_all: a write(2) of the whole of a small file. Any thread. */
#ifndef VMM_WRITE_ALL_H
#define VMM_WRITE_ALL_H

#include <stddef.h>

/*
 * Writes all of `data` to `fd`, which must be blocking or a regular file. 0 or -errno of the write that
 * failed: after a short write the next one says why there is no more room. -EIO: the host wrote nothing, and
 * gave no reason.
 */
int write_all(int fd, const void *data, size_t size);

#endif
