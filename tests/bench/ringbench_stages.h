/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_RINGBENCH_STAGES_H
#define TESTS_RINGBENCH_STAGES_H

#include <stdbool.h>

/* Runs batches of `depth` requests through all stages in this thread, and mirrors the requests in
 * flight with `inflight`; prints a line of JSON. */
void stages_measure(unsigned int depth, bool packed, bool indirect, bool inflight);

#endif
