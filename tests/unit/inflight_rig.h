/* SPDX-License-Identifier: BSD-3-Clause */
/* inflight_rig: a scripted front end with memory for the mirror of requests in flight. */
#ifndef TESTS_INFLIGHT_RIG_H
#define TESTS_INFLIGHT_RIG_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "tests/lib/vumaster.h"

#define MEMORY_BYTES (64u << 10)

static struct vumaster v;
static struct mockdrv *const m = &v.m;
static int memory_fd;
static char *memory; /* its mapping */

static const struct format {
	const char *name;
	bool packed, in_order;
} formats[] = {
	{ "split", false, false },
	{ "split, in order", false, true },
	{ "packed", true, false },
	{ "packed, in order", true, true },
};

static inline uint64_t features_of(int i)
{
	return (uint64_t)formats[i].packed << VIRTIO_F_RING_PACKED | (uint64_t)formats[i].in_order
									     << VIRTIO_F_IN_ORDER;
}

static inline void make_memory(void)
{
	memory_fd = memfd_create("inflight", MFD_CLOEXEC);
	ck_assert_int_ge(memory_fd, 0);
	ck_assert_int_eq(ftruncate(memory_fd, MEMORY_BYTES), 0);
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
}

static inline void open_all(void)
{
	vumaster_init(&v);
	v.config.in_order = true;
	make_memory();
	vumaster_open(&v);
}

static inline void close_all(void)
{
	vumaster_fini(&v);
	munmap(memory, MEMORY_BYTES);
	close(memory_fd);
}

static inline void say_memory(uint16_t queues, uint16_t queue_size)
{
	struct vhost_user_inflight inflight = { MEMORY_BYTES, 0, queues, queue_size, 0 };

	vumaster_say(&v, VHOST_USER_SET_INFLIGHT_FD, &inflight, 24, &memory_fd, 1);
}

static inline void read_ok(uint64_t sector)
{
	struct mock_blk req;

	ck_assert_uint_eq(vumaster_do(&v, VIRTIO_BLK_T_IN, sector, 4096, &req), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(m, req.data), sector * 512, 4096));
}

#endif
