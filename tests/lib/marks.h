/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * marks: where a test was when it died. Check tells the parent process of each assertion that
 * holds, by a write to a file: most system calls of some tests were these. Linked with --wrap, an
 * assertion stores its place in memory that both processes share instead, and the parent reads it
 * when the test ended by a signal, a time limit or an exit.
 */
#ifndef TESTS_MARKS_H
#define TESTS_MARKS_H

/* The calling process runs tests; the processes that it forks do not. Before the first test. */
void marks_begin(void);

#endif
