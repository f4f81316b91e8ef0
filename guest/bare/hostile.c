/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/bare/hostile.h"

struct device d;

void begin(uint16_t size, uint64_t features)
{
	device_find(&d, 0);
	device_start(&d, size, features);
}

void check_broken(void)
{
	device_wait_broken(&d);
	kick(&d);
	check(status(&d) == STATUS_BROKEN);
	device_check_alive(&d);
}

struct request request(uint32_t len)
{
	struct request r;

	request_init(&r, VIRTIO_BLK_T_IN, 0, len);
	return r;
}

struct vring_desc *desc(unsigned int i)
{
	return &d.ring.desc[i];
}
