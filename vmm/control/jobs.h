/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errands: a helper thread for what the main thread is asked for and must not wait for itself: it
 * runs one after the other, in the order given. None is allocated here; who gives one keeps it until
 * it is done.
 */
#ifndef VMM_ERRANDS_H
#define VMM_ERRANDS_H

struct errand {
	void (*run)(
		struct errand *errand); /* on the helper; may wait for vCPUs and the host's I/O */
	void (*done)(struct errand *errand); /* afterwards, where errands_collect is called */
	struct errand *next;		     /* theirs */
};

struct errands;

/* 0 or -errno. The thread inherits the caller's signal mask. */
int errands_create(struct errands **errands);
/* Waits for the one that is being run; of those that are not, and of those not collected, nobody
 * hears. NULL is allowed. */
void errands_destroy(struct errands *errands);

/* One thread gives and collects. */
void errands_give(struct errands *errands, struct errand *errand);
/* Readable when there is something to collect. */
int errands_fd(const struct errands *errands);
void errands_collect(struct errands *errands);

#endif
