/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the channel on which a vhost-user back end reports changes of the configuration space,
 * and of its pause. Linked with --wrap: the test makes a write to the channel short.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

static struct vumaster v;
static struct mockdrv *const m = &v.m;
static int channel = -1; /* the front end's end of the channel */
static int theirs = -1;	 /* the back end's end, which it has a descriptor of its own for */
static ssize_t short_by; /* bytes by which the next sendmsg is short */

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t sent = __real_sendmsg(fd, message, flags);

	if (sent > short_by)
		sent -= short_by;
	short_by = 0;
	return sent;
}

static void open_channel(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	channel = pair[0];
	theirs = pair[1];
	vumaster_say(&v, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &theirs, 1);
}

static void close_channel(void)
{
	close(channel);
	close(theirs);
}

static uint64_t sectors(void)
{
	struct {
		struct vhost_user_config config;
		uint64_t capacity;
	} ask = { .config = { .size = sizeof(ask.capacity) } };
	/* The struct ends with padding. */
	uint32_t size = (uint32_t)(sizeof(ask.config) + sizeof(ask.capacity));
	uint8_t answer[64];
	uint64_t capacity;

	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_CONFIG, 0, &ask, size, NULL, 0), 0);
	vumaster_receive(&v, VHOST_USER_GET_CONFIG, answer, size);
	memcpy(&capacity, answer + sizeof(ask.config), sizeof(capacity));
	return capacity;
}

/* Resizes the disk as the control socket does. */
static void resize(uint64_t bytes)
{
	const char *why;

	ck_assert_int_eq(blk_resize(v.blk, bytes, &why), 0);
	blk_notify_resize(v.blk);
	vhost_user_config_changed(v.vu);
}

/* The front end has got one message, which asks for no reply, and no more. */
static void expect_told(void)
{
	struct vhost_user_header header[2];

	ck_assert_int_eq(recv(channel, header, sizeof(header), 0), sizeof(header[0]));
	ck_assert_uint_eq(header[0].request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	ck_assert_uint_eq(header[0].flags, VHOST_USER_VERSION);
	ck_assert_uint_eq(header[0].size, 0);
}

static void expect_silence(void)
{
	char byte;

	ck_assert_int_eq(recv(channel, &byte, 1, 0), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

/* Also with REPLY_ACK, by which the back end could ask for a reply. */
START_TEST(new_size_is_told_without_asking_for_a_reply)
{
	vumaster_open_default(&v);
	vumaster_say_u64(&v, VHOST_USER_SET_PROTOCOL_FEATURES, 1 << 3 | 1 << 5 | 1 << 9);
	open_channel();
	vumaster_start(&v, 16, 0);
	expect_silence();
	resize(VUMASTER_DISK_BYTES * 2);
	expect_told();
	ck_assert_uint_eq(sectors(), VUMASTER_DISK_BYTES * 2 / 512);
	expect_silence();
	close_channel();
	vumaster_fini(&v);
}
END_TEST

/* A back end whose rings are stopped must not send messages. */
START_TEST(new_size_of_a_stopped_disk_is_told_when_a_ring_starts)
{
	vumaster_open_default(&v);
	open_channel();
	vumaster_start(&v, 16, 0);
	uint32_t position = vumaster_stop(&v);
	resize(VUMASTER_DISK_BYTES * 2);
	expect_silence();
	vumaster_say_state(&v, VHOST_USER_SET_VRING_BASE, 0, position);
	expect_silence();
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
	expect_told();
	close_channel();
	vumaster_fini(&v);
}
END_TEST

START_TEST(new_size_is_told_as_soon_as_there_is_a_channel)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	resize(VUMASTER_DISK_BYTES * 2);
	open_channel();
	expect_told();
	close_channel();
	vumaster_fini(&v);
}
END_TEST

/* QEMU reads the configuration space at its start only, and keeps it when it connects again. */
START_TEST(new_size_is_told_to_the_next_front_end)
{
	vumaster_open_default(&v);
	resize(VUMASTER_DISK_BYTES * 2);
	vumaster_reconnect(&v);
	open_channel();
	vumaster_start(&v, 16, 0);
	expect_told();
	close_channel();
	vumaster_fini(&v);
}
END_TEST

START_TEST(channel_without_room_blocks_nothing_and_loses_nothing)
{
	char text[4096] = "";
	struct mock_blk req;

	vumaster_open_default(&v);
	open_channel();
	vumaster_start(&v, 16, 0);
	for (size_t len = sizeof(text); len; len /= 2)
		while (send(theirs, text, len, MSG_NOSIGNAL) > 0)
			;
	ck_assert_int_eq(errno, EAGAIN);
	resize(VUMASTER_DISK_BYTES * 2);
	ck_assert_uint_eq(vumaster_do(&v, VIRTIO_BLK_T_IN, 0, 4096, &req), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(sectors(), VUMASTER_DISK_BYTES * 2 / 512);
	while (recv(channel, text, sizeof(text), 0) > 0)
		;
	expect_silence();
	/* Any message of a front end that goes on. */
	sectors();
	expect_told();
	sectors();
	expect_silence();
	close_channel();
	vumaster_fini(&v);
}
END_TEST

static const char *const failures[] = { "the front end has closed it", "a short write" };

/* After a part of a message, the front end would take the next one for the rest of it. */
START_TEST(channel_that_fails_is_closed_and_the_disk_stays)
{
	struct mock_blk req;

	vumaster_open_default(&v);
	unsigned int fds = count_fds();
	open_channel();
	vumaster_start(&v, 16, 0);
	if (_i)
		short_by = 5;
	else
		close(channel);
	resize(VUMASTER_DISK_BYTES * 2);
	ck_assert_uint_eq(vumaster_do(&v, VIRTIO_BLK_T_IN, 0, 4096, &req), VIRTIO_BLK_S_OK);
	if (_i)
		close(channel);
	close(theirs);
	/* Threads and engine came with the start of the ring. */
	unsigned int more = count_fds() - fds;
	open_channel();
	ck_assert_uint_eq(count_fds(), fds + more + 3);
	expect_told();
	close_channel();
	vumaster_fini(&v);
}
END_TEST

static const struct {
	const char *name;
	uint16_t queue_size;
	uint32_t segments;
} sizes[] = { { "64", 64, 62 }, { "128", 128, 126 }, { "1024", 1024, 126 } };

/* QEMU's rings have 128 entries by default, whatever the disk's queue-size. */
START_TEST(request_of_most_segments_fits_into_the_front_ends_ring)
{
	const struct virtio_blk_config *space;

	vumaster_init(&v);
	v.config.queue_size = sizes[_i].queue_size;
	vumaster_open(&v);
	space = (const void *)blk_virtio(v.blk)->regpage->config;
	ck_assert_uint_eq(space->seg_max, sizes[_i].segments);
	vumaster_fini(&v);
}
END_TEST

/* ---- pause ---- */

static const uint64_t formats[] = { 0, 1ull << VIRTIO_F_RING_PACKED };
static const char *const format_names[] = { "split", "packed" };

START_TEST(paused_disk_answers_messages_and_serves_requests_after_the_resume)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	vumaster_open_default(&v);
	vumaster_start(&v, 16, formats[_i]);
	vhost_user_pause(v.vu);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 8, 512);
	mock_offer(m, req.head);
	ck_assert_uint_eq(sectors(), VUMASTER_DISK_BYTES / 512);
	/* Regions that come and go pause the disk, too, and must not resume it. */
	struct vhost_user_mem_slot slot = { .region = vumaster_region(2) };
	vumaster_say(&v, VHOST_USER_REM_MEM_REG, &slot, sizeof(slot), NULL, 0);
	vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &m->memfd, 1);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	vhost_user_resume(v.vu);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	vumaster_fini(&v);
}
END_TEST

