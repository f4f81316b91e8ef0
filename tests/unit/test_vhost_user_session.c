/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a vhost-user back end with two queues, one that is paused, and one that has a listener. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "dataplane/blkplane.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset);

static bool read_fails; /* atomic; the next read fails, and the later ones do not */

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (!__atomic_exchange_n(&read_fails, false, __ATOMIC_ACQ_REL))
		return __real_preadv(fd, iov, count, offset);
	errno = EIO;
	return -1;
}

static struct vumaster v;
static struct mockdrv *const m = &v.m;

static void open_queues(unsigned int queues)
{
	vumaster_init(&v);
	v.config.queues = queues;
	vumaster_open(&v);
}

/* Describes ring `n`, which starts if nothing else is missing. */
static void say_ring(unsigned int n, const struct mockdrv *driver)
{
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, n, driver->ring.size);
	vumaster_say_addr(&v, n, &driver->ring, 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, n, driver->kick_fd);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, n, 1);
}

START_TEST(ring_runs_on_when_another_one_stops)
{
	struct mockdrv second;

	open_queues(2);
	vumaster_start(&v, 16, 0);
	mock_beside(&second, m, 1);
	mock_ring(&second, 16, false, false);
	say_ring(1, &second);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 1, 0);
	vumaster_read_ok(&v, 0);
	vumaster_fini(&v);
}
END_TEST

/* A paused disk starts no ring, and changes its memory without another pause. */
START_TEST(paused_disk_starts_its_rings_when_it_is_resumed)
{
	struct vhost_user_mem_slot slot = { .region = { 1 << 20, 4096, 1 << 20, 0 } };
	struct vring_used_elem elem;
	struct mock_blk req;

	open_queues(1);
	vhost_user_pause(v.vu);
	vumaster_start(&v, 16, 0);
	vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &m->memfd, 1);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 4096);
	mock_offer(m, req.head);
	ck_assert(!mock_has_used(m));
	vhost_user_resume(v.vu);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	vumaster_fini(&v);
}
END_TEST

/* The addresses of both rings lie in a region, and their ends behind it. */
START_TEST(rings_that_cannot_be_started_do_not_keep_each_other_from_it)
{
	struct vhost_user_vring_addr addr = { 0 };

	open_queues(2);
	vhost_user_pause(v.vu);
	vumaster_start(&v, 16, 0);
	addr.desc = addr.avail = addr.used = vumaster_user_addr(MOCK_HIGH) - 16;
	for (addr.index = 0; addr.index < 2; addr.index++) {
		vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, addr.index, 16);
		vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, addr.index, m->kick_fd);
		vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, addr.index, 1);
		addr.desc = addr.avail = addr.used =
			vumaster_user_addr(MOCK_LOW) + MOCK_LOW_SIZE - 16;
		vumaster_say(&v, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	}
	vhost_user_resume(v.vu);
	ck_assert_uint_eq(vumaster_stop(&v), 0);
	vumaster_fini(&v);
}
END_TEST

/* Offsets of an address that lies in no region. */
static const struct {
	const char *name;
	uint64_t desc, avail, used;
} outside[] = {
	{ "descriptors behind a region", 1ull << 30, 0, 0 },
	{ "available ring", 0, 1ull << 30, 0 },
	{ "used ring", 0, 0, 1ull << 30 },
};

START_TEST(ring_with_a_part_outside_of_all_regions_waits)
{
	struct vhost_user_vring_addr addr = { 0 };

	open_queues(1);
	vumaster_start(&v, 16, 0);
	vumaster_stop(&v);
	addr.desc = vumaster_user_addr(m->ring.desc) + outside[_i].desc;
	addr.avail = vumaster_user_addr(m->ring.avail) + outside[_i].avail;
	addr.used = vumaster_user_addr(m->ring.used) + outside[_i].used;
	vumaster_say(&v, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
	vumaster_say_addr(&v, 0, &m->ring, 0);
	vumaster_read_ok(&v, 0);
	vumaster_fini(&v);
}
END_TEST

static const struct {
	const char *name;
	uint64_t avail, used;
} moved[] = { { "available ring", 64, 0 }, { "used ring", 0, 64 } };

START_TEST(part_of_a_running_ring_cannot_be_moved)
{
	struct vhost_user_vring_addr addr = { 0 };

	open_queues(1);
	vumaster_start(&v, 16, 0);
	addr.desc = vumaster_user_addr(m->ring.desc);
	addr.avail = vumaster_user_addr(m->ring.avail) + moved[_i].avail;
	addr.used = vumaster_user_addr(m->ring.used) + moved[_i].used;
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL,
				       0),
			 -EBUSY);
	vumaster_fini(&v);
}
END_TEST

START_TEST(region_is_removed_by_all_of_its_addresses)
{
	struct vhost_user_mem_slot slot = { .region = vumaster_region(2) };

	open_queues(1);
	vumaster_say_memory(&v);
	slot.region.user_addr += 4096;
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_REM_MEM_REG, 0, &slot, sizeof(slot), NULL, 0),
			 -ENOENT);
	vumaster_fini(&v);
}
END_TEST

START_TEST(end_of_the_connection_is_reported)
{
	open_queues(1);
	ck_assert_int_eq(shutdown(v.sock, SHUT_WR), 0);
	ck_assert_int_eq(vhost_user_handle(v.vu), -ENOTCONN);
	vumaster_fini(&v);
}
END_TEST

/* ---- the configuration space ---- */

