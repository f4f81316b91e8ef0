/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mockdrv: a mock virtio driver for split and packed rings.
 *
 * A test builds chains in a descriptor table and offers their heads. For a packed ring, this table
 * is private to the driver: mock_stage copies a chain into the ring, with its head as the buffer
 * id.
 *
 * Guest memory is one memfd, mapped twice. The driver maps it in one piece. The device maps it as
 * three regions at unrelated host addresses, each between guard pages: LOW and HIGH adjoin in guest
 * physical space, FAR lies behind a hole. Guest physical addresses are far from 0 and from all host
 * addresses, so that code which takes one for the other causes a fault.
 *
 * Unless stated otherwise, functions are for the test thread, and a failure in them fails the test.
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
#define MOCK_DEADLINE_S 60 /* long, because the host's disk may stall for seconds */

/* Short names of descriptor flags. */
#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* A position in a packed ring, and the wrap counter there. */
struct mock_place {
	uint16_t at;
	bool wrap;
};

/* A driver of one queue. */
struct mockdrv {
	int memfd;
	int kick_fd;
	int irq_fd;
	uint8_t *mem;	    /* the driver's mapping, [MOCK_LOW, MOCK_TOP) */
	uint8_t *device[3]; /* the device's mappings: LOW, HIGH, FAR */
	struct hostmem hostmem;

	uint64_t base; /* guest physical address of the ring */
	struct vring_config ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* index of the next avail entry to fill */
	uint16_t used_idx;  /* index of the next used element to take */
	uint16_t next_desc; /* index of the next free descriptor; mock_forget frees all */
	uint64_t heap;	    /* guest physical address of the next allocation */

	/* The members of a packed ring. */
	struct vring_packed_desc *packed;
	uint32_t *driver_event;	     /* off_wrap in bits 0 to 15, flags in bits 16 to 31 */
	uint32_t *device_event;	     /* off_wrap in bits 0 to 15, flags in bits 16 to 31 */
	struct mock_place put, take; /* positions of the next descriptor to fill and used element */
	struct vring_packed_desc *first; /* first descriptor staged since mock_show; or NULL */
	uint16_t first_flags;		 /* flags of `first`, which mock_show stores */
	uint16_t length[VRING_MAX_SIZE]; /* descriptors of each chain, by buffer id */
	struct vring_desc table[VRING_MAX_SIZE]; /* the driver's private descriptor table */
};

/* Creates memory, eventfds and an empty split ring of `size` descriptors in LOW. */
void mock_init(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);
void mock_fini(struct mockdrv *m);

/* Number of memory areas for drivers of further queues. */
#define MOCK_PLACES 6u

/*
 * Creates the driver of a further queue in memory area `place`, 1 to MOCK_PLACES. Memory and
 * eventfds still belong to `first`, whose buffers must stay below the first MiB of LOW. The caller
 * must lay out a ring next. The driver has about 96 KiB for buffers.
 */
void mock_beside(struct mockdrv *m, const struct mockdrv *first, unsigned int place);

/* Lay out an empty split or packed ring, and free all buffers and descriptors. */
void mock_ring(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);
void mock_ring_packed(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect);

/* Returns the name of a ring format, 0: split, 1: packed. */
const char *mock_format_name(int packed);

/* Returns the driver's pointer to guest memory at gpa. Any thread. */
void *mock_ptr(const struct mockdrv *m, uint64_t gpa);

/* Allocates guest memory in LOW, filled with 0xee. Returns its guest physical address. */
uint64_t mock_alloc(struct mockdrv *m, uint64_t bytes, uint64_t align);

/* ---- descriptors ---- */

