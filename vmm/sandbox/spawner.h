/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maker: a thread that makes what a vCPU's filter does not let it make: rings, AIO contexts, threads.
 * It has the filter of the process (sandbox.h), and passes that on to the threads it starts.
 */
#ifndef VMM_MAKER_H
#define VMM_MAKER_H

struct maker;

/* Main thread, before the first vCPU runs. 0 or -errno. It inherits the caller's signal mask. */
int maker_start(struct maker **maker);

/* When nobody calls it any more. NULL is allowed. */
void maker_stop(struct maker *maker);

/* Have it run work(arg); returns what that returned. Any number of threads; in turn. */
int maker_run(void *maker, int (*work)(void *arg), void *arg);

#endif
