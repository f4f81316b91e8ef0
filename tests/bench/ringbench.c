/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ringbench: measures the dataplane without KVM, exits and interrupts. A driver thread per queue
 * keeps `depth` requests in flight, by shared memory and an eventfd.
 *
 * A request reads 4 KiB, or --bytes, at a random offset of --file, a file or a block device: with
 * O_DIRECT, or through the page cache with --buffered. With --ephemeral, the file is the base of an
 * ephemeral disk to which nothing has been written. With --memfd, the driver's memory is shared, in
 * small pages, as that of vubench. With --wait a driver sleeps until its interrupt.
 *
 * Each run prints a line of JSON: requests per second, CPU time of the dataplane threads per
 * request, and doorbells per request. With --times the planes take time stamps as well, with
 * --inflight they mirror their requests in flight, and with --dirty they keep a dirty log. With
 * --stages one thread calls each stage, and the line has the time of each.
 */
#include "tests/bench/ringbench.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "tests/bench/ringbench_stages.h"

#define MAX_QUEUES 16
#define GPA	   0x100000ull

static struct {
	const char *engine;
	const char *file;
	unsigned int depth;
	unsigned int bytes; /* size of a request */
	unsigned int queues;
	unsigned int threads;
	unsigned int poll_us;
	unsigned int cpu; /* first CPU of --pin */
	double seconds;
	bool indirect;
	bool buffered; /* read through the host's page cache */
	bool ephemeral;
	bool memfd; /* driver memory as that of vubench */
	bool packed;
	bool pin;
	bool share;
	bool stages;
	bool times;
	bool inflight; /* mirror the requests in flight */
	bool dirty;    /* record writes to guest memory in a dirty log */
	bool wait;
} opt = {
	.engine = "null", .depth = 32, .bytes = 4096, .queues = 1, .poll_us = 1000, .seconds = 1
};

struct queue {
	_Alignas(128) struct driver driver;
	struct irqline irq;
	_Alignas(CACHELINE_PAIR) uint32_t irq_status;
	uint32_t status;
	struct vring_base base;
	struct vring_mirror mirror;
	struct blkplane_stats stats;
	struct blkplane_latency latency;
	int kick_fd;
	struct ioengine *engine;
	struct blkplane *plane;
	pthread_t thread;
	uint64_t requests, kicks;
};

static struct queue queues[MAX_QUEUES];
static struct iothread *threads[MAX_QUEUES];
static struct overlay *overlay;
static struct hostmem mem;
static struct hostmem_dirty dirty;
static uint64_t disk_bytes = 1ull << 30;
static int phase; /* atomic; 1: count, 2: stop */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(pthread_t thread)
{
	struct timespec t;
	clockid_t clock;

	pthread_getcpuclockid(thread, &clock);
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --pin gives each thread a CPU of its own; --share gives one to both threads of a queue. */
static void pin(pthread_t thread, unsigned int queue, unsigned int which)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(opt.cpu + (opt.share ? queue : 2 * queue + which), &set);
	if (opt.pin || opt.share)
		pthread_setaffinity_np(thread, sizeof(set), &set);
}

static void *drive(void *arg)
{
	struct queue *q = arg;
	struct driver *d = &q->driver;
	uint64_t one = 1, done = 0, kicks = 0;
	int now_phase, seen = 0;

	for (unsigned int i = 0; i < opt.depth; i++)
		driver_stage(d, i);
	do {
		int slot;

		if (driver_show(d)) {
			kicks++;
			if (write(q->kick_fd, &one, sizeof(one)) != sizeof(one))
				die("kick");
		}
		while ((slot = driver_take(d)) < 0)
			if (READ_ONCE(phase) == 2)
				break;
			else if (opt.wait)
				driver_sleep(d, q->irq.fd);
			else if (opt.share)
				sched_yield();
		for (; slot >= 0; slot = driver_take(d)) {
			done++;
			driver_stage(d, (unsigned int)slot);
		}
		now_phase = READ_ONCE(phase);
		if (now_phase != seen) {
			if (now_phase == 1)
				done = kicks = 0;
			seen = now_phase;
		}
	} while (now_phase != 2);
	q->requests = done;
	q->kicks = kicks;
	return NULL;
}

static const struct ioengine_ops *const engines[] = {
	&ioengine_null,
	&ioengine_sync,
	&ioengine_libaio,
	&ioengine_uring,
};

/* Maps memory that is like a guest's RAM: of huge pages where the host has some. All of it is
 * resident. */