/* A front end stops and starts its ring, or another one connects, while the disk is paused. */
START_TEST(ring_that_starts_during_a_pause_waits_for_the_resume)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	vumaster_open_default(&v);
	vumaster_start(&v, 16, formats[_i]);
	ck_assert_uint_eq(vumaster_do(&v, VIRTIO_BLK_T_IN, 0, 4096, &req), VIRTIO_BLK_S_OK);
	vhost_user_pause(v.vu);
	uint32_t position = vumaster_stop(&v);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_BASE, 0, position);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 8, 512);
	mock_offer(m, req.head);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	vhost_user_resume(v.vu);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);

	vhost_user_pause(v.vu);
	vumaster_reconnect(&v);
	vumaster_start(&v, 16, formats[_i]);
	vhost_user_resume(v.vu);
	ck_assert_uint_eq(vumaster_do(&v, VIRTIO_BLK_T_IN, 0, 4096, &req), VIRTIO_BLK_S_OK);
	vumaster_fini(&v);
}
END_TEST

/* The caller has other work, and signals to handle. */
START_TEST(front_end_that_sends_without_end_does_not_keep_the_caller)
{
	struct vhost_user_header owner = { VHOST_USER_SET_OWNER, VHOST_USER_VERSION, 0 };
	unsigned int sent = 0, calls = 0;
	char byte;

	vumaster_open_default(&v);
	while (send(v.sock, &owner, sizeof(owner), MSG_DONTWAIT) == sizeof(owner))
		sent++;
	ck_assert_uint_gt(sent, 100);
	while (recv(vhost_user_socket(v.vu), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1) {
		ck_assert_int_eq(vhost_user_handle(v.vu), 0);
		calls++;
	}
	ck_assert_uint_ge(calls, sent / 64);
	ck_assert_uint_gt(calls, 1);
	vumaster_fini(&v);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_config");
	TCase *t = tcase_create("vhost_user_config");

	tcase_set_timeout(t, 300);
	tcase_add_test(t, new_size_is_told_without_asking_for_a_reply);
	tcase_add_test(t, new_size_of_a_stopped_disk_is_told_when_a_ring_starts);
	tcase_add_test(t, new_size_is_told_as_soon_as_there_is_a_channel);
	tcase_add_test(t, new_size_is_told_to_the_next_front_end);
	tcase_add_test(t, channel_without_room_blocks_nothing_and_loses_nothing);
	tcase_add_names_test(t, channel_that_fails_is_closed_and_the_disk_stays, failures);
	tcase_add_table_test(t, request_of_most_segments_fits_into_the_front_ends_ring, sizes);
	tcase_add_names_test(t, paused_disk_answers_messages_and_serves_requests_after_the_resume,
			     format_names);
	tcase_add_names_test(t, ring_that_starts_during_a_pause_waits_for_the_resume, format_names);
	tcase_add_test(t, front_end_that_sends_without_end_does_not_keep_the_caller);
	suite_add_tcase(s, t);
	return s;
}
