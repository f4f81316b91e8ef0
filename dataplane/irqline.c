/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/irqline.h"

#include <unistd.h>

void irqline_raise(struct irqline *line, uint32_t bits)
{
	uint64_t one = 1;

	/* Pairs with the acknowledging vCPU's atomic and: a bit set after the driver read the word
	 * is followed by an interrupt of its own. */
	__atomic_fetch_or(&line->status, bits, __ATOMIC_SEQ_CST);

	/* An irqfd takes every write. */
	ssize_t ignored = write(line->fd, &one, sizeof(one));
	(void)ignored;
}
