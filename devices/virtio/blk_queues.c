/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/blk_queues.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* Engine backends by enum blk_engine. */
static const struct ioengine_ops *const engines[] = {
	[BLK_ENGINE_URING] = &ioengine_uring,
	[BLK_ENGINE_LIBAIO] = &ioengine_libaio,
	[BLK_ENGINE_SYNC] = &ioengine_sync,
};

/* Returns the default number of threads. A busy-polling thread occupies a CPU, so half of the
 * host's CPUs are left to the vCPUs. */
static unsigned int threads_worth_it(const cpu_set_t *host, unsigned int queues)
{
	unsigned int half = ((unsigned int)CPU_COUNT(host) + 1) / 2;

	return queues < half ? queues : half;
}

static int host_lacks(int err, const char *what)
{
	log_error("%s: %s", what, strerror(-err));
	return err;
}

int blk_queues_init(struct blk_queues *qs, const struct blk_config *config,
		    const struct image *image, const char **why)
{
	cpu_set_t host;

	qs->config = config;
	qs->image = image;
	CPU_ZERO(&host);
	if (sched_getaffinity(0, sizeof(host), &host))
		return host_lacks(-errno, "sched_getaffinity");
	for (unsigned int i = 0; i < config->cpu_count; i++) {
		if (CPU_ISSET(config->cpu[i], &host))
			continue;
		*why = "cpus lists a CPU that this process may not use";
		return -EINVAL;
	}
	if (config->stats) {
		qs->latency = cacheline_alloc(config->queues * sizeof(*qs->latency));
		if (!qs->latency)
			return host_lacks(-ENOMEM, "statistics of a disk");
	}
	qs->thread_count =
		config->iothreads ? config->iothreads : threads_worth_it(&host, config->queues);
	return 0;
}

static struct iothread *thread_of(const struct blk_queues *qs, unsigned int n)
{
	return qs->thread[qs->config->map_count ? qs->config->thread_of[n] : n % qs->thread_count];
}

static void destroy_all(struct blk_queues *qs)
{
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		ioengine_destroy(qs->queue[i].engine);
		qs->queue[i].engine = NULL;
	}
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		iothread_destroy(qs->thread[i]);
		qs->thread[i] = NULL;
	}
}

void blk_queues_destroy(struct blk_queues *qs)
{
	destroy_all(qs);
	if (qs->latency)
		cacheline_free(qs->latency);
}

static int create_threads(struct blk_queues *qs, enum blk_engine which)
{
	const struct blk_threads *threads = qs->config->threads;

	for (unsigned int i = 0; i < qs->thread_count; i++) {
		struct iothread_config config = {
			.loop = engines[which]->loop,
			.poll_ns = qs->config->poll_us * 1000ull,
			.pinned = qs->config->cpu_count,
			.cpu = qs->config->cpu[i],
			.begin = threads ? threads->plane[which] : NULL,
		};
		int err = iothread_create(&qs->thread[i], &config);

		if (err)
			return err;
	}
	return 0;
}

static int create_engines(struct blk_queues *qs, enum blk_engine which)
{
	const struct blk_threads *threads = qs->config->threads;

	for (unsigned int i = 0; i < qs->config->queues; i++) {
		struct ioengine_config config = {
			.loop = &thread_of(qs, i)->loop,
			.fd = qs->image->fd,
			.depth = qs->config->queue_size,
			.direct_align = qs->image->direct_align,
			.device_block = qs->image->device_block,
			.ephemeral = qs->config->ephemeral,
			.overlay = qs->image->overlay,
			.base_fd = qs->image->base_fd,
			.waiter = i,
			.worker_begin = threads ? threads->worker : NULL,
		};
		int err = ioengine_create(&qs->queue[i].engine, engines[which], &config);

		if (err)
			return err;
	}
	return 0;
}

/* Returns the maximum over all engines of the fallback order, not their sum: create_all frees
 * everything of one engine before it tries the next. */
