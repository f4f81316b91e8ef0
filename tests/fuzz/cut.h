/* SPDX-License-Identifier: BSD-3-Clause */
/* A transfer made shorter for a while, so that the host really moves less. */
#ifndef TESTS_FUZZ_CUT_H
#define TESTS_FUZZ_CUT_H

#include <stdint.h>
#include <sys/uio.h>

struct cut {
	struct iovec *last; /* the piece that is shorter; NULL: none */
	size_t len;	    /* and how long it was */
	unsigned int count;
};

/* To so many bytes, fewer than there are; 0: not at all. */
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
