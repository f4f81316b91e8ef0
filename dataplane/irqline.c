/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/irqline.h"

#include <stdbool.h>
#include <unistd.h>

#define FRESH	   0xffu
#define TOLD_SHIFT 8

void irqline_raise(struct irqline *line, uint32_t bits)
{
	uint64_t one = 1;

	/* Pairs with irqline_read: a bit that is set after the driver has read is found at its next
	 * read, and an interrupt of its own follows. */
	__atomic_fetch_or(&line->status, bits, __ATOMIC_SEQ_CST);

	/* An irqfd takes every write. */
	ssize_t ignored = write(line->fd, &one, sizeof(one));
	(void)ignored;
}

uint32_t irqline_read(struct irqline *line)
{
	uint32_t now = __atomic_load_n(&line->status, __ATOMIC_SEQ_CST), told;

	/* In one step, or a bit could outlive a reset. Again only if another has got on. */
	do {
		told = (now | now >> TOLD_SHIFT) & FRESH;
	} while (!__atomic_compare_exchange_n(&line->status, &now, told << TOLD_SHIFT, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return told;
}

void irqline_acknowledge(struct irqline *line, uint32_t bits)
{
	__atomic_fetch_and(&line->status, ~((bits & FRESH) << TOLD_SHIFT), __ATOMIC_SEQ_CST);
}

void irqline_clear(struct irqline *line)
{
	__atomic_store_n(&line->status, 0, __ATOMIC_SEQ_CST);
}
