/* SPDX-License-Identifier: BSD-3-Clause */
/* request: chains and block requests as the model foretells them, for the targets that have no device
 * around their ring. */
#ifndef TESTS_FUZZ_REQUEST_H
#define TESTS_FUZZ_REQUEST_H

#include "tests/fuzz/model.h"

#define REQUEST_SECTORS	 128u
#define REQUEST_CAPACITY VRING_CHAIN_CAPACITY(GUEST_RING_MAX)

/* A request from pop to push. */
struct slot {
	struct blkreq req;
	struct io_task task;
	struct iovec iov[REQUEST_CAPACITY];
	struct model_answer answer;
};

struct requests {
	struct guest guest;
	struct shadow shadow;
	struct blkreq_disk disk;
};

/* Fresh memory, and a disk of a kind that `bits` say. */
void requests_begin(struct requests *r, uint8_t bits);

/* The chain is the model's, piece by piece. */
void request_compare(const struct requests *r, const struct vring_chain *c, const struct model *m);

/* Its request is judged as foretold, without a look at anything else. */
enum blkreq_verdict request_judge(struct requests *r, struct slot *s, const struct model *m);

/* The engine's part, then blkreq_finish: the right status and used.len, which is returned. */
uint32_t request_finish(struct requests *r, struct slot *s, int result);

#endif
