/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/devlist.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int devlist_cmdline(const struct devlist *list, char *buf, size_t size)
{
	size_t len = strnlen(buf, size);

	for (unsigned int i = 0; i < list->count; i++) {
		const struct dev_desc *desc = &list->dev[i];
		int n;

		if (desc->kind != DEV_VIRTIO_BLK)
			continue;
		n = snprintf(buf + len, size - len,
			     " virtio_mmio.device=0x%" PRIx32 "@0x%" PRIx64 ":%" PRIu32, desc->size,
			     desc->base, desc->gsi);
		if (n < 0 || (size_t)n >= size - len)
			return -E2BIG;
		len += (size_t)n;
	}
	return 0;
}
