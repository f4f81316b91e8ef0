/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Position of the last assertion, for tests that die. Check reports each assertion that holds to
 * the parent process by a write to a file, which was most of the system calls of some tests. Linked
 * with --wrap, an assertion stores its position in shared memory instead, and the parent reads it
 * when the test has ended by a signal, a time limit or an exit.
 */
#ifndef TESTS_MARKS_H
#define TESTS_MARKS_H

/*
 * Called before the first test by the process that runs the tests; not by the processes it forks.
 */
void marks_begin(void);

#endif
