/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measures how long it takes to stop a disk's dataplane while the guest floods it, for each engine,
 * with O_DIRECT and through the page cache.
 *
 *   stop_latency [FILE [ROUNDS]]      (./stop_latency.img, 500)
 *
 * FILE is created and removed, and must not exist. One thread acts as the guest: it keeps a ring of
 * 256 full of 4 KiB reads, and offers each head again as soon as it is completed. Prints, in
 * microseconds from the call of blkplane_stop to its return,
 *   engine=NAME direct=0|1 rounds=N requests=N median_us=N p99_us=N max_us=N
 * `requests` is the number of completed requests in all rounds. Engines that the host lacks are
 * left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"

#define RING	   256u
#define READ_BYTES 4096u
#define FILE_BYTES (64ull << 20)
#define RAM	   0x100000ull /* guest physical address */
#define RAM_BYTES  (4ull << 20)
#define DESC	   0ull /* offsets in RAM */
#define AVAIL	   0x10000ull
#define USED	   0x20000ull
#define TABLES	   0x30000ull
#define HEADERS	   0x40000ull
#define STATUS	   0x50000ull
#define DATA	   0x100000ull

static const struct {
	const char *name;
	const struct ioengine_ops *ops;
} engines[] = {
	{ "libaio", &ioengine_libaio },
	{ "sync", &ioengine_sync },
};

static uint8_t *ram;
static struct hostmem mem;
static int kick_fd, irq_fd;
static bool over;	  /* atomic */
static uint64_t answered; /* requests completed; written by the guest thread, read after its end */

