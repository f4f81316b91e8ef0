/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkreq: parses and completes virtio-blk requests (virtio 1.2, 5.2.6).
 *
 * blkreq_parse turns a descriptor chain into a validated request; blkreq_finish turns the result of
 * a request into its status byte and used.len. Both work on memory only, without I/O or state. The
 * driver may split header, data and status over descriptors as it likes (2.7.4.1).
 */
#ifndef DATAPLANE_BLKREQ_H
#define DATAPLANE_BLKREQ_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io_task.h"
#include "dataplane/vring.h"

#define BLKREQ_SECTOR	512u
#define BLKREQ_ID_BYTES 20

/* The properties of a disk that requests are validated against. */
struct blkreq_disk {
	uint64_t capacity; /* bytes, a multiple of BLKREQ_SECTOR */
	uint32_t blk_size; /* bytes, a power of two >= BLKREQ_SECTOR */
	bool readonly;
	uint32_t discard_max; /* sectors per segment; 0: the driver did not accept DISCARD */
	uint32_t zeroes_max;  /* sectors per segment; 0: the driver did not accept WRITE_ZEROES */
	bool unmap;	   /* WRITE_ZEROES with the UNMAP flag may deallocate blocks of the image */
	bool writethrough; /* each write must be on stable storage when it completes */
	char id[BLKREQ_ID_BYTES]; /* the answer to GET_ID; unused bytes are 0 */
};

/* The type of a request. The types that the I/O engine executes have the values of their
 * enum io_op; the others follow. */
enum blkreq_kind {
	BLKREQ_READ = IO_READ,
	BLKREQ_WRITE = IO_WRITE,
	BLKREQ_FLUSH = IO_FLUSH,
	BLKREQ_DISCARD = IO_DISCARD,
	BLKREQ_WRITE_ZEROES = IO_WRITE_ZEROES,
	BLKREQ_GET_ID,
	BLKREQ_UNKNOWN, /* a type that the device does not support */
	BLKREQ_KINDS
};

/* A request from pop to push. blkreq_parse sets all members but chain. */
struct blkreq {
	struct vring_chain chain;
	uint8_t *status;     /* the status byte, the chain's last writable byte */
	uint32_t in_len;     /* writable bytes before the status byte */
	uint32_t written;    /* bytes of in_len that a successful request writes */
	uint8_t status_code; /* VIRTIO_BLK_S_* to report if the result is 0 */
	uint8_t kind;	     /* enum blkreq_kind; not set after BLKREQ_BROKEN */
};

/* The next step of the caller of blkreq_parse. */
enum blkreq_verdict {
	BLKREQ_SUBMIT, /* submit *task to the engine */
	BLKREQ_DONE,   /* call blkreq_finish at once: no I/O is needed, or the request is refused */
	BLKREQ_BROKEN, /* no header or status byte: push the head with 0, then break the queue */
};

/* Validates the request in req->chain, as vring_pop filled it, and fills *task for BLKREQ_SUBMIT.
 * The function changes chain.iov, part of which becomes the iovec of the task. */
enum blkreq_verdict blkreq_parse(struct blkreq *req, const struct blkreq_disk *disk,
				 struct io_task *task);

/* Writes the status byte. `result` is the result of the task, or 0 after BLKREQ_DONE. Returns
 * used.len: the number of bytes written without a gap from the first writable byte on (2.7.8.2). */
uint32_t blkreq_finish(struct blkreq *req, int result);

#endif
