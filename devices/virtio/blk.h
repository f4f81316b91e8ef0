/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk: virtio-blk device (virtio 1.2, 5.2).
 *
 * The device offers features and a configuration space. Its op activate creates and starts a
 * blkplane (dataplane/blkplane.h) for each queue that the driver has made ready; reset drains and
 * stops them. The main thread creates and destroys the device; the virtio ops run on the threads on
 * which the transport calls them. Errors are -errno.
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
/* Engines, in the order in which a disk falls back from one to the next. */
enum blk_engine { BLK_ENGINE_URING, BLK_ENGINE_LIBAIO, BLK_ENGINE_SYNC, BLK_ENGINES };

/*
 * How a disk creates its threads. Creating threads and rings needs system calls that the seccomp
 * filter of a vCPU, on which a driver starts the disk, forbids. make() runs work(arg) on a thread
 * that may make them, and returns its result.
 */
struct blk_threads {
	int (*make)(void *spawner, int (*work)(void *arg), void *arg);
	void *spawner;
	const struct thread_init *plane[BLK_ENGINES]; /* first call of dataplane threads */
	const struct thread_init *worker;
};

/* Configuration of one --disk. The caller owns the strings, which outlive the device. */
struct blk_config {
	const char *path;
	bool readonly;
	bool ephemeral;		   /* the guest's writes are dropped at the end; not readonly */
	const char *ephemeral_dir; /* directory of the file for them; NULL: that of the image */
	const char *serial; /* at most BLK_SERIAL_LEN bytes; NULL: "disk" and the disk's number */
	enum blk_direct direct;
	enum blk_engine engine;
	bool writethrough;	      /* initially each write is stable when completed */
	bool discard;		      /* discards may deallocate blocks of the image */
	enum blkpolicy_action rerror; /* action when the host fails a read */
	enum blkpolicy_action werror; /* action when the host fails a write */
	struct blklimit_rates limits; /* with defaults filled in (blklimit_fill_defaults) */
	uint32_t blk_size;	      /* logical block size: 512, 1024, 2048 or 4096 bytes */
	uint32_t poll_us;	      /* longest busy-polling before a sleep */
	uint16_t queue_size;	      /* largest ring offered; a power of two */
	unsigned int queues;	      /* 1 to VIRTIO_MAX_QUEUES */
	unsigned int iothreads;	      /* up to `queues`; 0: chosen by the number of CPUs */
	unsigned int map_count; /* 0: queues go to threads round-robin; `queues`: by thread_of */
	uint8_t thread_of[VIRTIO_MAX_QUEUES];
	unsigned int cpu_count; /* 0, or `iothreads`: thread n is pinned to CPU cpu[n] */
	uint16_t cpu[VIRTIO_MAX_QUEUES];
	bool packed;			   /* offer RING_PACKED */
	const struct blk_threads *threads; /* NULL: the vCPU's thread creates them */
	bool stats;			   /* measure the latency of each stage */
	bool in_order; /* offer IN_ORDER; drivers that accept it see some completions later */
};

struct blk;
struct blkplane_latency;
struct blkplane_stats;
struct blkplane_listener;

/*
 * Opens the image of disk number `index` and creates the device. Returns 0, or -errno: then *why is
 * a message (see image_open) if the image or an option of the disk cannot be used; if the host
 * lacks another resource, *why is NULL and a line of the log names it.
 */
int blk_create(struct blk **blk, const struct blk_config *config, unsigned int index,
	       const struct hostmem *mem, const char **why);

/* Returns whether `path` names the image of the disk (see image_is). */
bool blk_has_image(const struct blk *blk, const char *path);

/* Returns the device for the transport. The doorbells are queue[].kick_fd, the interrupt
 * is irq.fd. */
struct virtio_device *blk_virtio(struct blk *blk);

/* Returns how many file descriptors a driver can make the disk open at most: all threads and
 * engines are created when the driver first starts the disk. */
unsigned int blk_fds(const struct blk *blk);

/* Sets the listener for broken rings and failed requests of queues that start from now on. The
 * caller owns it and keeps it valid until blk_destroy. */
void blk_set_listener(struct blk *blk, struct blkplane_listener *listener);

