/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model: what a device has to make of a chain and a block request, written from the specification
 * (virtio 1.2, 2.7, 2.8 and 5.2.6) in guest physical addresses, not from the product; and a shadow of
 * guest memory, to find writes that nobody was entitled to.
 */
#ifndef TESTS_FUZZ_MODEL_H
#define TESTS_FUZZ_MODEL_H

#include "dataplane/blkreq.h"
#include "tests/fuzz/guest.h"

/* A chain: at most a buffer per descriptor, as yet uncut. */
struct model {
	unsigned int count;
	struct {
		uint64_t gpa;
		uint32_t len;
		bool write;
	} buffer[GUEST_RING_MAX];
	uint64_t out_len, in_len;
	unsigned int pieces;
};

/* False: the chain breaks the queue. */
bool model_walk(const struct driver *d, uint16_t head, struct model *m);

/*
 * The same of the chain at *p in a packed ring, `held` of whose descriptors are the device's already; 0:
 * there is none; negative: it breaks the queue; else its length in descriptors, with *p behind it and
 * its id in *id.
 */
int model_walk_packed(const struct driver *d, struct place *p, unsigned int held, uint16_t *id,
		      struct model *m);

/* Where byte number `at` of the readable (or writable) part is, and how many follow it there. There
 * is one. */
uint64_t model_byte(const struct model *m, bool write, uint64_t at, uint64_t *left);

/* What a request comes to when the host does its part. */
struct model_answer {
	enum blkreq_verdict verdict;
	enum io_op op; /* BLKREQ_SUBMIT */
	uint64_t offset;
	uint64_t len;
	unsigned int range_count;
	struct io_range range[IORANGES_MAX];
	uint8_t status;
	uint32_t own;	   /* writable bytes that the device fills itself, from the first on */
	uint32_t used_len; /* with that status */
	uint32_t used_len_failed;
};

void model_judge(const struct guest *g, const struct model *m, const struct blkreq_disk *disk,
		 struct model_answer *a);

struct shadow {
	uint8_t before[GUEST_SPAN];
	bool may_change[GUEST_SPAN];
};

/* From now on, only what is allowed may change. */
void shadow_take(struct shadow *s, const struct guest *g);
void shadow_allow(struct shadow *s, uint64_t gpa, uint64_t len);
/* All that the chain says is writable. */
void shadow_allow_chain(struct shadow *s, const struct model *m);
/* The used ring; of a packed one, the device's event structure alone. */
void shadow_allow_used(struct shadow *s, const struct vring_config *ring);
void shadow_check(const struct shadow *s, const struct guest *g);

#endif
