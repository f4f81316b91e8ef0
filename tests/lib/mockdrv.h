/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mockdrv: the driver's side of a split ring, over memory the device sees elsewhere.
 *
 * Guest memory is one memfd, mapped twice. The driver has it in one piece. The device has it in
 * three regions that lie apart on the host, each between guard pages: LOW and HIGH touch in guest
 * physical space, FAR is behind a hole. Guest physical addresses are far from 0 and from every host
 * address, so one taken for the other faults.
 *
 * Everything here is called by the test thread. What fails here fails the test.
 */
#ifndef TESTS_MOCKDRV_H
#define TESTS_MOCKDRV_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "dataplane/base.h"
#include "dataplane/hostmem.h"
#include "dataplane/vring.h"

#define MOCK_PAGE	4096ul
#define MOCK_LOW	0x4000000000ul
#define MOCK_LOW_SIZE	(2ul << 20)
#define MOCK_HIGH	(MOCK_LOW + MOCK_LOW_SIZE)
#define MOCK_HIGH_SIZE	(2ul << 20)
#define MOCK_HOLE	(MOCK_HIGH + MOCK_HIGH_SIZE)
#define MOCK_HOLE_SIZE	(1ul << 20)
#define MOCK_FAR	(MOCK_HOLE + MOCK_HOLE_SIZE)
#define MOCK_FAR_SIZE	(1ul << 20)
#define MOCK_TOP	(MOCK_FAR + MOCK_FAR_SIZE)
#define MOCK_DEADLINE_S 60 /* the host's disk may stand still for seconds */

/* Descriptor flags, short. */
#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

struct mockdrv {
	int memfd;
	int kick_fd;
	int irq_fd;
	uint8_t *mem; /* the driver's mapping, of MOCK_LOW .. MOCK_TOP */
	uint8_t *device[3];
	struct hostmem hostmem;

	uint64_t base; /* where the ring is laid out */
	struct vring_config ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* the next entry to fill */
	uint16_t used_idx;  /* the next element to take */
	uint16_t next_desc; /* the next free descriptor; freed all at once by mock_forget */
	uint64_t heap;
};

/* Memory, eventfds and an empty ring of `size` in LOW. */
void mock_init(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);
void mock_fini(struct mockdrv *m);

/* The driver of another queue (1 to 7), with an empty ring, in memory and with eventfds that belong
 * to `first`; has 96 KiB for its buffers, and `first` then less than 1 MiB. */
void mock_beside(struct mockdrv *m, const struct mockdrv *first, unsigned int queue, uint16_t size,
		 bool event_idx, bool indirect);

/* Lay out an empty ring again, of any kind; buffers and descriptors are forgotten. */
void mock_ring(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);

/* The driver's pointer to guest memory. */
void *mock_ptr(const struct mockdrv *m, uint64_t gpa);

/* Fresh guest memory in LOW, filled with 0xee. */
uint64_t mock_alloc(struct mockdrv *m, uint64_t bytes, uint64_t align);

/* ---- descriptors ---- */

struct mock_piece {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

void mock_desc(struct mockdrv *m, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next);

/* A chain of the pieces in the next free descriptors; returns its head. */
uint16_t mock_chain(struct mockdrv *m, const struct mock_piece *piece, unsigned int count);

/* The same in a table of its own at `table` (0: allocated), behind one INDIRECT descriptor. */
uint16_t mock_chain_indirect(struct mockdrv *m, uint64_t table, const struct mock_piece *piece,
			     unsigned int count);

/* All descriptors are free again. */
void mock_forget(struct mockdrv *m);

/* ---- the rings ---- */

/* Fill the next avail entry; the device may see it after mock_show. */
void mock_stage(struct mockdrv *m, uint16_t head);
void mock_show(struct mockdrv *m);
/* Stage, show, kick. */
void mock_offer(struct mockdrv *m, uint16_t head);
void mock_kick(struct mockdrv *m);

uint16_t *mock_used_event(const struct mockdrv *m);
uint16_t mock_avail_event(const struct mockdrv *m);
uint16_t mock_used_index(const struct mockdrv *m);

/* Take the next used element. False: there is none. */
bool mock_used(struct mockdrv *m, struct vring_used_elem *elem);
/* Wait until there is one, and take it. */
void mock_wait_used(struct mockdrv *m, struct vring_used_elem *elem);
/* Wait until used.idx has reached idx. */
void mock_wait_index(struct mockdrv *m, uint16_t idx);

/* Interrupts since the last call; the second waits for the first of them. */
uint64_t mock_irqs(struct mockdrv *m);
uint64_t mock_wait_irq(struct mockdrv *m);

/* ---- block requests ---- */

struct mock_blk {
	uint16_t head;
	uint64_t header;
	uint64_t data;
	uint64_t status;
	uint32_t len;
};

/* Header, data and status in descriptors of their own; data is 0xee, the status byte 0xff. */
void mock_blk(struct mockdrv *m, struct mock_blk *req, uint32_t type, uint64_t sector,
	      uint32_t len);
/* Only the header, with those fields, somewhere in LOW. */
uint64_t mock_header(struct mockdrv *m, uint32_t type, uint64_t sector);
uint8_t mock_status(const struct mockdrv *m, const struct mock_blk *req);
/* Offer it, wait for its used element, return the status; used.len goes to *len (may be NULL). */
uint8_t mock_do(struct mockdrv *m, struct mock_blk *req, uint32_t *len);

/*
 * As ck_assert, for places that are passed often or by any thread: Check writes to a pipe for each
 * assertion that holds, too.
 */
#define must(cond)                                         \
	do {                                               \
		if (!(cond))                               \
			ck_abort_msg("%s", "not: " #cond); \
	} while (0)

/* ---- waiting ---- */

/* Seconds of CLOCK_MONOTONIC: now, and when a wait that begins now has failed. */
int64_t mock_seconds(void);
int64_t mock_deadline(void);
/* Give way; fail the test when the deadline is over. */
void mock_yield(int64_t deadline);
#define mock_wait_until(cond)                                  \
	do {                                                   \
		for (int64_t end_ = mock_deadline(); !(cond);) \
			mock_yield(end_);                      \
	} while (0)

#endif