unsigned int blk_queues_fds(const struct blk_queues *qs)
{
	enum blk_engine which = qs->config->engine;
	unsigned int most = 0;

	for (;; which++) {
		const struct ioengine_ops *ops = engines[which];
		unsigned int fds = qs->thread_count * EVLOOP_FDS + qs->config->queues * ops->fds;

		most = fds > most ? fds : most;
		if (which == BLK_ENGINE_SYNC)
			return most;
	}
}

/* Creates all threads and engines. All queues use the same engine: the first of the fallback order
 * that the host provides for every one of them. */
static int create_all(void *arg)
{
	struct blk_queues *qs = arg;
	enum blk_engine which = qs->config->engine;
	int refused = 0, err;

	for (;;) {
		err = create_threads(qs, which);
		if (!err)
			err = create_engines(qs, which);
		if (!err)
			break;
		destroy_all(qs);
		if (which == BLK_ENGINE_SYNC)
			return err;
		refused = refused ? refused : err;
		which++;
	}
	/* This is logged once per disk, because its engines now exist. A failed start is not logged
	 * here, since a guest may repeat it at will. */
	if (which != qs->config->engine)
		log_warn("--disk %s: %s is unavailable (%s), using %s", qs->config->path,
			 engines[qs->config->engine]->name, strerror(-refused),
			 engines[which]->name);
	return 0;
}

/* Runs create_all on a thread that may make the necessary system calls. */
static int create(struct blk_queues *qs)
{
	const struct blk_threads *threads = qs->config->threads;

	return threads ? threads->make(threads->spawner, create_all, qs) : create_all(qs);
}

int blk_queues_start(struct blk_queues *qs, unsigned int n, struct blkplane_config *plane)
{
	int err = qs->thread[0] ? 0 : create(qs);

	if (err)
		return err;
	plane->thread = thread_of(qs, n);
	plane->engine = qs->queue[n].engine;
	plane->stats = &qs->queue[n].stats;
	plane->latency = qs->latency ? &qs->latency[n] : NULL;
	return blkplane_start(&qs->queue[n].plane, plane);
}

void blk_queues_set_writethrough(struct blk_queues *qs, unsigned int n, bool writethrough)
{
	if (qs->queue[n].plane)
		blkplane_set_writethrough(qs->queue[n].plane, writethrough);
}

void blk_queues_set_capacity(struct blk_queues *qs, unsigned int n, uint64_t capacity)
{
	if (qs->queue[n].plane)
		blkplane_set_capacity(qs->queue[n].plane, capacity);
}

void blk_queues_limit_changed(struct blk_queues *qs, unsigned int n)
{
	if (qs->queue[n].plane)
		blkplane_limit_changed(qs->queue[n].plane);
}

void blk_queues_hold(struct blk_queues *qs, unsigned int n)
{
	if (qs->queue[n].plane)
		blkplane_hold(qs->queue[n].plane);
}

void blk_queues_pause(struct blk_queues *qs, unsigned int n)
{
	if (qs->queue[n].plane)
		blkplane_pause(qs->queue[n].plane);
}

int blk_queues_drain(struct blk_queues *qs, unsigned int n, struct vring_base *position)
{
	return qs->queue[n].plane ? blkplane_drain(qs->queue[n].plane, position) : -ENOENT;
}

size_t blk_queues_save(struct blk_queues *qs, unsigned int n, void *data)
{
	return qs->queue[n].plane ? blkplane_save(qs->queue[n].plane, data) : 0;
}

void blk_queues_resume(struct blk_queues *qs, unsigned int n)
{
	if (qs->queue[n].plane)
		blkplane_resume(qs->queue[n].plane);
}

void blk_queues_stop(struct blk_queues *qs, unsigned int n)
{
	blkplane_stop(qs->queue[n].plane);
	qs->queue[n].plane = NULL;
}
