/* SPDX-License-Identifier: BSD-3-Clause */
/* refuse: a host whose seccomp policy refuses system calls, as those of containers do. */
#ifndef TESTS_REFUSE_H
#define TESTS_REFUSE_H

/*
 * From now on each of these system calls (SYS_..., at most REFUSE_MAX, ended by -1) fails with
 * `err` in all threads of this process, and in what it executes. What fails here fails the test.
 */
#define REFUSE_MAX 8
void refuse_calls(const int *call, int err);

#endif
