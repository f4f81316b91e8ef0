/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk: virtio-blk (virtio 1.2, 5.2): configuration space and features. activate builds and starts
 * a blkplane, reset drains and stops it.
 *
 * Created and destroyed by the main thread; the virtio ops run where the transport calls them.
 */
#ifndef VIRTIO_BLK_H
#define VIRTIO_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "dataplane/blklimit.h"
#include "dataplane/blkpolicy.h"
#include "dataplane/hostmem.h"
#include "devices/virtio/virtio.h"

#define BLK_SERIAL_LEN	    20
#define BLK_QUEUE_MIN	    4
#define BLK_QUEUE_MAX	    1024
#define BLK_QUEUE_DEFAULT   256

#define BLK_POLL_US_MAX	    1000
#define BLK_POLL_US_DEFAULT 100

enum blk_direct { BLK_DIRECT_AUTO, BLK_DIRECT_ON, BLK_DIRECT_OFF };
/* In the order in which a disk falls back from one to the next. BLK_ENGINE_IOPOLL is not among
 * those: only the user can choose it, and a disk falls back from it to BLK_ENGINE_URING. */
enum blk_engine {
	BLK_ENGINE_URING,
	BLK_ENGINE_LIBAIO,
	BLK_ENGINE_SYNC,
	BLK_ENGINE_IOPOLL,
	BLK_ENGINES
};

/*
 * How the threads of a disk come into being. What makes them may need more rights than a vCPU has at
 * which a driver starts the disk: make() has that done where they are, and returns what it returned.
 */
struct blk_threads {
	int (*make)(void *spawner, int (*work)(void *arg), void *arg);
	void *spawner;
	const struct thread_init *plane[BLK_ENGINES]; /* by enum blk_engine */
	const struct thread_init *worker;
};

/* One --disk. Strings are the caller's and outlive the device. */
struct blk_config {
	const char *path;
	bool readonly;
	const char *serial; /* at most BLK_SERIAL_LEN bytes; NULL: "disk" and its number */
	enum blk_direct direct;
	enum blk_engine engine;
	bool writethrough; /* until the driver says otherwise, each write is stable at once */
	bool discard;	   /* the image may get holes */
	enum blkpolicy_action rerror; /* what becomes of what the host fails in */
	enum blkpolicy_action werror;
	struct blklimit_rates limits; /* settled */
	bool werror_given;	      /* options.c's own */
	uint32_t blk_size;	      /* logical block size: 512, 1024, 2048 or 4096 bytes */
	uint32_t poll_us;	/* how long the dataplane looks on before it sleeps, at most */
	uint16_t queue_size;	/* the largest ring offered; a power of two */
	unsigned int queues;	/* 1 to VIRTIO_MAX_QUEUES */
	unsigned int iothreads; /* up to `queues`; 0: as many as are worth it on this host */
	unsigned int map_count; /* 0: queues go to the threads in turn; or `queues`: by thread_of */
	uint8_t thread_of[VIRTIO_MAX_QUEUES];
	unsigned int cpu_count; /* 0, or `iothreads`: thread n stays on processor cpu[n] */
	uint16_t cpu[VIRTIO_MAX_QUEUES];
	bool fixed_buffers;		   /* io_uring holds all of guest RAM, locked */
	bool packed;			   /* offer RING_PACKED */
	const struct blk_threads *threads; /* NULL: made where the driver starts the disk */
	bool stats;			   /* measure where requests spend their time */
	bool in_order; /* offer IN_ORDER: who accepts it gets some completions later */
};

struct blk;
struct blkplane_latency;
struct blkplane_stats;
struct blkplane_listener;

/*
 * Open the image of disk number `index` and make the device. -errno with *why (see image_open) when
 * the image or a key of the disk cannot be used. When the host lacks something else, *why is NULL, and
 * the log has a line that names it.
 */
int blk_create(struct blk **blk, const struct blk_config *config, unsigned int index,
	       const struct hostmem *mem, const char **why);

/* See image_is. */
bool blk_has_image(const struct blk *blk, const char *path);

/* For the transport. Its doorbells are queue[].kick_fd, its interrupt irq.fd. */
struct virtio_device *blk_virtio(struct blk *blk);

/* How many descriptors its driver can make it open, at most: all of its threads and engines are
 * made when the driver first starts it. */
unsigned int blk_fds(const struct blk *blk);

/* Who hears of what its driver does wrong, in the queues that are started from now on; lent until
 * destroy. */
void blk_set_listener(struct blk *blk, struct blkplane_listener *watch);

/* What that queue has seen so far. Any thread. */
void blk_stats(const struct blk *blk, unsigned int queue, struct blkplane_stats *stats);
/* The same of its times. False: they are not measured. */
bool blk_latency(const struct blk *blk, unsigned int queue, struct blkplane_latency *latency);

/*
 * A pause or the end of the disk follows: its long discards and zeroes are interrupted at their next
 * step. Does not wait, so that a caller with several disks waits for one step and not for one of each
 * disk. While no vCPU runs; any thread.
 */
void blk_hold(struct blk *blk);

/*
 * While no vCPU runs: no more requests are taken, and those in flight are finished; a discard or zeroes
 * that take long wait at their next step for the resume. Waits for the host's I/O. Until it is resumed
 * nothing touches guest memory or raises interrupts, and the transport must not be used, but for
 * blk_destroy. Any thread, one at a time.
 */
void blk_pause(struct blk *blk);

/* Go on; what the driver has offered is looked at. */
void blk_resume(struct blk *blk);

/* Make what the guest was told is written stable. 0 or -errno: a failure is still told to the guest
 * at its own next flush. Any thread, while it runs. */
int blk_flush(struct blk *blk);

/*
 * Give it the size of `bytes`, or of its image (0). A file is grown to it; it is never cut. Requests
 * that are in flight are finished; later ones behind the end fail. While the transport is held. -errno,
 * and *why in words, as in image_open.
 */
int blk_resize(struct blk *blk, uint64_t bytes, const char **why);

/* And tell the driver, if that changed its size. While no vCPU runs, for one that reads the size in two
 * pieces must find another generation behind them if it changed in between. */
void blk_notify_resize(struct blk *blk);

/* Its limits from now on, settled; with full buckets. While the transport is held, one thread at a time. */
void blk_set_limits(struct blk *blk, const struct blklimit_rates *limits);

/* What they are. Any thread. */
void blk_limits(const struct blk *blk, struct blklimit_rates *limits);

/* The format, other than raw, that its image began like when it was opened; NULL: none. */
const char *blk_format(const struct blk *blk);

/* Its size in bytes. Any thread. */
uint64_t blk_capacity(const struct blk *blk);

/* Stop, drain, flush and close. No vCPU may run. Returns the flush's result: 0 or -errno. NULL is
 * allowed. */
int blk_destroy(struct blk *blk);

#endif
