/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest RAM, and a virtio-blk driver that makes the mistakes the fuzzer chooses.
 *
 * RAM is one memfd, mapped twice. The driver's mapping is contiguous, with a hole. The device's
 * mapping has three regions between guard pages: LOW and HIGH are adjacent in guest physical space,
 * FAR is above the hole. An access outside of them faults, and so does a guest physical address
 * that is used as a pointer.
 *
 * LOW and HIGH fill their pages, so the first byte beyond them faults, from any caller. FAR begins
 * and ends inside a page, as RAM of a real machine never does, to detect code that rounds to pages;
 * the rest of those pages holds canaries.
 */
#ifndef TESTS_FUZZ_GUEST_H
#define TESTS_FUZZ_GUEST_H

#include "dataplane/hostmem.h"
#include "dataplane/vring.h"
#include "tests/fuzz/fuzz.h"

#define GUEST_LOW      0x4000000000ull
#define GUEST_LOW_SIZE 0x10000ull
#define GUEST_HIGH     (GUEST_LOW + GUEST_LOW_SIZE)
#define GUEST_HOLE     (GUEST_HIGH + 0x10000ull)
#define GUEST_FAR      (GUEST_HOLE + 0x4200ull)
#define GUEST_TOP      (GUEST_HOLE + 0xbd00ull)
#define GUEST_END      (GUEST_HOLE + 0xc000ull) /* end of the page that TOP is in */
#define GUEST_SPAN     (GUEST_END - GUEST_LOW)
#define GUEST_REGIONS  3

/* Position of a valid ring; buffers are from GUEST_HEAP on. */
#define GUEST_DESC     (GUEST_LOW + 0x1000)
#define GUEST_AVAIL    (GUEST_LOW + 0x2000)
#define GUEST_USED     (GUEST_LOW + 0x3000)
#define GUEST_HEAP     (GUEST_LOW + 0x4000)
#define GUEST_RING_MAX 256

struct guest {
	uint8_t *mem; /* the driver's mapping, of GUEST_LOW .. GUEST_END */
	uint8_t *device[GUEST_REGIONS];
	struct hostmem hostmem;
};

/* Called once per process. */
void guest_create(struct guest *g);

/* Fills RAM with a byte, and the rest of the mapped pages with canaries. */
void guest_clear(struct guest *g, uint8_t byte);

/* Checks that the canaries are as guest_clear left them. */
void guest_check(const struct guest *g);

/*
 * Returns the number of regions that [gpa, gpa + len) touches; 0: part of it is not RAM. len is not
 * 0.
 */
unsigned int guest_pieces(uint64_t gpa, uint64_t len);

/* Returns the driver's pointer to gpa, which is not in the hole. */
void *guest_ptr(const struct guest *g, uint64_t gpa);

/* Returns whether all of the device's [hva, hva + len) is in one region. */
bool guest_has(const struct guest *g, const void *hva, uint64_t len);

/* Returns the GPA of hva; fails when [hva, hva + len) is not in one region. */
uint64_t guest_gpa(const struct guest *g, const void *hva, uint64_t len);

/* A position in a packed ring, and its wrap counter. */
struct place {
	uint16_t at;
	bool wrap;
};

/* Flags AVAIL and USED of a packed descriptor. */
#define PLACE_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define PLACE_USED  (1u << VRING_PACKED_DESC_F_USED)

/* Advances by `count` descriptors of a ring of `size`. */
void place_advance(struct place *p, uint16_t size, unsigned int count);
/* Returns whether these flags make the descriptor at p available. */
bool place_available(struct place p, uint16_t flags);

/*
 * Moves the used ring or the avail ring so that it overlaps or touches another part of the ring, at
 * any distance; with a packed ring, an event structure. The alignment stays valid.
 */
void guest_overlap_ring(struct vring_config *ring, struct input *in);

struct driver {
	struct guest *g;
	struct vring_config ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t capacity; /* of the disk, in sectors */
	uint16_t avail_idx;
	uint16_t next_desc;
	uint64_t heap;
	uint64_t header[8]; /* GPAs of the last requests' headers, in no order; 0: none */
	unsigned int headers;
	uint64_t laid_out; /* bytes of heap in use by this batch; the caller resets it */
	bool wild;	   /* a buffer may overlap the ring: the used ring is unreliable */
	bool stray;	   /* buffers may overlap: one may have been written by another request */

	/* Packed: `desc` is private to the driver; driver_stage copies chains into the ring. */
	struct vring_packed_desc *packed;
	uint32_t *driver_event, *device_event; /* off_wrap; flags in the upper half */
	struct place put, take;
	unsigned int outstanding;	 /* staged chains that are not taken yet */
	unsigned int room;		 /* descriptors that the driver owns; set by the caller */
	struct vring_packed_desc *first; /* staged but not yet available: its flags are missing */
	uint16_t first_flags;
	uint16_t length[GUEST_RING_MAX]; /* number of descriptors, by buffer id; 0: none */
	struct vring_desc table[GUEST_RING_MAX];
};

/* Initializes a driver of a ring that vring_check accepts; the ring is filled with zeros. */
void driver_init(struct driver *d, struct guest *g, const struct vring_config *ring,
		 uint64_t capacity);

/* Fills [gpa, gpa + len) with segments to discard or zero, mostly whole blocks within the disk. */
void driver_segments(const struct driver *d, struct input *in, uint64_t gpa, uint32_t len);

/* Lays out a request, mostly a valid one; returns its head, mostly the right one. */
uint16_t driver_request(struct driver *d, struct input *in);

/*
 * Fills the next avail entry, or copies the chain into a packed ring that has room for it. The
 * device may see the chain only after driver_show.
 */
void driver_stage(struct driver *d, uint16_t head);
void driver_show(struct driver *d);

/*
 * Takes the next used element of a packed ring, if there is one. The element must belong to a chain
 * of the driver, unless the ring itself may have been overwritten (`wild`).
 */
bool driver_take(struct driver *d);

#endif
