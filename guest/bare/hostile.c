/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/bare/hostile.h"

struct device d;

uint64_t format(void)
{
	if (!option("packed=", 0))
		return 0;
	device_negotiate(&d, 0);
	check(d.offered & PACKED);
	return PACKED;
}

void split_only(void)
{
	if (option("packed=", 0))
		bare_skip("cannot be said in a packed ring");
}

void begin(uint16_t size, uint64_t features)
{
	device_find(&d, 0);
	device_start(&d, size, features | format());
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

void table_set(struct vring_desc *table, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next)
{
	desc_set(&table[i], gpa, len, flags, next);
	if (d.ring.packed)
		((struct vring_packed_desc *)table)[i].flags = flags;
}

unsigned int used_count(void)
{
	struct vring_used_elem elem;
	unsigned int n = 0;

	while (ring_used(&d, &elem))
		n++;
	return n;
}
