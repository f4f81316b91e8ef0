/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of GET_VRING_BASE while a long discard is in flight. */
#include <semaphore.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_blk.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

#define DISK_BYTES (1u << 30) /* more than one step of a discard */

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
void __real_ioengine_hold(struct ioengine *engine);
void __wrap_ioengine_hold(struct ioengine *engine);
void __real_ioengine_release(struct ioengine *engine);
void __wrap_ioengine_release(struct ioengine *engine);
bool __real_semaphore_wait_ms(sem_t *semaphore, unsigned int ms);
bool __wrap_semaphore_wait_ms(sem_t *semaphore, unsigned int ms);

static sem_t begun;	/* the first step of the discard waits for `decided` */
static sem_t released;	/* the drain lets the discard continue */
static sem_t decided;	/* it has been interrupted, or may end */
static bool takes_long; /* the time of the drain is over while that step runs; test thread */
static bool waiting;	/* the first step has begun; atomic */

/* Posts a semaphore, but not for what the start of the ring does. */
static void note(sem_t *semaphore)
{
	if (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		sem_post(semaphore);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (!__atomic_exchange_n(&waiting, true, __ATOMIC_ACQ_REL)) {
		sem_post(&begun);
		semaphore_wait(&decided);
	}
	return __real_fallocate(fd, mode, offset, len);
}

/* The first interruption comes from a stop without a drain, or from the end of the drain's time. */
void __wrap_ioengine_hold(struct ioengine *engine)
{
	__real_ioengine_hold(engine);
	note(&decided);
}

void __wrap_ioengine_release(struct ioengine *engine)
{
	__real_ioengine_release(engine);
	note(&released);
}

bool __wrap_semaphore_wait_ms(sem_t *semaphore, unsigned int ms)
{
	if (takes_long) {
		/* The drain has begun when this returns, so that it cannot undo the interruption. */
		takes_long = false;
		semaphore_wait(&released);
		return false;
	}
	sem_post(&decided);
	return __real_semaphore_wait_ms(semaphore, ms);
}

static struct vumaster v;

/* Offers a discard of the whole disk, and waits until its first step has begun. */
static void begin_discard(struct mock_blk *req)
{
	const struct virtio_blk_discard_write_zeroes all = { .num_sectors = DISK_BYTES / 512 };

	sem_init(&begun, 0, 0);
	sem_init(&released, 0, 0);
	sem_init(&decided, 0, 0);
	vumaster_init(&v);
	ck_assert_int_eq(truncate(v.image.path, DISK_BYTES), 0);
	vumaster_open(&v);
	vumaster_start(&v, 16, 1ull << VIRTIO_BLK_F_DISCARD);
	mock_blk(&v.m, req, VIRTIO_BLK_T_DISCARD, 0, sizeof(all));
	memcpy(mock_ptr(&v.m, req->data), &all, sizeof(all));
	mock_offer(&v.m, req->head);
	semaphore_wait(&begun);
}

static const struct {
	const char *name;
	bool takes_long;
	uint8_t status;
} stops[] = {
	{ "it ends soon", false, VIRTIO_BLK_S_OK },
	{ "it takes too long", true, VIRTIO_BLK_S_IOERR },
};

START_TEST(discard_in_flight_when_the_ring_stops)
{
	struct mock_blk req;

	takes_long = stops[_i].takes_long;
	begin_discard(&req);
	ck_assert_uint_eq(vumaster_stop(&v), 1);
	ck_assert_uint_eq(mock_status(&v.m, &req), stops[_i].status);
	vumaster_fini(&v);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_stop");
	TCase *t = tcase_create("vhost_user_stop");

	tcase_add_table_test(t, discard_in_flight_when_the_ring_stops, stops);
	suite_add_tcase(s, t);
	return s;
}
