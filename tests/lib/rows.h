/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rows: tests of hostile and unusual requests on a whole disk.
 *
 * Each function tests the cases of one table: a request or chain of the case is offered between
 * good reads, and the test checks its outcome, the good reads and the image. A wrong outcome fails
 * the test with the name of the case.
 */
#ifndef TESTS_ROWS_H
#define TESTS_ROWS_H

#include "tests/lib/disk.h"
#include "tests/lib/engines.h"

#define ROWS_RING 64u /* descriptors */

/* Returns the number of combinations of engine_ways() with both ring formats. */
int rows_ways(void);

/* Returns the name of combination `way`, valid until the next call. */
const char *rows_way_name(int way);

/* Creates a disk for combination `way`. The test may change d->config before rows_open. */
void rows_init(struct disk *d, int way);

/* Opens the disk and calls rows_recover. */
void rows_open(struct disk *d);

/* Calls rows_init and rows_open. */
void rows_begin(struct disk *d, int way);

/* Checks that the image has its original size, and its original content unless `written` is set,
 * and destroys the disk. */
void rows_end(struct disk *d, bool written);

/* Resets the device, brings it up with an empty ring of `ring` descriptors, and checks that a read
 * works. */
void rows_recover(struct disk *d, uint16_t ring, uint64_t features);

/* ---- requests that break the queue ([B] in tests/rows/table) ---- */

/* The device pops no request of the batch, not even the good read before the bad entry. */
#define HIDES_EARLIER 1u
/* The device pushes the bad head, with used.len 0. */
#define COMES_BACK 2u
/* The driver did not accept RING_INDIRECT_DESC. */
#define NO_INDIRECT 4u
/* The case exists only in a split or only in a packed ring. */
#define SPLIT_ONLY  8u
#define PACKED_ONLY 16u

/* A case that breaks the queue. */
struct row_bad {
	const char *what; /* name of the case */
	/* Builds and stages the bad chain, or corrupts the avail index. `good` is the read that was
	 * staged before it. */
	void (*offer)(struct mockdrv *m, const struct mock_blk *good, uint64_t arg);
	uint64_t arg;	    /* for offer() */
	unsigned int flags; /* any of HIDES_EARLIER to PACKED_ONLY */
};

/*
 * Tests each case: a good read alone, then one batch of a good read, the bad entry and another good
 * read. The device must break the queue, tell the driver, and not touch the last read.
 */
void rows_break(struct disk *d, const struct row_bad *bad, unsigned int count);

/* ---- unusual framing, which must work ---- */

/* The descriptors of a request that are in an indirect table: none, all, or all but the first. */
enum row_table { TABLE_NONE, TABLE_ALL, TABLE_TAIL };

/* A case of framing: how a request is split over descriptors, and where its parts lie. */
struct row_framing {
	const char *what;    /* name of the case */
	uint32_t len;	     /* bytes of data */
	uint32_t piece;	     /* data bytes for each descriptor; 0: all data in one */
	unsigned int header; /* descriptors that the header is split over; 0: one */
	uint64_t at;	     /* guest physical address of the data; 0: allocated */
	uint32_t odd;	     /* allocated data: distance from a 512-byte boundary */
	uint32_t gap;	     /* bytes in memory between two pieces of data */
	bool glued;   /* one descriptor spans the header's end and data, or data and status */
	bool empties; /* a descriptor of length 0 precedes each descriptor */
	enum row_table table; /* use of an indirect table */
	uint32_t table_odd;   /* distance of the table from a 16-byte boundary */
	uint32_t table_spare; /* descriptors in the table that are not part of the chain */
	uint16_t ref_flags;   /* flags of the descriptor of the table, besides INDIRECT */
};

/*
 * Tests each case by a write and a read at `sector`: exactly the requested bytes of memory and of
 * the image must change. TABLE_TAIL and table_spare are skipped for packed rings, which do not
 * allow them.
 */
void rows_frame(struct disk *d, uint64_t sector, const struct row_framing *framing,
		unsigned int count);

/* ---- requests that fail ([E] in tests/rows/table), and requests that need no I/O ---- */

/* A request, and the answer that the device must give. */
struct row_request {
	uint32_t type;
	uint64_t sector;
	uint32_t len;	   /* bytes of data */
	bool to_guest;	   /* the device writes the data */
	uint8_t status;	   /* expected status */
	uint8_t status2;   /* a second allowed status; 0: none */
	uint32_t used_len; /* expected used.len */
};

/* Tests each request between two good reads, all in one batch. The queue must not break. */
void rows_answer(struct disk *d, const struct row_request *request, unsigned int count);

#endif
