/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rows: one row of the table of what hostile guests try, on a whole disk over a real image: something
 * is offered between good requests, and what must come of it is looked for. A wrong outcome fails
 * the test and names the case.
 */
#ifndef TESTS_ROWS_H
#define TESTS_ROWS_H

#include "tests/lib/disk.h"
#include "tests/lib/engines.h"

#define ROWS_RING 64u /* entries */

/* Every way of tests/lib/engines.h, over both ring formats. */
int rows_ways(void);

/* A disk over way number `way`; change d->config, then rows_open. */
void rows_init(struct disk *d, int way);
void rows_open(struct disk *d);
/* rows_init and rows_open. */
void rows_begin(struct disk *d, int way);
/* The image has the size it had, and the content unless `written`; close. */
void rows_end(struct disk *d, bool written);

/* A fresh driver, and a read that works. */
void rows_recover(struct disk *d, uint16_t ring, uint64_t features);

/* ---- [B] ---- */

/* Nothing of its batch is looked at, not even what was offered before it. */
#define HIDES_EARLIER 1u
/* Its head comes back, with nothing written. */
#define COMES_BACK 2u
/* The driver did not accept RING_INDIRECT_DESC. */
#define NO_INDIRECT 4u
/* Cannot be said in a packed ring, or only in one. */
#define SPLIT_ONLY  8u
#define PACKED_ONLY 16u

struct row_bad {
	const char *what;
	/* Lay it out, and stage its entry or spoil the index. `good` is the read staged before it. */
	void (*offer)(struct mockdrv *m, const struct mock_blk *good, uint64_t arg);
	uint64_t arg;
	unsigned int flags;
};

/* Each case: a good read, then [a good read, the bad one, a good read] in one batch. */
void rows_break(struct disk *d, const struct row_bad *bad, unsigned int count);

/* ---- works, however it is laid out ---- */

enum row_table {
	TABLE_NONE,
	TABLE_ALL,
	TABLE_TAIL
}; /* all of it indirect, or all but the header */

struct row_framing {
	const char *what;
	uint32_t len;	     /* data bytes */
	uint32_t piece;	     /* data in pieces of that many; 0: one */
	unsigned int header; /* the header in that many descriptors; 0: one */
	uint64_t at;	     /* where the data is; 0: anywhere */
	uint32_t odd;	     /* ... that far off an aligned address */
	uint32_t gap;	     /* bytes between two pieces */
	bool glued;   /* no descriptor ends where header and data, or data and status, meet */
	bool empties; /* an empty descriptor before each of the others */
	enum row_table table;
	uint32_t table_odd;   /* the table's address, off an aligned one */
	uint32_t table_spare; /* descriptors in the table that no chain leads to */
	uint16_t ref_flags;   /* on the reference to the table, besides INDIRECT */
};

/*
 * Each case: a read and a write at `sector`, which reach the right bytes of both sides and no other. A
 * table with something before it, or with more in it than the chain, is a split ring's only.
 */
void rows_frame(struct disk *d, uint64_t sector, const struct row_framing *framing,
		unsigned int count);

/* ---- [E], and requests that are answered at once ---- */

struct row_request {
	uint32_t type;
	uint64_t sector;
	uint32_t len; /* of data */
	bool to_guest;
	uint8_t status;	 /* what must come of it */
	uint8_t status2; /* ... or this, when not 0 */
	uint32_t used_len;
};

/* Each case between two good reads, all in one batch. */
void rows_answer(struct disk *d, const struct row_request *request, unsigned int count);

#endif
