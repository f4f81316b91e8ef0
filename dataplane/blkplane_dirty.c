/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/base.h"
#include "dataplane/blkplane_internal.h"

void blkplane_mark_dirty(const struct blkplane *p, const struct slot *slot)
{
	const struct hostmem *mem = p->config.mem;
	const struct vring_chain *chain = &slot->req.chain;

	for (unsigned int i = 0; i < chain->in_count; i++) {
		const struct iovec *iov = &chain->iov[chain->out_count + i];

		hostmem_mark_dirty(mem, iov->iov_base, iov->iov_len);
		/* The engine may have cut a finished part off this element. */
		if (iov == slot->task.iov)
			hostmem_mark_dirty(mem, (char *)iov->iov_base - slot->task.cut,
					   slot->task.cut);
	}
	/* blkreq_parse has cut the status byte off the last element. */
	hostmem_mark_dirty(mem, slot->req.status, sizeof(*slot->req.status));
}