static char *map_ram(size_t size)
{
	char *ram;
	int fd;

	if (opt.memfd) {
		ram = driver_memfd(size, &fd);
		if (!ram)
			die("memfd");
		return ram;
	}
	ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ram == MAP_FAILED)
		die("mmap");
	madvise(ram, size, MADV_HUGEPAGE);
	memset(ram, 0, size);
	return ram;
}

/* Gives a queue the memory that mirrors its requests. */
static void add_mirror(struct queue *q)
{
	q->base = (struct vring_base){ .avail_wrap = true, .used_wrap = true };
	q->mirror = (struct vring_mirror){
		.memory = map_ram(vring_mirror_bytes(RING_SIZE, opt.packed)),
		.entries = RING_SIZE,
	};
}

static void add_dirty_log(size_t ram)
{
	dirty.bytes = (GPA + ram) / HOSTMEM_DIRTY_PAGE / 8 + 1;
	dirty.bits = (uint8_t *)map_ram(dirty.bytes);
	mem.dirty = &dirty;
}

static void set_up(const struct ioengine_ops *ops)
{
	char *ram = map_ram(DRIVER_BYTES * opt.queues);
	struct iothread_config thread = { .loop = ops->loop, .poll_ns = opt.poll_us * 1000ull };
	int fd = opt.file ? open(opt.file, O_RDONLY | (opt.buffered ? 0 : O_DIRECT)) : -1;
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	if (opt.file && (fd < 0 || end < 0))
		die(opt.file);
	if (opt.file)
		disk_bytes = (uint64_t)end;
	if (opt.ephemeral && overlay_create(&overlay, disk_bytes))
		die("overlay");
	hostmem_add(&mem, GPA, DRIVER_BYTES * opt.queues, ram, false);
	if (opt.dirty)
		add_dirty_log(DRIVER_BYTES * opt.queues);
	for (unsigned int i = 0; i < opt.threads; i++) {
		if (iothread_create(&threads[i], &thread))
			die("iothread");
		pin(threads[i]->thread, i, 1);
	}
	for (unsigned int i = 0; i < opt.queues; i++) {
		struct queue *q = &queues[i];
		struct iothread *t = threads[i % opt.threads];
		struct ioengine_config engine = {
			.loop = &t->loop,
			.fd = fd,
			.depth = RING_SIZE,
			.direct_align = 512,
			.ephemeral = opt.ephemeral,
			.overlay = overlay,
			.base_fd = fd,
			.waiter = i,
		};

		driver_init(&q->driver, ram + DRIVER_BYTES * i, GPA + DRIVER_BYTES * i, opt.packed,
			    opt.indirect, disk_bytes, opt.bytes);
		q->kick_fd = eventfd(0, EFD_NONBLOCK);
		q->irq = (struct irqline){ .status = &q->irq_status,
					   .fd = eventfd(0, EFD_NONBLOCK) };
		if (opt.inflight)
			add_mirror(q);
		if (ioengine_create(&q->engine, ops, &engine))
			die("engine");
		struct blkplane_config config = {
			.name = "ringbench",
			.mem = &mem,
			.ring = q->driver.ring,
			.disk = { .capacity = disk_bytes, .blk_size = 512 },
			.thread = t,
			.engine = q->engine,
			.kick_fd = q->kick_fd,
			.base = opt.inflight ? &q->base : NULL,
			.mirror = opt.inflight ? &q->mirror : NULL,
			.irq = &q->irq,
			.stats = &q->stats,
			.latency = opt.times ? &q->latency : NULL,
			.device_status = &q->status,
		};
		if (blkplane_start(&q->plane, &config))
			die("blkplane");
	}
}

static double all_cpu_seconds(void)
{
	double sum = 0;

	for (unsigned int i = 0; i < opt.threads; i++)
		sum += cpu_seconds(threads[i]->thread);
	return sum;
}

static void measure(void)
{
	double begin, cpu, seconds, requests = 0, kicks = 0;
	uint64_t one = 1;

	for (unsigned int i = 0; i < opt.queues; i++) {
		if (pthread_create(&queues[i].thread, NULL, drive, &queues[i]))
			die("thread");
		pin(queues[i].thread, i, 0);
	}
	usleep(200000);
	__atomic_store_n(&phase, 1, __ATOMIC_RELEASE);
	begin = now();
	cpu = all_cpu_seconds();
	usleep((useconds_t)(opt.seconds * 1e6));
	cpu = all_cpu_seconds() - cpu;
	seconds = now() - begin;
	__atomic_store_n(&phase, 2, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < opt.queues; i++)
		if (write(queues[i].irq.fd, &one, sizeof(one)) != sizeof(one))
			die("irq");
	for (unsigned int i = 0; i < opt.queues; i++) {
		pthread_join(queues[i].thread, NULL);
		requests += (double)queues[i].requests;
		kicks += (double)queues[i].kicks;
	}
	printf("{\"engine\": \"%s\", \"bytes\": %u, \"depth\": %u, \"queues\": %u, "
	       "\"threads\": %u, \"packed\": %s, \"indirect\": %s, \"poll_us\": %u, "
	       "\"iops\": %.0f, \"cpu_ns\": %.1f, \"kicks\": %.4f}\n",
	       opt.engine, opt.bytes, opt.depth, opt.queues, opt.threads,
	       opt.packed ? "true" : "false", opt.indirect ? "true" : "false", opt.poll_us,
	       requests / seconds, cpu * 1e9 / requests, kicks / requests);
}

