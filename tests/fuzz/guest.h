/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest: guest RAM and a virtio-blk driver that the fuzzer leads astray.
 *
 * RAM is one memfd, mapped twice. The driver has it in one piece, with a hole; the device has it in
 * three regions between guard pages: LOW and HIGH touch in guest physical space, FAR is behind the
 * hole. An access outside them faults, and so does a guest physical address taken for a pointer.
 *
 * LOW and HIGH fill their pages: the first byte too far faults at once, whoever touches it. FAR
 * begins and ends inside a page, as RAM of a real machine never does, so that what rounds to pages
 * is seen, too; the rest of those pages holds canaries.
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
#define GUEST_END      (GUEST_HOLE + 0xc000ull) /* of the page TOP is in */
#define GUEST_SPAN     (GUEST_END - GUEST_LOW)
#define GUEST_REGIONS  3

/* Where a well-behaved ring is; buffers are from GUEST_HEAP on. */
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

/* Once per process. */
void guest_create(struct guest *g);

/* Fill RAM with a byte, and what is no RAM with canaries. */
void guest_clear(struct guest *g, uint8_t byte);

/* The canaries are as guest_clear left them. */
void guest_check(const struct guest *g);

/* How many regions [gpa, gpa + len) touches; 0: a byte of it is not RAM. len is not 0. */
unsigned int guest_pieces(uint64_t gpa, uint64_t len);

/* The driver's pointer; not the hole. */
void *guest_ptr(const struct guest *g, uint64_t gpa);

/* Is all of the device's [hva, hva + len) in one region? */
bool guest_has(const struct guest *g, const void *hva, uint64_t len);

/* Its GPA; fails when not all of it is in one region. */
uint64_t guest_gpa(const struct guest *g, const void *hva, uint64_t len);

/* A position in a packed ring, and the wrap counter there. */
struct place {
	uint16_t at;
	bool wrap;
};

/* The flags AVAIL and USED of a descriptor. */
#define PLACE_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define PLACE_USED  (1u << VRING_PACKED_DESC_F_USED)

/* Go on by `count` descriptors of a ring of `size`. */
void place_advance(struct place *p, uint16_t size, unsigned int count);
/* Do these flags make the descriptor there an available one? */
bool place_available(struct place p, uint16_t flags);

/*
 * Move the used ring or the avail ring over another part of the ring, at any distance at which they
 * share a byte or touch; of a packed ring, an event structure. Alignment is as the device wants it.
 */
void guest_overlap_ring(struct vring_config *ring, struct input *in);

struct driver {
	struct guest *g;
	struct vring_config ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t capacity; /* of the disk, sectors */
	uint16_t avail_idx;
	uint16_t next_desc;
	uint64_t heap;
	uint64_t header[8]; /* of the requests laid out last, in no order; 0: none */
	unsigned int headers;
	uint64_t
		laid_out; /* bytes of heap that the requests of this batch take; the caller resets it */
	bool wild;  /* a buffer may lie on the ring itself: nothing the used ring says counts */
	bool stray; /* a buffer may lie on another's: what one reads, another may have written */

	/* Packed: `desc` is the driver's own table, and driver_stage copies a chain into the ring. */
	struct vring_packed_desc *packed;
	uint32_t *driver_event, *device_event; /* off_wrap; flags in the upper half */
	struct place put, take;
	unsigned int outstanding;	 /* chains staged and not taken */
	unsigned int room;		 /* descriptors that are the driver's; the caller sets it */
	struct vring_packed_desc *first; /* staged and not shown; its flags are not there yet */
	uint16_t first_flags;
	uint16_t length[GUEST_RING_MAX]; /* of the chain staged with that id; 0: none */
	struct vring_desc table[GUEST_RING_MAX];
};

/* On a ring that vring_check accepts; it is filled with zeros. */
void driver_init(struct driver *d, struct guest *g, const struct vring_config *ring,
		 uint64_t capacity);

/* Inside of the next: segments to discard or zero, mostly whole blocks within the disk. */
void driver_segments(const struct driver *d, struct input *in, uint64_t gpa, uint32_t len);

/* Lay out a request, mostly a good one; returns its head, mostly a good one. */
uint16_t driver_request(struct driver *d, struct input *in);

/* Fill the next avail entry, or copy the chain into a packed ring that has room for it; the device may
 * see it after driver_show. */
void driver_stage(struct driver *d, uint16_t head);
void driver_show(struct driver *d);

/* Take the next used element of a packed ring, if there is one. It is one of the driver's, unless the
 * ring itself was written to (`wild`). */
bool driver_take(struct driver *d);

#endif
