/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window: what a driver reads of its device, as memory: the registers of virtio-mmio (virtio 1.2,
 * 4.2.2), and the configuration space behind them. The rest of its page is empty, so that a monitor can
 * let the guest read that: no such read is an exit then, and none is seen by us.
 *
 * Nothing here is believed: what the device goes by, it has elsewhere. Threads share InterruptStatus
 * (irqline.h) and Status, to which bits are added in one step; the other words are written under the
 * transport's lock, and are whole whenever they are read.
 */
#ifndef VIRTIO_REGPAGE_H
#define VIRTIO_REGPAGE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base.h"

#define WINDOW_REGISTERS 0x100 /* bytes */
#define WINDOW_CONFIG	 0x100

struct virtio_regpage {
	uint32_t reg[WINDOW_REGISTERS / sizeof(uint32_t)]; /* 0 where nothing can be read */
	uint8_t config[WINDOW_CONFIG];			   /* 0 behind its end */
};

/* Zeros in pages of their own; NULL: no memory. */
struct virtio_regpage *virtio_regpage_create(void);
void virtio_regpage_destroy(struct virtio_regpage *regpage);
/* How many bytes the guest sees when it sees it: a page of the host's. */
size_t virtio_regpage_size(void);

/* The word of the register at that offset. */
static inline uint32_t *virtio_regpage_reg(struct virtio_regpage *regpage, uint64_t offset)
{
	return &regpage->reg[offset / sizeof(uint32_t)];
}

#endif
