/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/irqline.h"

#include "dataplane/base.h"

void irqline_raise(struct irqline *line, uint32_t bits)
{
	/* A transport without InterruptStatus has interrupts of the used ring only. Elsewhere, the
	 * atomic OR is skipped when the used-ring bit is set already, so that the cache line can
	 * stay with the driver's CPU. Only a reset clears this bit, and no thread raises interrupts
	 * during a reset. */
	if (!line->status)
		bits &= IRQLINE_USED_RING;
	else if (bits != IRQLINE_USED_RING ||
		 !(__atomic_load_n(line->status, __ATOMIC_RELAXED) & IRQLINE_USED_RING))
		__atomic_fetch_or(line->status, bits, __ATOMIC_SEQ_CST);

	if (!bits)
		return;
	/* A write to an irqfd cannot fail. The status bit becomes visible before the interrupt; the
	 * access that this pairs with is the driver's read of InterruptStatus in its handler. */
	eventfd_signal(line->fd);
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
