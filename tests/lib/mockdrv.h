/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mockdrv: the driver's side of a ring, over memory the device sees elsewhere. A test lays out chains
 * in a descriptor table and offers their heads, in both formats: for a packed ring the table is the
 * driver's own, and mock_stage copies a chain into the ring, with its head as the buffer id.
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

/* A position in a packed ring, and the wrap counter there. */
struct mock_place {
	uint16_t at;
	bool wrap;
};

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

	/* Packed: the ring, and where the driver is in it. */
	struct vring_packed_desc *packed;
	uint32_t *driver_event; /* off_wrap, and flags in the upper half */
	uint32_t *device_event;
	struct mock_place put, take;
	struct vring_packed_desc *first; /* of what is staged and not shown; its flags: */
	uint16_t first_flags;
	uint16_t length[VRING_MAX_SIZE]; /* of the chain with that id */
	struct vring_desc table[VRING_MAX_SIZE];
};

/* Memory, eventfds and an empty ring of `size` in LOW. */
void mock_init(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);
void mock_fini(struct mockdrv *m);

/* The driver of another queue, in memory (one of the places 1 to MOCK_PLACES) and with eventfds that
 * belong to `first`. A ring has to be laid out; 96 KiB are for its buffers, and `first` then has less
 * than 1 MiB. */
#define MOCK_PLACES 6u
void mock_beside(struct mockdrv *m, const struct mockdrv *first, unsigned int place);

/* Lay out an empty ring again, of any kind; buffers and descriptors are forgotten. */
void mock_ring(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);
void mock_ring_packed(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);

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

/* Split only. */
uint16_t *mock_used_event(const struct mockdrv *m);
uint16_t mock_avail_event(const struct mockdrv *m);
uint16_t mock_used_index(const struct mockdrv *m);

/* Is there a used element to take? */
bool mock_has_used(const struct mockdrv *m);
/* Take the next used element. False: there is none. */
bool mock_used(struct mockdrv *m, struct vring_used_elem *elem);
/* Wait until there is one, and take it. */
void mock_wait_used(struct mockdrv *m, struct vring_used_elem *elem);
/* Wait until used.idx has reached idx; split only. */
void mock_wait_index(struct mockdrv *m, uint16_t idx);

/* ---- packed (mockdrv_packed.c) ---- */

/* Both of the flags that make a descriptor available or used. */
#define MOCK_BOTH (1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED)

/* Those of an available and of a used descriptor where the wrap counter is that. */
uint16_t mock_packed_avail(bool wrap);
uint16_t mock_packed_used_flags(bool wrap);

/* Go on by `count` descriptors. */
void mock_packed_advance(const struct mockdrv *m, struct mock_place *place, uint16_t count);

/* Fill the next descriptor of the ring, with what makes it available added to `flags`; the first one
 * is not before mock_show. The id counts in the last one of a chain. */
void mock_packed_put(struct mockdrv *m, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags);

/* An event structure's position and wrap counter, with flags DESC. */
uint32_t mock_packed_event(struct mock_place place);

/* What mock_stage, mock_show, mock_has_used and then mock_used do to a packed ring. */
void mock_packed_stage(struct mockdrv *m, uint16_t head);
void mock_packed_show(struct mockdrv *m);
bool mock_packed_has_used(const struct mockdrv *m);
void mock_packed_take(struct mockdrv *m, struct vring_used_elem *elem);

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
/*
 * Let others run: by sched_yield() at first, then, as whoever polls takes the processor from what
 * it waits for, by short sleeps. Fails the test when the deadline is over.
 */
void mock_yield(int64_t deadline);
/*
 * Let others run: for a thread that disturbs them without end. Yields, and sleeps for a moment at
 * every 64th call, or the threads under test would wait for a time slice on a busy machine.
 */
void mock_pester(void);
#define mock_wait_until(cond)                                  \
	do {                                                   \
		for (int64_t end_ = mock_deadline(); !(cond);) \
			mock_yield(end_);                      \
	} while (0)

#endif
