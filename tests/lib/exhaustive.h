/* SPDX-License-Identifier: BSD-3-Clause */
/* What exhaustive tests share: comparison of iovecs, and counters of what an alphabet covers. */
#ifndef TESTS_EXHAUSTIVE_H
#define TESTS_EXHAUSTIVE_H

#include <stdbool.h>
#include <sys/uio.h>

/* A value for the entry behind an array, to find out whether it is overwritten. */
extern const struct iovec iov_canary;

/* Compares two arrays of iovecs. */
bool iov_same(const struct iovec *a, const struct iovec *b, unsigned int count);

/* Numbers of chains that were expected to be accepted and refused. */
extern unsigned long exhaustive_accepted, exhaustive_refused;

/* Fails the test when either number is 0: an alphabet without valid chains, or without invalid
 * ones, tests nothing. Logs the numbers if EXHAUSTIVE_COUNTS is set in the environment. */
void exhaustive_report(const char *what);

#endif
