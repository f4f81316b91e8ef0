/* SPDX-License-Identifier: BSD-3-Clause */
/* entries: what this process has open, and its threads. */
#ifndef TESTS_FUZZ_ENTRIES_H
#define TESTS_FUZZ_ENTRIES_H

/*
 * Count the entries of /proc/self/task or /proc/self/fd. Worker threads of io_uring are left out, since the
 * kernel starts and ends them as it likes.
 */
unsigned int count_entries(const char *path);

#endif
