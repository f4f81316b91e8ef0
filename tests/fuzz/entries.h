/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters of this process's open files and threads. */
#ifndef TESTS_FUZZ_ENTRIES_H
#define TESTS_FUZZ_ENTRIES_H

/*
 * Counts the entries of /proc/self/task or /proc/self/fd. Worker threads of io_uring are left out,
 * since the kernel starts and ends them at any time.
 */
unsigned int count_entries(const char *path);

#endif
