/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fixture of a disk with discards and write zeroes in flight. Linked with
 * --wrap=fallocate,pthread_create,ioengine_hold,ioengine_cancel_ranges: the test decides when the
 * fallocate of the host returns. A test program includes this file once.
 */
#ifndef RANGES_RIG_H
#define RANGES_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "tests/lib/rows.h"

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
void __real_ioengine_hold(struct ioengine *engine);
void __wrap_ioengine_hold(struct ioengine *engine);
void __real_ioengine_cancel_ranges(struct ioengine *engine);
void __wrap_ioengine_cancel_ranges(struct ioengine *engine);

#define RANGES \
	(DISK_FEATURES | DISK_RING | BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES))
#define REQUESTS 8u
#define SEGMENTS 2u

enum { DISCARD = VIRTIO_BLK_T_DISCARD, ZEROES = VIRTIO_BLK_T_WRITE_ZEROES };

typedef struct virtio_blk_discard_write_zeroes segment;

static struct disk d;
static struct mockdrv *const m = &d.m;
static struct mock_blk req[REQUESTS];
static sem_t arrived, go;
/* All of these are atomic. */
static bool blocked;	     /* a caller of fallocate waits for `go` */
static int failure;	     /* error of the next fallocate */
static bool no_thread;	     /* creating the worker thread fails */
static unsigned int steps;   /* fallocate calls */
static unsigned int holds;   /* ioengine_hold calls */
static unsigned int cancels; /* ioengine_cancel_ranges calls */
static unsigned int ended;   /* operators that have returned */
static off_t offset_of[REQUESTS * SEGMENTS * 2];

static unsigned int get(const unsigned int *n)
{
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	unsigned int n = __atomic_fetch_add(&steps, 1, __ATOMIC_SEQ_CST);
	int err;

	WRITE_ONCE(offset_of[n % ARRAY_SIZE(offset_of)], offset);
	if (READ_ONCE(blocked)) {
		sem_post(&arrived);
		while (sem_wait(&go))
			;
	}
	err = __atomic_exchange_n(&failure, 0, __ATOMIC_SEQ_CST);
	if (!err)
		return __real_fallocate(fd, mode, offset, len);
	errno = err;
	return -1;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	return READ_ONCE(no_thread) ? EAGAIN : __real_pthread_create(thread, attr, fn, arg);
}

void __wrap_ioengine_hold(struct ioengine *engine)
{
	__real_ioengine_hold(engine);
	__atomic_fetch_add(&holds, 1, __ATOMIC_SEQ_CST);
}

void __wrap_ioengine_cancel_ranges(struct ioengine *engine)
{
	__real_ioengine_cancel_ranges(engine);
	__atomic_fetch_add(&cancels, 1, __ATOMIC_SEQ_CST);
}

/* Makes callers of fallocate wait. */
static void block(void)
{
	sem_init(&arrived, 0, 0);
	sem_init(&go, 0, 0);
	WRITE_ONCE(blocked, true);
}

/* Waits for a caller of fallocate. */
static void wait_arrived(void)
{
	while (sem_wait(&arrived))
		;
}

static void unblock(void)
{
	WRITE_ONCE(blocked, false);
	sem_post(&go);
}

/* Lays out zero requests of two segments each. */
static void lay_out(struct mockdrv *q, struct mock_blk *r, unsigned int i)
{
	const segment seg[SEGMENTS] = { { 64 + 32 * i, 8, 0 }, { 80 + 32 * i, 8, 0 } };

	mock_blk(q, r, ZEROES, ~0ull, sizeof(seg));
	memcpy(mock_ptr(q, r->data), seg, sizeof(seg));
	mock_stage(q, r->head);
}

/* Offers REQUESTS requests. */
static void offer(void)
{
	mock_forget(m);
	for (unsigned int i = 0; i < REQUESTS; i++)
		lay_out(m, &req[i], i);
	mock_show(m);
	mock_kick(m);
}

static void begin(int way)
{
	rows_init(&d, way);
	disk_open(&d);
	rows_recover(&d, ROWS_RING, RANGES);
}

/* Waits until the host executes the first of many steps. */
static void begin_zeroes(int way)
{
	begin(way);
	block();
	offer();
	wait_arrived();
	holds = 0;
}

static void *pause_disk(void *arg)
{
	blk_pause(d.blk);
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static pthread_t begin_thread(void *(*fn)(void *arg))
{
	pthread_t thread;

	must(!__real_pthread_create(&thread, NULL, fn, NULL));
	return thread;
}

/* Pauses the disk after the first step. */
static void pause_after_a_step(void)
{
	pthread_t pauser = begin_thread(pause_disk);

	mock_wait_until(get(&holds));
	ck_assert_uint_eq(get(&ended), 0);
	unblock();
	pthread_join(pauser, NULL);
	ck_assert_uint_eq(get(&steps), 1);
}

static void expect_status(uint8_t status)
{
	for (unsigned int i = 0; i < REQUESTS; i++)
		ck_assert_uint_eq(mock_status(m, &req[i]), status);
}

/* Waits until each request has completed, once. */
static void wait_all(uint8_t status)
{
	struct vring_used_elem elem;
	uint64_t seen = 0;

	for (unsigned int i = 0; i < REQUESTS; i++) {
		mock_wait_used(m, &elem);
		ck_assert(elem.len == 1 && !(seen >> elem.id & 1));
		seen |= 1ull << elem.id;
	}
	ck_assert(!mock_has_used(m));
	expect_status(status);
}

/* Checks that the segments of all requests read as zeros, and that the image around them has its
 * original content. */
static void expect_zeros(void)
{
	uint8_t bytes[512 * 8];

	for (unsigned int i = 0; i < 2 * REQUESTS; i++) {
		image_peek(&d.image, bytes, (64 + 16 * i) * 512, sizeof(bytes));
		ck_assert(all_bytes(bytes, 0, sizeof(bytes)));
		image_peek(&d.image, bytes, (72 + 16 * i) * 512, sizeof(bytes));
		ck_assert(image_is_fresh(bytes, (72 + 16 * i) * 512, sizeof(bytes)));
	}
}

#endif
