/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/virtio_blk.h>

#include "tests/fuzz/guest.h"

void driver_segments(const struct driver *d, struct input *in, uint64_t gpa, uint32_t len)
{
	for (uint32_t at = 0; at + 16 <= len && in->left; at += 16) {
		struct virtio_blk_discard_write_zeroes seg = {
			.sector = in_u8(in) % d->capacity & ~7ull,
			.num_sectors = 8u * in_below(in, 7),
		};

		if (in_rarely(in))
			seg.sector = in_rarely(in) ? in_u64(in) : d->capacity - in_below(in, 20);
		if (in_rarely(in))
			seg.num_sectors = in_u32(in);
		if (in_below(in, 3) == 2)
			seg.flags = in_rarely(in) ? in_u32(in) : 1;
		memcpy(guest_ptr(d->g, gpa + at), &seg, sizeof(seg));
	}
}
