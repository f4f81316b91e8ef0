/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maker: a thread that makes what a vCPU's filter does not let it make: rings, AIO contexts, threads.
 * It has the filter of the process (sandbox.h), and passes that on to the threads it starts.
 */
#ifndef VMM_MAKER_H
#define VMM_MAKER_H

struct spawner;

/* Main thread, before the first vCPU runs. 0 or -errno. It inherits the caller's signal mask. */
int spawner_start(struct spawner **spawner);

/* When nobody calls it any more. NULL is allowed. */
void spawner_stop(struct spawner *spawner);

/* Have it run work(arg); returns what that returned. Any number of threads; in turn. */
int spawner_run(void *spawner, int (*work)(void *arg), void *arg);

#endif
