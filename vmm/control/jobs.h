/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * jobs: worker thread for control requests that may block.
 *
 * The thread runs the jobs one after the other, in the order in which they were queued. The caller
 * owns the memory of a job and must not reuse it before `done` is called.
 */
#ifndef VMM_CONTROL_JOBS_H
#define VMM_CONTROL_JOBS_H

struct job {
	void (*run)(struct job *job);  /* on the job thread; may wait for vCPUs and host I/O */
	void (*done)(struct job *job); /* called after run, on the thread that calls jobs_reap */
	struct job *next;	       /* private to jobs.c */
};

struct jobs;

/* Starts the job thread, which inherits the caller's signal mask. 0 or -errno. */
int jobs_create(struct jobs **jobs);

/* Waits for the running job and ends the thread. Queued jobs are not run, and `done` is not called
 * for jobs that have not been reaped. NULL is allowed. */
void jobs_destroy(struct jobs *jobs);

/* Queues a job. The same thread must call jobs_queue and jobs_reap. */
void jobs_queue(struct jobs *jobs, struct job *job);

/* Returns an eventfd that is readable when there are finished jobs to reap. */
int jobs_fd(const struct jobs *jobs);

/* Calls `done` for each finished job; returns at once if there is none. */
void jobs_reap(struct jobs *jobs);

#endif
