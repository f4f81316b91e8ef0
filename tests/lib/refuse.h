/* SPDX-License-Identifier: BSD-3-Clause */
/* A seccomp filter that makes system calls fail, as the policies of containers do. */
#ifndef TESTS_REFUSE_H
#define TESTS_REFUSE_H

/* Largest number of system calls that one filter refuses. */
#define REFUSE_MAX 8

/*
 * Makes each of these system calls (SYS_..., at most REFUSE_MAX, ended by -1) fail with `err` from
 * now on, in all threads of this process and in the programs that it executes. An error fails the
 * test.
 */
void refuse_calls(const int *call, int err);

#endif
