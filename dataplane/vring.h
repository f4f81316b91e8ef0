/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring: the device side of a virtqueue, split or packed (virtio 1.2, 2.7 and 2.8).
 *
 * The module implements RING_INDIRECT_DESC, RING_EVENT_IDX and IN_ORDER, and hides the ring format
 * from its caller. The ring lies in guest memory, and the driver may be hostile: each field is read
 * once into a local variable, and only this copy is validated and used. vring_setup checks the size
 * and the addresses of the ring, which stay fixed afterwards. After set-up only one thread, the
 * dataplane thread, may call the functions of this header.
 *
 * The caller processes a batch in these steps: disable_notify; pop until the ring is empty; push
 * the finished chains; publish once; should_notify once; enable_notify, and a new batch if it
 * returns true.
 *
 * Memory ordering in a split ring, with the partner of each access in the driver (vring_packed.c
 * has the corresponding list for a packed ring):
 *   pop            acquire of avail.idx   write barrier before the store of avail.idx
 *   publish        release of used.idx    read barrier after the load of used.idx
 *   enable_notify  full barrier           full barrier between avail.idx and avail_event
 *   should_notify  full barrier           full barrier between used_event and used.idx
 */
#ifndef DATAPLANE_VRING_H
#define DATAPLANE_VRING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <linux/virtio_ring.h>

#include "dataplane/hostmem.h"

/* Largest supported queue size, in descriptors. */
#define VRING_MAX_SIZE 1024

/* A queue as the driver configured it: guest physical addresses and accepted features. */
struct vring_config {
	uint16_t size; /* descriptors */
	uint64_t desc;
	uint64_t avail; /* packed ring: the driver event suppression structure */
	uint64_t used;	/* packed ring: the device event suppression structure */
	bool event_idx;
	bool indirect;
	bool packed;
	bool in_order;
};

/*
 * A position in a ring, at which another device stopped and this one continues, or the reverse. A
 * split ring has free-running indices and ignores the wrap counters. A packed ring has indices of
 * descriptors.
 */
struct vring_base {
	uint16_t avail; /* next entry to pop */
	uint16_t used;	/* next used element to write */
	bool avail_wrap;
	bool used_wrap;
};

/*
 * The device's state of a packed ring. The wrap counters are stored in the form that they have in a
 * descriptor, as the flags AVAIL and USED; both flags are inverted at the end of the ring.
 */
struct vring_packed {
	struct vring_packed_desc *desc;
	const uint32_t *driver_event; /* off_wrap and flags in one word, read at once */
	uint32_t *device_event;	      /* off_wrap and flags in one word, written at once */
	uint32_t event;		      /* last value written to *device_event */
	uint16_t avail_next;	      /* index of the next descriptor to read */
	uint16_t avail_flags;	      /* AVAIL and USED of an available descriptor at avail_next */
	uint16_t used_next;	      /* index at which the next used element is written */
	uint16_t used_flags;	      /* AVAIL and USED of a used element at used_next */
	uint16_t desc_in_flight;      /* descriptors read and not published as used yet */
	uint16_t batch;		      /* descriptors pushed and not published yet */
	uint16_t batch_at;	      /* index of the batch's first used element */
	uint16_t batch_flags;	      /* flags of the batch's first element, for vring_publish */
	uint16_t unsignalled;	      /* descriptors published since the last should_notify */
	uint16_t length[VRING_MAX_SIZE]; /* descriptors of each chain in flight, by buffer id */
};

/* IN_ORDER: the order of the chains in flight, and the results of those that finished out of
 * order. */
struct vring_order {
	uint16_t first, next;	       /* free-running indices: in flight is head[first .. next) */
	uint16_t head[VRING_MAX_SIZE]; /* in the order of popping */
	uint32_t written[VRING_MAX_SIZE];	/* used.len of a finished chain, by head */
	uint64_t finished[VRING_MAX_SIZE / 64]; /* one bit per head: pushed, not in the ring yet */
};

struct vring_mirror;

/* The device's state of a virtqueue. */
struct vring_dev {
	const struct hostmem *mem;
	uint16_t size;
	bool event_idx;
	bool indirect;
	bool packed;
	bool in_order;
	const char *broken;	     /* the rule that the driver broke; NULL: the queue works */
	struct vring_mirror *mirror; /* NULL: chains in flight are not mirrored (vring_mirror.h) */

	/* The members of a split ring. */
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail; /* index of the next avail entry to pop */
	uint16_t avail_idx;  /* avail.idx as last read */
	uint16_t used_next;  /* index of the next used element to fill */
	uint16_t published;  /* used.idx as last written */
	uint16_t signalled;  /* `published` at the last should_notify, with EVENT_IDX */
	bool notify_enabled; /* the driver is asked for a notification */

