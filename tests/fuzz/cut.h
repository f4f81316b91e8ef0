/* SPDX-License-Identifier: BSD-3-Clause */
/* Temporarily shortens a transfer, so that the host really moves less. */
#ifndef TESTS_FUZZ_CUT_H
#define TESTS_FUZZ_CUT_H

#include <stdint.h>
#include <sys/uio.h>

struct cut {
	struct iovec *last; /* the shortened piece; NULL: none */
	size_t len;	    /* original length of that piece */
	unsigned int count;
};

/* Shortens the pieces to `to` bytes, which are fewer than there are; 0: leaves them unchanged. */
static inline struct cut cut_to(struct iovec *iov, unsigned int *count, uint64_t to)
{
	struct cut cut = { .count = *count };

	if (!to)
		return cut;
	*count = 1;
	for (; to > iov->iov_len; iov++, (*count)++)
		to -= iov->iov_len;
	cut.last = iov;
	cut.len = iov->iov_len;
	iov->iov_len = to;
	return cut;
}

static inline void uncut(const struct cut *cut, unsigned int *count)
{
	*count = cut->count;
	if (cut->last)
		cut->last->iov_len = cut->len;
}

#endif
