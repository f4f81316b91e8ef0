/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkreq: a descriptor chain -> a validated virtio-blk request (virtio 1.2, 5.2.6), and its result
 * -> status byte and used.len. Pure functions over memory: no I/O, no state. Any framing of
 * header, data and status over descriptors is accepted (2.7.4.1).
 */
#ifndef DATAPLANE_BLKREQ_H
#define DATAPLANE_BLKREQ_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ioengine.h"
#include "dataplane/vring.h"

#define BLKREQ_SECTOR	512u
#define BLKREQ_ID_BYTES 20

/* What requests are judged against. */
struct blkreq_disk {
	uint64_t capacity; /* bytes, a multiple of BLKREQ_SECTOR */
	uint32_t blk_size; /* bytes, a power of two >= BLKREQ_SECTOR */
	bool readonly;
	uint32_t discard_max; /* sectors per segment; 0: the driver did not accept DISCARD */
	uint32_t zeroes_max;  /* the same of WRITE_ZEROES */
	bool unmap;	      /* zeroes may give blocks back to the host, if the driver says so */
	bool writethrough;    /* the driver does not flush: each write must be stable */
	char id[BLKREQ_ID_BYTES]; /* GET_ID's answer; unused bytes are 0 */
};

/* What the driver asked for; first those that have an enum io_op, with the same number. */
enum blkreq_kind {
	BLKREQ_READ = IO_READ,
	BLKREQ_WRITE = IO_WRITE,
	BLKREQ_FLUSH = IO_FLUSH,
	BLKREQ_DISCARD = IO_DISCARD,
	BLKREQ_WRITE_ZEROES = IO_WRITE_ZEROES,
	BLKREQ_GET_ID,
	BLKREQ_UNKNOWN, /* no such type */
	BLKREQ_KINDS
};

struct blkreq {
	struct vring_chain chain;
	uint8_t *status;     /* the last writable byte */
	uint32_t in_len;     /* writable bytes in front of it */
	uint32_t written;    /* how many of them, from the first on, are written on success */
	uint8_t status_code; /* on success */
	uint8_t kind;	     /* enum blkreq_kind; not set after BLKREQ_BROKEN */
};

enum blkreq_verdict {
	BLKREQ_SUBMIT, /* *task is to be given to the engine */
	BLKREQ_DONE,   /* nothing to do: blkreq_finish at once */
	BLKREQ_BROKEN, /* no header or no status byte: push the head with 0, then break the queue */
};

/* Judge req->chain, as vring_pop filled it. Consumes chain.iov. */
enum blkreq_verdict blkreq_parse(struct blkreq *req, const struct blkreq_disk *disk,
				 struct io_task *task);

/* Write the status byte; `result` is the task's, or 0 after BLKREQ_DONE. Returns used.len: the
 * bytes really written from the first writable byte on (2.7.8.2). */
uint32_t blkreq_finish(struct blkreq *req, int result);

#endif