/* Copies the counters of a queue. Any thread. */
void blk_stats(const struct blk *blk, unsigned int queue, struct blkplane_stats *stats);
/* Copies the latency histograms of a queue. Returns false if they are not measured. Any thread. */
bool blk_latency(const struct blk *blk, unsigned int queue, struct blkplane_latency *latency);

/*
 * Announces a pause or the end of the disk: long discards and write-zeroes are interrupted at their
 * next step. The function does not wait, so that a caller with several disks waits for one step and
 * not for one step per disk. Called while no vCPU runs; any thread.
 */
void blk_hold(struct blk *blk);

/*
 * Pauses the disk: no more requests are popped, and those in flight are finished, except that long
 * discards and write-zeroes are interrupted at their next step and continue after blk_resume. The
 * function waits for the host's I/O. Until blk_resume the disk accesses no guest memory and raises
 * no interrupts, and the transport must not be used, except for blk_destroy. Called while no vCPU
 * runs; any thread, one at a time.
 */
void blk_pause(struct blk *blk);

/* Resumes the disk. The dataplane checks every ring once for requests that became available during
 * the pause. */
void blk_resume(struct blk *blk);

/* State of a disk in a snapshot, besides that of its transport (mmio_state.h). */
struct blk_state {
	uint64_t capacity; /* bytes */
	uint32_t blk_size;
	uint32_t discard_max, zeroes_max; /* sectors */
	uint32_t wce;			  /* the cache mode that the driver reads */
};

/* Saves the state of a paused disk. */
void blk_save(const struct blk *blk, struct blk_state *state);
/* Writes the failed requests of a queue, which virtio_mmio_save has drained, to `data`; NULL: only
 * count. Returns the number of bytes. */
size_t blk_save_requests(struct blk *blk, unsigned int queue, void *data);
/* Returns why a guest that has accepted these features cannot go on with this disk, for the user;
 * NULL: it can. */
const char *blk_check(const struct blk *blk, const struct blk_state *state, uint64_t accepted);
/* Restores the state of a disk that was just created, before its queues start. */
void blk_restore(struct blk *blk, const struct blk_state *state);
/* Makes a queue repeat these requests at its first start. The caller keeps them until then. */
void blk_restore_requests(struct blk *blk, unsigned int queue, const void *data, size_t size);

/* Makes all completed writes stable. Returns 0 or -errno: the guest's own next flush still reports
 * the failure to the guest. Any thread, while the disk runs. */
int blk_flush(struct blk *blk);

/*
 * Changes the capacity to `bytes`, or to the current size of the image (0). A file is grown if
 * necessary, but never truncated. Requests in flight are finished; later ones beyond the end fail.
 * Called with the transport locked (virtio_mmio_lock). Returns 0, or -errno with a message in *why,
 * as image_open.
 */
int blk_resize(struct blk *blk, uint64_t bytes, const char **why);

/*
 * Notifies the driver if blk_resize has changed the capacity. Called while no vCPU runs: a driver
 * that reads the capacity in two accesses must then read another ConfigGeneration if the capacity
 * has changed in between.
 */
void blk_notify_resize(struct blk *blk);

/* Sets the disk's rate limits, with defaults filled in (blklimit_fill_defaults), and fills the
 * token buckets. Called with the transport locked, one thread at a time. */
void blk_set_limits(struct blk *blk, const struct blklimit_rates *limits);

/* Copies the current rate limits. Any thread. */
void blk_limits(const struct blk *blk, struct blklimit_rates *limits);

/* Returns the format other than raw whose magic number the image had when it was opened; NULL:
 * none. */
const char *blk_format(const struct blk *blk);

/* Returns the bytes of the host's storage that an ephemeral disk occupies (image_allocated). Any
 * thread. */
uint64_t blk_allocated(const struct blk *blk);

/* Returns the capacity in bytes. Any thread. */
uint64_t blk_capacity(const struct blk *blk);

/* Returns the descriptor of the file that has the content of a paused disk from byte `at` up to
 * *end; -EINVAL: its image is a block device (image_content). Any thread. */
int blk_content(const struct blk *blk, uint64_t at, uint64_t *end);

/* Stops and drains the disk, flushes and closes its image, and frees it. No vCPU may run. Returns
 * the result of the flush: 0 or -errno. NULL is allowed. */
int blk_destroy(struct blk *blk);

#endif
