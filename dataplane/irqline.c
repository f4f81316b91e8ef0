/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/irqline.h"

#include <unistd.h>

void irqline_raise(struct irqline *line, uint32_t bits)
{
	uint64_t one = 1;

	/* Not where it would change nothing: the driver's processor has this line and keeps it. Only a
	 * reset takes the used ring's bit, and then nobody raises. */
	if (bits != IRQLINE_USED_RING ||
	    !(__atomic_load_n(line->status, __ATOMIC_RELAXED) & IRQLINE_USED_RING))
		__atomic_fetch_or(line->status, bits, __ATOMIC_SEQ_CST);

	/* An irqfd takes every write. Pairs with the driver, which reads the word when the interrupt
	 * has come. */
	ssize_t ignored = write(line->fd, &one, sizeof(one));
	(void)ignored;
}

void irqline_acknowledge(struct irqline *line, uint32_t bits)
{
	if (bits & IRQLINE_CONFIG)
		__atomic_fetch_and(line->status, ~IRQLINE_CONFIG, __ATOMIC_SEQ_CST);
}

void irqline_clear(struct irqline *line)
{
	__atomic_store_n(line->status, 0, __ATOMIC_SEQ_CST);
}
