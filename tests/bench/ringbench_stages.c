/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measures each stage of a request: a whole batch is popped, then parsed, completed, pushed and
 * published. Driver and device alternate in one thread, so that no cache line moves between CPUs.
 */
#include "tests/bench/ringbench_stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "dataplane/base.h"
#include "dataplane/blkreq.h"
#include "dataplane/vring_mirror.h"
#include "tests/bench/ringbench.h"

#define BATCHES 200000u
#define GPA	0x100000ull
#define PIECES	VRING_CHAIN_CAPACITY(8)

struct request {
	struct blkreq req;
	struct io_task task;
	struct iovec iov[PIECES];
};

enum stage { POP, PARSE, FINISH, PUSH, PUBLISH, STAGES };

static uint64_t ticks_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct vring_dev ring;
static struct request requests[RING_SIZE];
static const struct blkreq_disk disk = { .capacity = 1ull << 30, .blk_size = 512 };
static uint64_t took[STAGES];

/* Adds the time since the last call to the stage, without the cost of reading the clock. */
static void lap(uint64_t *since, enum stage stage)
{
	uint64_t t = ticks_ns();

	took[stage] += t - *since;
	*since = t;
}

static void one_batch(unsigned int depth)
{
	uint64_t since = ticks_ns();
	uint32_t written[RING_SIZE];

	for (unsigned int i = 0; i < depth; i++) {
		requests[i].req.chain.iov = requests[i].iov;
		requests[i].req.chain.capacity = PIECES;
		if (vring_pop(&ring, &requests[i].req.chain) != 1)
			abort();
	}
	lap(&since, POP);
	for (unsigned int i = 0; i < depth; i++)
		if (blkreq_parse(&requests[i].req, &disk, &requests[i].task) != BLKREQ_SUBMIT)
			abort();
	lap(&since, PARSE);
	for (unsigned int i = 0; i < depth; i++)
		written[i] = blkreq_finish(&requests[i].req, 0);
	lap(&since, FINISH);
	for (unsigned int i = 0; i < depth; i++)
		vring_push(&ring, requests[i].req.chain.head, written[i]);
	lap(&since, PUSH);
	vring_publish(&ring);
	if (vring_should_notify(&ring))
		abort();
	lap(&since, PUBLISH);
}

/* Returns the minimum of many measurements, so that no more is subtracted than was added. */
static uint64_t clock_cost(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t begin = ticks_ns(), cost = ticks_ns() - begin;

		least = cost < least ? cost : least;
	}
	return least;
}

static void add_mirror(bool packed)
{
	static struct vring_mirror mirror;
	static const struct vring_base unused = { .avail_wrap = true, .used_wrap = true };

	mirror.entries = RING_SIZE;
	mirror.memory = mmap(NULL, vring_mirror_bytes(RING_SIZE, packed), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (mirror.memory == MAP_FAILED || vring_mirror_start(&ring, &mirror, &unused))
		abort();
}

void stages_measure(unsigned int depth, bool packed, bool indirect, bool inflight)
{
	static const char *const names[] = { "pop", "parse", "finish", "push", "publish" };
	void *ram = mmap(NULL, DRIVER_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint64_t clock = clock_cost();
	struct hostmem mem = { 0 };
	struct driver d;
	double sum = 0;

	hostmem_add(&mem, GPA, DRIVER_BYTES, ram, false);
	driver_init(&d, ram, GPA, packed, indirect, disk.capacity, 4096);
	if (vring_setup(&ring, &mem, &d.ring))
		abort();
	if (inflight)
		add_mirror(packed);
	for (unsigned int batch = 0; batch < BATCHES; batch++) {
		while (driver_take(&d) >= 0)
			;
		for (unsigned int i = 0; i < depth; i++)
			driver_stage(&d, i);
		driver_show(&d);
		one_batch(depth);
	}
	printf("{\"depth\": %u, \"packed\": %s, \"indirect\": %s", depth, packed ? "true" : "false",
	       indirect ? "true" : "false");
	for (unsigned int i = 0; i < STAGES; i++) {
		double ns = ((double)took[i] / BATCHES - (double)clock) / depth;

		sum += ns;
		printf(", \"%s_ns\": %.2f", names[i], ns);
	}
	printf(", \"sum_ns\": %.2f}\n", sum);
}