static void tear_down(void)
{
	for (unsigned int i = 0; i < opt.queues; i++) {
		blkplane_stop(queues[i].plane);
		ioengine_destroy(queues[i].engine);
	}
	for (unsigned int i = 0; i < opt.threads; i++)
		iothread_destroy(threads[i]);
	overlay_destroy(overlay);
}

static const struct option long_options[] = {
	{ "engine", 1, NULL, 'e' },   { "file", 1, NULL, 'f' },	     { "depth", 1, NULL, 'd' },
	{ "queues", 1, NULL, 'q' },   { "threads", 1, NULL, 't' },   { "poll-us", 1, NULL, 'p' },
	{ "seconds", 1, NULL, 's' },  { "indirect", 0, NULL, 'i' },  { "pin", 0, NULL, 'P' },
	{ "share", 0, NULL, 'H' },    { "cpu", 1, NULL, 'c' },	     { "stages", 0, NULL, 'S' },
	{ "packed", 0, NULL, 'k' },   { "times", 0, NULL, 'T' },     { "bytes", 1, NULL, 'b' },
	{ "buffered", 0, NULL, 'B' }, { "ephemeral", 0, NULL, 'E' }, { "inflight", 0, NULL, 'I' },
	{ "dirty", 0, NULL, 'D' },    { "memfd", 0, NULL, 'm' },     { "wait", 0, NULL, 'w' },
	{ NULL, 0, NULL, 0 },
};

static void parse(int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		switch (c) {
		case 'e':
			opt.engine = optarg;
			break;
		case 'f':
			opt.file = optarg;
			break;
		case 'd':
			opt.depth = (unsigned int)atoi(optarg);
			break;
		case 'b':
			opt.bytes = (unsigned int)atoi(optarg);
			break;
		case 'B':
			opt.buffered = true;
			break;
		case 'E':
			opt.ephemeral = true;
			break;
		case 'm':
			opt.memfd = true;
			break;
		case 'w':
			opt.wait = true;
			break;
		case 'q':
			opt.queues = (unsigned int)atoi(optarg);
			break;
		case 't':
			opt.threads = (unsigned int)atoi(optarg);
			break;
		case 'p':
			opt.poll_us = (unsigned int)atoi(optarg);
			break;
		case 's':
			opt.seconds = atof(optarg);
			break;
		case 'i':
			opt.indirect = true;
			break;
		case 'P':
			opt.pin = true;
			break;
		case 'c':
			opt.cpu = (unsigned int)atoi(optarg);
			break;
		case 'H':
			opt.share = true;
			break;
		case 'k':
			opt.packed = true;
			break;
		case 'T':
			opt.times = true;
			break;
		case 'I':
			opt.inflight = true;
			break;
		case 'D':
			opt.dirty = true;
			break;
		case 'S':
			opt.stages = true;
			break;
		default:
			exit(2);
		}
	}
	if (!opt.threads)
		opt.threads = opt.queues;
	if (!opt.bytes || opt.bytes % 512 || opt.bytes > DATA_BYTES) {
		fprintf(stderr, "ringbench: bytes 512 to 65536, in steps of 512\n");
		exit(2);
	}
	if (!opt.depth || opt.depth > (opt.indirect ? RING_SIZE : RING_SIZE / 3) || !opt.queues ||
	    opt.queues > MAX_QUEUES || opt.threads > opt.queues) {
		fprintf(stderr, "ringbench: depth 1 to 85 (256 with --indirect), queues 1 to 16\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	if (opt.stages) {
		stages_measure(opt.depth, opt.packed, opt.indirect, opt.inflight);
		return 0;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		if (strcmp(engines[i]->name, opt.engine))
			continue;
		set_up(engines[i]);
		measure();
		tear_down();
		return 0;
	}
	fprintf(stderr, "ringbench: --engine %s: no such engine\n", opt.engine);
	return 2;
}
