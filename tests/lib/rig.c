/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/rig.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_config.h>

uint64_t rig_poll_ns;

static void init(struct rig *r, uint16_t size, bool event_idx, bool indirect)
{
	mock_init(&r->m, size, event_idx, indirect);
	r->irq = (struct irqline){ .status = &r->irq_status, .fd = r->m.irq_fd };
	r->irq_status = 0;
	r->status = VIRTIO_CONFIG_S_DRIVER_OK;
	r->plane = NULL;
	r->has_image = false;
	r->config = (struct blkplane_config){
		.name = "mock",
		.mem = &r->m.hostmem,
		.ring = r->m.ring,
		.disk = { .capacity = RIG_CAPACITY, .blk_size = 512 },
		.kick_fd = r->m.kick_fd,
		.irq = &r->irq,
		.stats = &r->stats,
		.device_status = &r->status,
	};
	memcpy(r->config.disk.id, RIG_ID, BLKREQ_ID_BYTES);
}

static void create_engine(struct rig *r, const struct ioengine_ops *ops,
			  struct ioengine_config *config)
{
	struct iothread_config thread = { .loop = ops->loop, .poll_ns = rig_poll_ns };

	ck_assert_int_eq(iothread_create(&r->thread, &thread), 0);
	config->loop = &r->thread->loop;
	ck_assert_int_eq(ioengine_create(&r->engine, ops, config), 0);
	r->config.thread = r->thread;
	r->config.engine = r->engine;
}

void rig_init(struct rig *r, uint16_t size, bool event_idx, bool indirect, unsigned int depth)
{
	struct ioengine_config config = { .fd = -1, .depth = depth, .direct_align = 1 };

	init(r, size, event_idx, indirect);
	create_engine(r, &ioengine_scripted, &config);
}

void rig_init_file(struct rig *r, const struct ioengine_ops *ops, uint16_t size, bool direct)
{
	struct ioengine_config config;

	init(r, size, false, true);
	image_make(&r->image, RIG_CAPACITY, direct);
	r->has_image = true;
	config = (struct ioengine_config){
		.fd = r->image.fd,
		.depth = size,
		.direct_align = r->image.align,
	};
	create_engine(r, ops, &config);
}

void rig_start(struct rig *r)
{
	r->config.ring = r->m.ring;
	ck_assert_int_eq(blkplane_start(&r->plane, &r->config), 0);
}

void rig_stop(struct rig *r)
{
	blkplane_stop(r->plane);
	r->plane = NULL;
}

void *rig_stop_main(void *rig)
{
	rig_stop(rig);
	return NULL;
}

static void answer(struct iothread_call *call)
{
	iothread_call_done(call);
}

pthread_t rig_call_from(struct rig *r, void *(*fn)(void *rig))
{
	struct iothread_call after = { .run = answer };
	uint64_t woken = eventfd_count(r->thread->loop.wake_fd);
	pthread_t thread;

	must(!pthread_create(&thread, NULL, fn, r));
	/* The thread queues its call before it wakes the dataplane thread, which runs queued calls
	 * in their order. */
	mock_wait_until(eventfd_count(r->thread->loop.wake_fd) == woken + 1);
	iothread_call(r->thread, &after);
	return thread;
}

void rig_fini(struct rig *r)
{
	rig_stop(r);
	ioengine_destroy(r->engine);
	iothread_destroy(r->thread);
	if (r->has_image)
		image_remove(&r->image);
	mock_fini(&r->m);
}

uint32_t rig_device_status(const struct rig *r)
{
	return __atomic_load_n(&r->status, __ATOMIC_SEQ_CST);
}

bool rig_is_broken(const struct rig *r)
{
	return rig_device_status(r) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

void rig_wait_broken(struct rig *r)
{
	mock_wait_until(rig_is_broken(r));
	mock_wait_until(__atomic_load_n(&r->irq_status, __ATOMIC_SEQ_CST) & IRQLINE_CONFIG);
	ck_assert_uint_ge(mock_wait_irq(&r->m), 1);
}

void rig_block_irq(struct rig *r)
{
	uint64_t full = UINT64_MAX - 1;

	must(!fcntl(r->m.irq_fd, F_SETFL, 0));
	must(write(r->m.irq_fd, &full, sizeof(full)) == sizeof(full));
}
