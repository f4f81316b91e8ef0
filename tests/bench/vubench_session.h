/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user-blk front end for benchmarks: one memory region, blocking messages.
 *
 * Any failure, also a time-out of ten seconds and an answer that the protocol forbids, ends the
 * process with a message. One thread.
 */
#ifndef TESTS_VUBENCH_SESSION_H
#define TESTS_VUBENCH_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/vring.h"

struct vu_session {
	int sock;
	bool packed, indirect;
	bool log;      /* every write to memory is recorded in a dirty log */
	bool inflight; /* requests in flight are mirrored */
	unsigned int queues;
	uint64_t features;  /* that are negotiated */
	uint64_t protocol;  /* protocol features that are negotiated */
	uint64_t capacity;  /* of the disk, in bytes */
	int memory_fd;	    /* of the region */
	uint64_t gpa, size; /* of the region */
	void *memory;
};

struct vu_queue {
	struct vring_config ring;
	int kick_fd, call_fd;
};

/* Connects, negotiates and sends the memory table. Sets features, protocol and capacity. */
void vu_open(struct vu_session *s, const char *path);
/* Starts queue `index`. */
void vu_start(const struct vu_session *s, unsigned int index, const struct vu_queue *queue);
/* Stops queue `index`: returns when the back end has completed all of its requests. */
void vu_stop(const struct vu_session *s, unsigned int index);

/* Prints "vubench: WHAT: REASON", where errno is the reason if `why` is NULL, and exits with 1. */
_Noreturn void vu_die(const char *what, const char *why);

#endif
