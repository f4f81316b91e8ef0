/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains and block requests compared with the model, for targets without a device around the ring.
 */
#ifndef TESTS_FUZZ_REQUEST_H
#define TESTS_FUZZ_REQUEST_H

#include "tests/fuzz/model.h"

#define REQUEST_SECTORS	 128u
#define REQUEST_CAPACITY VRING_CHAIN_CAPACITY(GUEST_RING_MAX)

/* State of a request from pop to push. */
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

/* Starts a case with fresh memory, and a disk of the kind that `bits` choose. */
void requests_begin(struct requests *r, uint8_t bits);

/* Checks that the chain is the model's, piece by piece. */
void request_compare(const struct requests *r, const struct vring_chain *c, const struct model *m);

/* Parses the request and checks the verdict; nothing else is compared. */
enum blkreq_verdict request_judge(struct requests *r, struct slot *s, const struct model *m);

/* Does the engine's part, calls blkreq_finish, and checks status and used.len, which it returns. */
uint32_t request_finish(struct requests *r, struct slot *s, int result);

#endif
