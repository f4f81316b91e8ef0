/* SPDX-License-Identifier: BSD-3-Clause */
/* What the hostile guest's tests share: the disk under attack, and how an attack begins and ends. */
#ifndef BARE_HOSTILE_H
#define BARE_HOSTILE_H

#include "guest/bare/virtio.h"

extern struct device d;

/* The first disk, started with an empty ring. */
void begin(uint16_t size, uint64_t features);
/* What was offered breaks the queue and is served no more; then the device can be had back. */
void check_broken(void);
/* A read of sector 0, not yet in a ring. */
struct request request(uint32_t len);
struct vring_desc *desc(unsigned int i);

#endif
