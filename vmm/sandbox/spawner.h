/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spawner: helper thread that runs system calls forbidden to vCPU threads.
 *
 * A vCPU thread's seccomp filter forbids creating io_uring rings, AIO contexts and threads. The
 * spawner thread keeps the wider filter of the process (sandbox.h), and the threads that it starts
 * inherit that.
 */
#ifndef VMM_SANDBOX_SPAWNER_H
#define VMM_SANDBOX_SPAWNER_H

struct spawner;

/* Start the spawner thread. The main thread calls this before the first vCPU runs. The spawner
 * inherits the caller's signal mask. Returns 0 or -errno. */
int spawner_start(struct spawner **spawner);

/* Stop and free the spawner, once no thread calls spawner_run any more. NULL is allowed. */
void spawner_stop(struct spawner *spawner);

/* Run work(arg) on the spawner thread and return its result. Any thread may call this; concurrent
 * calls are run one after the other. */
int spawner_run(void *spawner, int (*work)(void *arg), void *arg);

#endif