static int set_config(uint32_t offset, uint32_t size, uint32_t flags, uint8_t value)
{
	struct {
		struct vhost_user_config config;
		uint8_t data[4];
	} payload = { { offset, size, flags }, { value } };

	return vumaster_send(&v, VHOST_USER_SET_CONFIG, 0, &payload,
			     (uint32_t)sizeof(payload.config) + size, NULL, 0);
}

static bool write_cache(void)
{
	const uint8_t *space = blk_virtio(v.blk)->regpage->config;

	return space[offsetof(struct virtio_blk_config, wce)];
}

START_TEST(front_end_switches_the_write_cache)
{
	const uint32_t wce = offsetof(struct virtio_blk_config, wce);

	open_queues(1);
	vumaster_start(&v, 16, 1ull << VIRTIO_BLK_F_CONFIG_WCE);
	bool before = write_cache();
	ck_assert_int_eq(set_config(wce, 1, 0, !before), 0);
	ck_assert_int_eq(write_cache(), !before);
	vumaster_read_ok(&v, 0);
	/* The destination of a migration gets the whole space. */
	ck_assert_int_eq(set_config(wce, 2, 1, before), 0);
	ck_assert_int_eq(write_cache(), !before);
	ck_assert_int_lt(set_config(wce, 2, 0, before), 0);
	vumaster_fini(&v);
}
END_TEST

START_TEST(write_cache_is_not_switched_without_the_feature)
{
	const uint32_t wce = offsetof(struct virtio_blk_config, wce);

	open_queues(1);
	vumaster_start(&v, 16, 0);
	bool before = write_cache();
	ck_assert_int_lt(set_config(wce, 1, 0, !before), 0);
	ck_assert_int_eq(write_cache(), before);
	vumaster_fini(&v);
}
END_TEST

/* Some of these lines are left out of the log. */
START_TEST(channel_that_is_closed_again_and_again_does_not_flood_the_log)
{
	int pair[2];

	open_queues(1);
	vumaster_start(&v, 16, 0);
	for (unsigned int i = 0; i < 2 * LOG_BURST; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		vumaster_say(&v, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
		close(pair[0]);
		close(pair[1]);
		vhost_user_config_changed(v.vu);
	}
	vumaster_read_ok(&v, 0);
	vumaster_fini(&v);
}
END_TEST

/* ---- the second listener ---- */

static int told; /* atomic; queue + 1 */

static void hear_broken(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	(void)listener;
	(void)why;
	__atomic_store_n(&told, (int)queue + 1, __ATOMIC_RELEASE);
}

static void hear_stopped(struct blkplane_listener *listener, unsigned int queue, enum io_op op,
			 int err)
{
	(void)op;
	if (err == EIO)
		hear_broken(listener, queue, "");
}

static struct blkplane_listener second = { hear_broken, hear_stopped };
static struct blkplane_listener *const listeners[] = { NULL, &second };
static const char *const listener_names[] = { "none", "one" };

START_TEST(second_listener_hears_of_broken_rings)
{
	struct mock_piece bad = { MOCK_HOLE, 16, false };

	vumaster_init(&v);
	v.next = &second;
	vumaster_open(&v);
	vumaster_start(&v, 16, 0);
	mock_offer(m, mock_chain(m, &bad, 1));
	mock_wait_until(__atomic_load_n(&told, __ATOMIC_ACQUIRE) == 1);
	vumaster_fini(&v);
}
END_TEST

START_TEST(failed_read_is_kept_and_repeated_after_a_resume)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	vumaster_init(&v);
	v.next = listeners[_i];
	v.config.engine = BLK_ENGINE_SYNC;
	v.config.rerror = BLKPOLICY_STOP;
	vumaster_open(&v);
	vumaster_start(&v, 16, 0);
	vumaster_read_ok(&v, 0);
	vhost_user_pause(v.vu);
	__atomic_store_n(&read_fails, true, __ATOMIC_RELEASE);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 8, 4096);
	mock_offer(m, req.head);
	vhost_user_resume(v.vu);
	if (v.next)
		mock_wait_until(__atomic_load_n(&told, __ATOMIC_ACQUIRE) == 1);
	else
		mock_wait_until(!__atomic_load_n(&read_fails, __ATOMIC_ACQUIRE));
	vhost_user_pause(v.vu);
	vhost_user_resume(v.vu);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	vumaster_fini(&v);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_session");
	TCase *t = tcase_create("vhost_user_session");

	tcase_set_timeout(t, 300);
	tcase_add_test(t, ring_runs_on_when_another_one_stops);
	tcase_add_test(t, paused_disk_starts_its_rings_when_it_is_resumed);
	tcase_add_test(t, rings_that_cannot_be_started_do_not_keep_each_other_from_it);
	tcase_add_table_test(t, ring_with_a_part_outside_of_all_regions_waits, outside);
	tcase_add_table_test(t, part_of_a_running_ring_cannot_be_moved, moved);
	tcase_add_test(t, region_is_removed_by_all_of_its_addresses);
	tcase_add_test(t, end_of_the_connection_is_reported);
	tcase_add_test(t, front_end_switches_the_write_cache);
	tcase_add_test(t, write_cache_is_not_switched_without_the_feature);
	tcase_add_test(t, channel_that_is_closed_again_and_again_does_not_flood_the_log);
	tcase_add_test(t, second_listener_hears_of_broken_rings);
	tcase_add_names_test(t, failed_read_is_kept_and_repeated_after_a_resume, listener_names);
	suite_add_tcase(s, t);
	return s;
}