	uint64_t in_flight[VRING_MAX_SIZE / 64]; /* one bit per head, set from pop to push */
	struct vring_packed ring;
	struct vring_order order;
};

/*
 * The buffers of one descriptor chain, in iov[0 .. out_count + in_count): first those that the
 * device reads, then those that it writes. Entries are never empty. A buffer that crosses from one
 * region of guest RAM into the next has an entry for each.
 */
struct vring_chain {
	uint16_t head;		/* index of the first descriptor; packed ring: the buffer id */
	unsigned int out_count; /* entries that the device reads */
	unsigned int in_count;	/* entries that the device writes */
	uint32_t out_len;	/* bytes that the device reads */
	uint32_t in_len;	/* bytes that the device writes */
	struct iovec *iov;	/* owned by the caller */
	unsigned int capacity;	/* entries in iov, set by the caller */
};

/*
 * Entries in iov that suffice for each chain of a ring with `size` descriptors, including a few
 * buffers that cross from one region of guest RAM into the next. A chain that needs more entries
 * breaks the queue; real drivers do not build one.
 */
#define VRING_CHAIN_CAPACITY(size) ((unsigned int)(size) + HOSTMEM_MAX_REGIONS)

/*
 * Checks a configuration: the size must be a power of two (packed ring: any number) from 1 to
 * VRING_MAX_SIZE, and each part must be aligned (desc, avail, used: 16, 2, 4 bytes in 2.7; 16, 4, 4
 * in 2.8) and lie within one region of guest RAM. Returns 0; -EINVAL: bad size or alignment;
 * -EFAULT: a part is outside guest RAM. Any thread.
 */
int vring_check(const struct hostmem *mem, const struct vring_config *config);

/*
 * Checks the configuration and initializes *vr for an unused ring, with all indices at 0. Errors
 * are those of vring_check. Any thread; the caller then hands *vr to the dataplane thread.
 */
int vring_setup(struct vring_dev *vr, const struct hostmem *mem, const struct vring_config *config);

/*
 * Makes a ring continue at a position, after vring_setup and before anything else. In a split ring,
 * `used` is read from the used ring instead, where the other device has published it; chains that
 * were popped and not pushed there are lost. Returns 0; -EINVAL: the ring has no such position.
 */
int vring_continue(struct vring_dev *vr, const struct vring_base *base);

/* Stores the ring's position. With IN_ORDER, chains in flight are popped again at that position.
 * Otherwise it counts them as popped. */
void vring_position(const struct vring_dev *vr, struct vring_base *base);

/*
 * Makes a chain one in flight that another device popped, after vring_continue, whose position counts
 * it, and before anything else. `length` is what vring_chain_length returned there. Returns 0;
 * -EINVAL: the ring cannot have such a chain in flight.
 */
int vring_adopt(struct vring_dev *vr, uint16_t head, uint16_t length);

/* Returns the number of a chain in flight's descriptors in the ring; split ring: 1. */
uint16_t vring_chain_length(const struct vring_dev *vr, uint16_t head);

/*
 * Pops the next chain into *chain, whose iov and capacity the caller has set. Returns 1: the chain
 * is in flight until vring_push; 0: the ring is empty; -EBADMSG: the driver broke a rule of the
 * ring, and the queue is broken from now on (vr->broken has the reason).
 */
int vring_pop(struct vring_dev *vr, struct vring_chain *chain);

/*
 * Writes the used element of a finished chain; `written` is its used.len, in bytes. The driver sees
 * the element after vring_publish. With IN_ORDER, the element is written only when all chains that
 * were popped earlier have been pushed, too.
 */
void vring_push(struct vring_dev *vr, uint16_t head, uint32_t written);

/* Makes all written used elements visible to the driver. Returns false when there are none. */
bool vring_publish(struct vring_dev *vr);

/* True when the driver wants an interrupt for the elements published since the last call. The
 * caller asks once after each vring_publish that returned true. */
bool vring_should_notify(struct vring_dev *vr);

/* Asks the driver not to notify the device of new entries, while the device processes the ring. */
void vring_disable_notify(struct vring_dev *vr);

/* True when the driver has added an entry. This is a cheap hint for busy polling: a relaxed load,
 * which orders nothing and changes nothing. */
bool vring_has_avail(const struct vring_dev *vr);

/* Asks the driver to notify the device of the next new entry. Returns true when the ring already
 * has one, for which the driver may send no notification: the caller must pop again. */
bool vring_enable_notify(struct vring_dev *vr);

/* Marks the queue as broken until it is set up again. `why` must be a static string; the first
 * reason is kept. Returns -EBADMSG. */
int vring_fail(struct vring_dev *vr, const char *why) __attribute__((cold));

#endif
