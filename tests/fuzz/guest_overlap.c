/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts of rings whose parts share memory. */
#include "tests/fuzz/guest.h"

void guest_overlap_ring(struct vring_config *ring, struct input *in)
{
	const unsigned int size = ring->size;
	unsigned int desc = 16 * size, avail = ring->packed ? 4 : 6 + 2 * size;
	unsigned int used = ring->packed ? 4 : 6 + 8 * size;
	unsigned int how = in_below(in, 4), distance = in_u16(in);

	switch (how) {
	case 0:
	case 1:
		ring->used = ring->avail - used + distance % (used + avail + 1);
		break;
	case 2:
		ring->used = ring->desc - used + distance % (used + desc + 1);
		break;
	case 3:
		ring->avail = ring->desc - avail + distance % (avail + desc + 1);
		break;
	}
	/* The driver area of a split ring is aligned to 2, so every even distance occurs. */
	if (how == 1 && !ring->packed) {
		ring->avail += 2;
		ring->used += 2;
	}
	ring->used &= ~(uint64_t)3;
	ring->avail &= ~(uint64_t)(ring->packed ? 3 : 1);
}
