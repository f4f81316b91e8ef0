/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring: the device side of a virtqueue, split (virtio 1.2, 2.7) or packed (2.8), with
 * RING_INDIRECT_DESC, RING_EVENT_IDX and IN_ORDER. Who uses it need not know which of the two it is.
 *
 * The driver owns the memory and is hostile: each field is read once into a local, and only the
 * local is judged. Addresses and size are checked once, by vring_setup, and never read again.
 * After set-up one thread (the dataplane thread) calls everything here.
 *
 * A batch looks like this: disarm; pop until empty; push what is finished; publish once; ask
 * should_notify once; arm, and if arm says there is more, begin again.
 *
 * Memory ordering in a split ring, our side and its partner in the driver (vring_packed.c has the
 * same four for a packed one):
 *   pop      acquires avail.idx      the driver's write barrier before it stores avail.idx
 *   publish  releases used.idx       the driver's read barrier after it loads used.idx
 *   arm      full fence              the driver's full barrier between avail.idx and avail_event
 *   notify   full fence              the driver's full barrier between used_event and used.idx
 */
#ifndef DATAPLANE_VRING_H
#define DATAPLANE_VRING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <linux/virtio_ring.h>

#include "dataplane/hostmem.h"

#define VRING_MAX_SIZE 1024

/* What the driver configured: guest physical addresses, and the features it accepted. */
struct vring_config {
	uint16_t size;
	uint64_t desc;
	uint64_t avail; /* of a packed ring: the driver event suppression structure */
	uint64_t used;	/* ... the device event suppression structure */
	bool event_idx;
	bool indirect;
	bool packed;
	bool in_order;
};

/* Where the device is in a packed ring. Its flags are kept as they stand in a descriptor, AVAIL and
 * USED; both are inverted where the ring ends. */
struct vring_packed {
	struct vring_packed_desc *desc;
	const uint32_t *driver_event; /* each is read and written as one: off_wrap and flags */
	uint32_t *device_event;
	uint32_t event;	      /* *device_event as last written */
	uint16_t avail_next;  /* the next descriptor to read */
	uint16_t avail_flags; /* what makes it an available one */
	uint16_t used_next;   /* where the next used element goes */
	uint16_t used_flags;
	uint16_t held;	      /* descriptors read, and not published yet as used */
	uint16_t batch;	      /* ... of which are pushed */
	uint16_t batch_at;    /* the first of them, ... */
	uint16_t batch_flags; /* ... whose flags vring_publish stores */
	uint16_t unsignalled; /* descriptors published since the last decision to interrupt */
	uint16_t length[VRING_MAX_SIZE]; /* descriptors of the chain with that id */
};

/* IN_ORDER: what was finished before its turn. */
struct vring_order {
	uint16_t first, next; /* in flight, in the order they were popped: head[first .. next) */
	uint16_t head[VRING_MAX_SIZE];
	uint32_t written[VRING_MAX_SIZE]; /* by head */
	uint64_t finished[VRING_MAX_SIZE / 64];
};

struct vring_dev {
	const struct hostmem *mem;
	uint16_t size;
	bool event_idx;
	bool indirect;
	bool packed;
	bool in_order;
	const char *broken; /* why the queue is broken; NULL while it is not */

	/* Split. */
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail; /* the next avail entry to pop */
	uint16_t avail_idx;  /* avail.idx as last read */
	uint16_t used_next;  /* the next used element to fill */
	uint16_t published;  /* used.idx as the driver sees it */
	uint16_t signalled;  /* `published` at the last decision to interrupt */
	bool armed;	     /* a doorbell was asked for, and not yet unasked for */

	uint64_t in_flight[VRING_MAX_SIZE / 64]; /* one bit per head between pop and push */
	struct vring_packed ring;
	struct vring_order order;
};

/*
 * The host pieces of one descriptor chain: out_count pieces the device reads, then in_count pieces
 * it writes, in iov[0 .. out_count + in_count). Empty pieces do not occur.
 */
struct vring_chain {
	uint16_t head; /* of a packed ring: the buffer id */
	unsigned int out_count;
	unsigned int in_count;
	uint32_t out_len; /* bytes */
	uint32_t in_len;
	struct iovec *iov; /* the caller's, `capacity` entries */
	unsigned int capacity;
};

/* Capacity for a chain of a ring of this size: at most `size` descriptors, and a few buffers that
 * cross from one region of RAM into the next and are cut there. A chain with more pieces breaks the
 * queue; no driver lays out such a one. */
#define VRING_CHAIN_CAPACITY(size) ((unsigned int)(size) + HOSTMEM_MAX_REGIONS)

/*
 * Is this a ring that can be used: size a power of two (packed: any) up to VRING_MAX_SIZE, each part
 * aligned (2.7: 16, 2, 4; 2.8: 16, 4, 4) and within one region of guest RAM? 0, -EINVAL (size,
 * alignment) or -EFAULT.
 */
int vring_check(const struct hostmem *mem, const struct vring_config *config);

/* Start at index 0 on a ring the driver just laid out. Errors as vring_check. Any thread; the
 * ring is then handed to the dataplane thread. */
int vring_setup(struct vring_dev *vr, const struct hostmem *mem, const struct vring_config *config);

/*
 * The next chain. 1: *chain is filled (head, counts, lengths; iov and capacity were the caller's)
 * and its head is in flight until vring_push; 0: the ring is empty; -EBADMSG: the driver broke the
 * rules, the queue is now broken (vr->broken says why) and stays so.
 */
int vring_pop(struct vring_dev *vr, struct vring_chain *chain);

/*
 * Fill the next used element. The driver sees it after vring_publish. With IN_ORDER it is kept until
 * all chains popped before it are pushed, too.
 */
void vring_push(struct vring_dev *vr, uint16_t head, uint32_t written);

/* Show the driver all elements that were filled. True when there was one. */
bool vring_publish(struct vring_dev *vr);

/* Once per published batch: does the driver want an interrupt for it? */
bool vring_should_notify(struct vring_dev *vr);

/* No doorbells, please: the ring is being worked on. */
void vring_disable_notify(struct vring_dev *vr);

/* Has the driver added something? Only a hint, and cheap: to be asked over and over. */
bool vring_has_avail(const struct vring_dev *vr);

/* Doorbells again. True when an entry came in meanwhile, for which none will ring. */
bool vring_enable_notify(struct vring_dev *vr);

/* Break the queue. `why` is a static string. Returns -EBADMSG. */
int vring_fail(struct vring_dev *vr, const char *why) __attribute__((cold));

#endif
