/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * regpage: read-only page of virtio-mmio registers that guests read directly.
 *
 * The page holds the registers (virtio 1.2, 4.2.2) and the configuration space behind them; the
 * rest of it is empty. The VMM can therefore map it read-only into the guest: reads then cause no
 * VM exit, and the VMM does not see them.
 *
 * The device never relies on values of this page; it has its own copies elsewhere. Threads share
 * InterruptStatus (irqline.h) and Status, in which bits are set atomically. The other words are
 * written under the transport's lock, by single stores, so that a read never sees a part of one.
 */
#ifndef VIRTIO_REGPAGE_H
#define VIRTIO_REGPAGE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base.h"

#define REGPAGE_REGISTERS 0x100 /* bytes */
#define REGPAGE_CONFIG	  0x100

struct virtio_regpage {
	uint32_t reg[REGPAGE_REGISTERS / sizeof(uint32_t)]; /* 0 where no register is readable */
	uint8_t config[REGPAGE_CONFIG];			    /* 0 beyond the end of the space */
};

/* Allocates a zeroed register page in host pages of its own. Returns NULL if there is no memory. */
struct virtio_regpage *virtio_regpage_create(void);
void virtio_regpage_destroy(struct virtio_regpage *regpage);
/* Returns the size in bytes of the mapping that a guest can read: one host page. */
size_t virtio_regpage_size(void);

/* Returns the word of the register at `offset`. */
static inline uint32_t *virtio_regpage_reg(struct virtio_regpage *regpage, uint64_t offset)
{
	return &regpage->reg[offset / sizeof(uint32_t)];
}

#endif