static void fail(const char *what)
{
	fprintf(stderr, "stop_latency: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Writes request number i: a descriptor that refers to an indirect table of three. */
static void lay_out(unsigned int i)
{
	struct vring_desc *desc = (struct vring_desc *)(ram + DESC) + i;
	struct vring_desc *table = (struct vring_desc *)(ram + TABLES) + 3ul * i;
	struct virtio_blk_outhdr *header = (struct virtio_blk_outhdr *)(ram + HEADERS) + i;

	*header = (struct virtio_blk_outhdr){
		.type = VIRTIO_BLK_T_IN,
		.sector = i * 7919ull % (FILE_BYTES / READ_BYTES) * (READ_BYTES / 512),
	};
	table[0] = (struct vring_desc){ RAM + HEADERS + 16ull * i, 16, VRING_DESC_F_NEXT, 1 };
	table[1] = (struct vring_desc){ RAM + DATA + (uint64_t)READ_BYTES * i, READ_BYTES,
					VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 };
	table[2] = (struct vring_desc){ RAM + STATUS + i, 1, VRING_DESC_F_WRITE, 0 };
	*desc = (struct vring_desc){ RAM + TABLES + 48ull * i, 48, VRING_DESC_F_INDIRECT, 0 };
}

static void kick(void)
{
	uint64_t one = 1;

	if (write(kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		fail("kick");
}

/* Guest thread: keeps the ring full. */
static void *guest(void *arg)
{
	struct vring_avail *avail = (struct vring_avail *)(ram + AVAIL);
	struct vring_used *used = (struct vring_used *)(ram + USED);
	uint16_t seen = 0, next = RING;

	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		uint16_t idx = LOAD_ACQUIRE(used->idx);

		if (idx == seen) {
			sched_yield();
			continue;
		}
		while (seen != idx) {
			WRITE_ONCE(avail->ring[next++ % RING],
				   (uint16_t)READ_ONCE(used->ring[seen++ % RING].id));
			answered++;
		}
		STORE_RELEASE(avail->idx, next);
		full_barrier();
		if (!(READ_ONCE(used->flags) & VRING_USED_F_NO_NOTIFY))
			kick();
	}
	return arg;
}

static double one_round(struct iothread *dataplane, struct ioengine *engine)
{
	struct vring_avail *avail = (struct vring_avail *)(ram + AVAIL);
	struct blkplane_stats stats = { 0 };
	uint32_t device_status = VIRTIO_CONFIG_S_DRIVER_OK;
	uint32_t irq_status = 0;
	struct irqline irq = { .status = &irq_status, .fd = irq_fd };
	struct blkplane_config config = {
		.name = "bench",
		.mem = &mem,
		.ring = { .size = RING,
			  .desc = RAM + DESC,
			  .avail = RAM + AVAIL,
			  .used = RAM + USED,
			  .indirect = true },
		.disk = { .capacity = FILE_BYTES, .blk_size = 512 },
		.thread = dataplane,
		.engine = engine,
		.kick_fd = kick_fd,
		.irq = &irq,
		.stats = &stats,
		.device_status = &device_status,
	};
	struct vring_used *used = (struct vring_used *)(ram + USED);
	struct blkplane *plane;
	pthread_t thread;

	memset(ram, 0, DATA);
	for (unsigned int i = 0; i < RING; i++) {
		lay_out(i);
		avail->ring[i] = (uint16_t)i;
	}
	avail->idx = RING;
	errno = -blkplane_start(&plane, &config);
	if (errno)
		fail("start");
	__atomic_store_n(&over, false, __ATOMIC_RELEASE);
	errno = pthread_create(&thread, NULL, guest, NULL);
	if (errno)
		fail("thread");
	while (LOAD_ACQUIRE(used->idx) < 2 * RING)
		sched_yield();
	double begin = now_us();
	blkplane_stop(plane);
	double took = now_us() - begin;
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	return took;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(unsigned int which, int file, bool direct, unsigned int rounds)
{
	struct ioengine_config config = { .depth = RING, .direct_align = direct ? 512 : 1 };
	double *took = calloc(rounds, sizeof(*took));
	struct iothread_config thread = { .loop = engines[which].ops->loop };
	struct iothread *dataplane = NULL;
	struct ioengine *engine;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	config.fd = open(path, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0));
	if (!iothread_create(&dataplane, &thread))
		config.loop = &dataplane->loop;
	if (!took || config.fd < 0 || !dataplane ||
	    ioengine_create(&engine, engines[which].ops, &config)) {
		fprintf(stderr, "stop_latency: skip: engine=%s direct=%d\n", engines[which].name,
			direct);
	} else {
		answered = 0;
		for (unsigned int i = 0; i < rounds; i++)
			took[i] = one_round(dataplane, engine);
		qsort(took, rounds, sizeof(*took), by_size);
		printf("engine=%s direct=%d rounds=%u requests=%llu median_us=%.0f p99_us=%.0f "
		       "max_us=%.0f\n",
		       engines[which].name, direct, rounds, (unsigned long long)answered,
		       took[rounds / 2], took[(rounds - 1) * 99 / 100], took[rounds - 1]);
		ioengine_destroy(engine);
	}
	iothread_destroy(dataplane);
	if (config.fd >= 0)
		close(config.fd);
	free(took);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "stop_latency.img";
	int rounds = argc > 2 ? atoi(argv[2]) : 500;

	if (rounds < 1 || argc > 3) {
		fprintf(stderr, "usage: stop_latency [FILE [ROUNDS]]\n");
		return 1;
	}
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || unlink(path))
		fail(path);
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED || hostmem_add(&mem, RAM, RAM_BYTES, ram, false))
		fail("memory");
	/* Allocates all blocks of the file, because holes are read without a device access. */
	for (uint64_t at = 0; at < FILE_BYTES; at += RAM_BYTES)
		if (pwrite(fd, ram, RAM_BYTES, (off_t)at) != (ssize_t)RAM_BYTES)
			fail(path);
	fsync(fd);
	kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kick_fd < 0 || irq_fd < 0)
		fail("eventfd");

	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++)
		for (int direct = 1; direct >= 0; direct--)
			measure(i, fd, direct, (unsigned int)rounds);
	return 0;
}
