/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file_copy: copy of a part of a file, which keeps its holes.
 *
 * File systems that can share blocks between files do so (copy_file_range). Any thread.
 */
#ifndef VMM_STATE_FILE_COPY_H
#define VMM_STATE_FILE_COPY_H

#include <stdint.h>

/*
 * Copies the bytes from `at` up to `end` of file `from` to the same place of file `to`, which has a
 * hole there. What is beyond the end of `from` is a hole. `from` may be open with O_DIRECT if `at` is
 * a multiple of 4096. Returns 0 or -errno; -ECANCELED: the caller set *cancel, which is atomic, to
 * another value than 0.
 */
int file_copy(int from, int to, uint64_t at, uint64_t end, const uint32_t *cancel);

#endif
