/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reference model of chains and block requests, and a shadow of guest memory. The model is written
 * from the specification (virtio 1.2, 2.7, 2.8 and 5.2.6) in guest physical addresses, not from the
 * product. The shadow detects writes that the device was not allowed to make.
 */
#ifndef TESTS_FUZZ_MODEL_H
#define TESTS_FUZZ_MODEL_H

#include "dataplane/blkreq.h"
#include "tests/fuzz/guest.h"

/* A chain: at most one buffer per descriptor, not split at region boundaries. */
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

/* Walks the chain of a split ring. False: the chain breaks the queue. */
bool model_walk(const struct driver *d, uint16_t head, struct model *m);

/*
 * Walks the chain at *p in a packed ring, of which the device holds `held` descriptors already.
 * Returns 0: there is none; negative: it breaks the queue; otherwise its length in descriptors,
 * with *p advanced beyond it and its id in *id.
 */
int model_walk_packed(const struct driver *d, struct place *p, unsigned int held, uint16_t *id,
		      struct model *m);

/*
 * Returns the GPA of byte number `at` of the readable or writable part, which exists; *left is the
 * number of bytes from there to the end of its buffer.
 */
uint64_t model_byte(const struct model *m, bool write, uint64_t at, uint64_t *left);

/* The expected result of a request if the host does its part. */
struct model_answer {
	enum blkreq_verdict verdict;
	enum io_op op; /* BLKREQ_SUBMIT */
	uint64_t offset;
	uint64_t len;
	unsigned int range_count;
	struct io_range range[IO_RANGES_MAX];
	uint8_t status;
	uint32_t own;	   /* leading writable bytes that the device fills itself */
	uint32_t used_len; /* used.len with this status */
	uint32_t used_len_failed;
};

void model_judge(const struct guest *g, const struct model *m, const struct blkreq_disk *disk,
		 struct model_answer *a);

struct shadow {
	uint8_t before[GUEST_SPAN];
	bool may_change[GUEST_SPAN];
};

/* Records guest memory: from now on, only allowed ranges may change. */
void shadow_take(struct shadow *s, const struct guest *g);
void shadow_allow(struct shadow *s, uint64_t gpa, uint64_t len);
/* Allows all buffers that the chain marks as writable. */
void shadow_allow_chain(struct shadow *s, const struct model *m);
/* Allows the used ring; with a packed ring, only the device's event structure. */
void shadow_allow_used(struct shadow *s, const struct vring_config *ring);
void shadow_check(const struct shadow *s, const struct guest *g);

#endif