/* A buffer of a chain; `write`: the device writes it. */
struct mock_piece {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

/* Fills descriptor i of the table. */
void mock_desc(struct mockdrv *m, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next);

/* Builds a chain of these buffers in the next free descriptors. Returns its head. */
uint16_t mock_chain(struct mockdrv *m, const struct mock_piece *piece, unsigned int count);

/* Builds a chain of these buffers in an indirect table at `table` (0: allocated), and one
 * descriptor that refers to it. Returns the index of this descriptor. */
uint16_t mock_chain_indirect(struct mockdrv *m, uint64_t table, const struct mock_piece *piece,
			     unsigned int count);

/* Frees all descriptors, so that the next chain begins at descriptor 0. */
void mock_forget(struct mockdrv *m);

/* ---- the rings ---- */

/* Fills the next avail entry. The device sees the entry after mock_show. */
void mock_stage(struct mockdrv *m, uint16_t head);

/* Makes all staged chains available to the device. Includes a full barrier, after which the driver
 * may read the device's request for notifications. */
void mock_show(struct mockdrv *m);

/* Calls mock_stage, mock_show and mock_kick. */
void mock_offer(struct mockdrv *m, uint16_t head);

/* Notifies the device through kick_fd. */
void mock_kick(struct mockdrv *m);

/* Access the event fields and used.idx of a split ring. */
uint16_t *mock_used_event(const struct mockdrv *m);
uint16_t mock_avail_event(const struct mockdrv *m);
uint16_t mock_used_index(const struct mockdrv *m);

/* True when the device has published a used element that was not taken yet. */
bool mock_has_used(const struct mockdrv *m);

/* Takes the next used element. False: there is none. */
bool mock_used(struct mockdrv *m, struct vring_used_elem *elem);

/* Waits for the next used element, and takes it. */
void mock_wait_used(struct mockdrv *m, struct vring_used_elem *elem);

/* Waits until used.idx of a split ring is idx. */
void mock_wait_index(struct mockdrv *m, uint16_t idx);

/* ---- packed (mockdrv_packed.c) ---- */

/* The two flags that say whether a descriptor is available or used. */
#define MOCK_BOTH (1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED)

/* Return AVAIL and USED of an available and of a used descriptor for this wrap counter. */
uint16_t mock_packed_avail(bool wrap);
uint16_t mock_packed_used_flags(bool wrap);

/* Advances a position by `count` descriptors. */
void mock_packed_advance(const struct mockdrv *m, struct mock_place *place, uint16_t count);

/*
 * Fills the next descriptor of the ring and makes it available by adding AVAIL or USED to `flags`.
 * The flags of the first descriptor after a mock_show are stored by the next mock_show, all others
 * at once. The device uses the id of the last descriptor of a chain.
 */
void mock_packed_put(struct mockdrv *m, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags);

/* Returns an event structure with this position and wrap counter, and flags DESC. */
uint32_t mock_packed_event(struct mock_place place);

/* Implement mock_stage, mock_show, mock_has_used and mock_used for a packed ring. The caller of
 * mock_packed_take has checked that there is a used element. */
void mock_packed_stage(struct mockdrv *m, uint16_t head);
void mock_packed_show(struct mockdrv *m);
bool mock_packed_has_used(const struct mockdrv *m);
void mock_packed_take(struct mockdrv *m, struct vring_used_elem *elem);

/* Returns the number of interrupts since the last call, without waiting. */
uint64_t mock_irqs(struct mockdrv *m);

/* Waits for an interrupt. Returns the number of interrupts since the last call, at least 1. */
uint64_t mock_wait_irq(struct mockdrv *m);

/* ---- block requests ---- */

/* A block request in guest memory. Addresses are guest physical. */
struct mock_blk {
	uint16_t head;
	uint64_t header;
	uint64_t data;
	uint64_t status;
	uint32_t len; /* bytes of data */
};

/* Builds a request with header, data and status in one descriptor each (no data if len is 0). Data
 * bytes are 0xee, the status byte is 0xff. */
void mock_blk(struct mockdrv *m, struct mock_blk *req, uint32_t type, uint64_t sector,
	      uint32_t len);

/* Allocates a request header in LOW, at any alignment. Returns its guest physical address. */
uint64_t mock_header(struct mockdrv *m, uint32_t type, uint64_t sector);

/* Returns the status byte of a request; 0xff: the device has not written it. */
uint8_t mock_status(const struct mockdrv *m, const struct mock_blk *req);

/* Offers a request and waits for its used element. Returns the status; *len is used.len (len may be
 * NULL). */
uint8_t mock_do(struct mockdrv *m, struct mock_blk *req, uint32_t *len);

/*
 * Fails the test when cond is false, like ck_assert. For code that runs often or on other threads
 * than the test's: ck_assert writes to a pipe even for each assertion that holds.
 */
#define must(cond)                                         \
	do {                                               \
		if (!(cond))                               \
			ck_abort_msg("%s", "not: " #cond); \
	} while (0)

/* ---- waiting ---- */

/* The current time of CLOCK_MONOTONIC in seconds. Any thread. */
int64_t mock_seconds(void);

/* Starts a wait of the calling thread. Returns its deadline, in seconds of CLOCK_MONOTONIC. */
int64_t mock_deadline(void);

/*
 * Gives up the CPU in a polling loop: by sched_yield() at first, then by short sleeps, because a
 * thread that polls takes the CPU from the thread it waits for. Fails the test after the deadline.
 * Any thread.
 */
void mock_yield(int64_t deadline);

/*
 * Gives up the CPU by sched_yield(), in a loop that keeps disturbing the threads under test. Every
 * 64th call sleeps for a moment, as otherwise the threads under test would wait for a time slice on
 * a busy machine. Any thread.
 */
void mock_pester(void);

/* Waits until the condition holds. Fails the test after MOCK_DEADLINE_S. */
#define mock_wait_until(cond)                                  \
	do {                                                   \
		for (int64_t end_ = mock_deadline(); !(cond);) \
			mock_yield(end_);                      \
	} while (0)

#endif
