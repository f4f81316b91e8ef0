/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * jobs: a helper thread for what the main thread is asked for and must not wait for itself: it
 * runs one after the other, in the order given. None is allocated here; who gives one keeps it until
 * it is done.
 */
#ifndef VMM_ERRANDS_H
#define VMM_ERRANDS_H

struct job {
	void (*run)(struct job *job);  /* on the helper; may wait for vCPUs and the host's I/O */
	void (*done)(struct job *job); /* afterwards, where jobs_reap is called */
	struct job *next;	       /* theirs */
};

struct jobs;

/* 0 or -errno. The thread inherits the caller's signal mask. */
int jobs_create(struct jobs **jobs);
/* Waits for the one that is being run; of those that are not, and of those not collected, nobody
 * hears. NULL is allowed. */
void jobs_destroy(struct jobs *jobs);

/* One thread gives and collects. */
void jobs_queue(struct jobs *jobs, struct job *job);
/* Readable when there is something to collect. */
int jobs_fd(const struct jobs *jobs);
void jobs_reap(struct jobs *jobs);

#endif
