/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a back end that continues the rings of one that was killed, by the mirror of its requests. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "dataplane/vring_mirror.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/unit/inflight_rig.h"

#define CHAINS 6u

static struct mock_blk req[CHAINS];

/*
 * The previous back end, as its kill has left memory and ring: of six reads, it has popped five
 * and completed the second. The driver has seen that.
 */
static void leave_behind(int format, uint16_t size)
{
	static struct vring_dev vr;
	static struct vring_mirror mirror;
	static struct iovec iov[VRING_CHAIN_CAPACITY(1024)];
	struct vring_chain chain = { .iov = iov, .capacity = VRING_CHAIN_CAPACITY(1024) };
	struct vring_base unused = { .avail_wrap = true, .used_wrap = true };
	struct vring_used_elem elem;

	vumaster_lay_out(&v, size, features_of(format));
	mirror = (struct vring_mirror){ .memory = memory, .entries = size };
	ck_assert_int_eq(vring_setup(&vr, &m->hostmem, &m->ring), 0);
	ck_assert_int_eq(vring_mirror_start(&vr, &mirror, &unused), 0);
	for (unsigned int i = 0; i < CHAINS; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i * 16, 4096);
		mock_stage(m, req[i].head);
		mock_show(m);
		if (i < CHAINS - 1)
			ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	}
	vring_push(&vr, req[1].head, 4097);
	vring_publish(&vr);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, req[1].head);
}

/* Waits for the other five, each of which must be completed once. */
static void expect_others(void)
{
	bool done[CHAINS] = { false };
	struct vring_used_elem elem;

	for (unsigned int n = 0; n < CHAINS - 1; n++) {
		unsigned int i = 0;

		mock_wait_used(m, &elem);
		while (i < CHAINS && req[i].head != elem.id)
			i++;
		ck_assert(i < CHAINS && i != 1 && !done[i]);
		done[i] = true;
		ck_assert_uint_eq(mock_status(m, &req[i]), VIRTIO_BLK_S_OK);
		ck_assert(image_is_fresh(mock_ptr(m, req[i].data), i * 16 * 512, 4096));
	}
	ck_assert_uint_eq(mock_status(m, &req[1]), 0xff);
}

static void begin_again(int format, uint32_t position, uint16_t size)
{
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES | features_of(format));
	say_memory(1, size);
	vumaster_begin(&v, features_of(format), position);
}

/* Cloud Hypervisor gives the available index as the position, QEMU one of an earlier stop. */
START_TEST(requests_in_flight_at_a_kill_are_repeated_once)
{
	open_all();
	leave_behind(_i, 64);
	begin_again(_i, formats[_i].packed ? 0x80008000 : CHAINS, 64);
	expect_others();
	ck_assert(!mock_has_used(m));
	read_ok(5);
	/* The position counts all of them. */
	ck_assert_uint_eq(vumaster_stop(&v), formats[_i].packed ? 0x80008000 | 21 << 16 | 21 : 7);
	close_all();
}
END_TEST

START_TEST(position_that_no_ring_has_is_replaced_by_that_of_the_memory)
{
	open_all();
	leave_behind(2, 64);
	begin_again(2, 0x7fff7fff, 64);
	expect_others();
	close_all();
}
END_TEST

/* A ring that is stopped must have no requests in flight that only the memory knows. */
START_TEST(requests_to_be_repeated_are_completed_before_a_stop)
{
	vumaster_init(&v);
	v.config.limits.iops = 1;
	v.config.limits.iops_burst = 1;
	v.config.in_order = true;
	make_memory();
	vumaster_open(&v);
	leave_behind(_i, 64);
	begin_again(_i, 0, 64);
	/* The sixth was never popped, and remains in the ring. */
	ck_assert_uint_eq(vumaster_stop(&v), formats[_i].packed ? 0x80008000 | 15 << 16 | 15 : 5);
	ck_assert_uint_eq(mock_status(m, &req[0]), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &req[4]), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &req[5]), 0xff);
	close_all();
}
END_TEST

START_TEST(stop_takes_as_many_turns_as_the_engine_needs_for_requests_to_be_repeated)
{
	vumaster_init(&v);
	v.config.limits.iops = 1;
	v.config.limits.iops_burst = 1;
	v.config.engine = BLK_ENGINE_SYNC;
	v.config.queue_size = 1;
	v.config.in_order = true;
	make_memory();
	vumaster_open(&v);
	leave_behind(_i, 64);
	begin_again(_i, 0, 64);
	vumaster_stop(&v);
	ck_assert_uint_eq(mock_status(m, &req[0]), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &req[4]), VIRTIO_BLK_S_OK);
	close_all();
}
END_TEST

/* The front end asks for the position nevertheless. */
START_TEST(memory_of_a_ring_that_failed_to_start_is_left_alone)
{
	uint16_t *version;
	uint64_t kick = 0, ack = 0;

	open_all();
	leave_behind(0, 64);
	version = (uint16_t *)(memory + 8);
	*version = 2;
	vumaster_say_u64(&v, VHOST_USER_SET_PROTOCOL_FEATURES, 1 << 3);
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	say_memory(1, 64);
	vumaster_say_memory(&v);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, 0, 64);
	vumaster_say_addr(&v, 0, &m->ring, 0);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_SET_VRING_KICK, VHOST_USER_NEED_REPLY, &kick,
				       8, &m->kick_fd, 1),
			 0);
	vumaster_receive(&v, VHOST_USER_SET_VRING_KICK, &ack, sizeof(ack));
	ck_assert_uint_ne(ack, 0);
	vumaster_stop(&v);
	ck_assert_uint_eq(*version, 2);
	close_all();
}
END_TEST

START_TEST(chain_to_be_repeated_that_is_invalid_breaks_the_ring_before_a_stop)
{
	int err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	vumaster_init(&v);
	v.config.limits.iops = 1;
	v.config.limits.iops_burst = 1;
	make_memory();
	vumaster_open(&v);
	leave_behind(0, 64);
	mock_desc(m, req[2].head, MOCK_HOLE, 16, 0, 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_ERR, 0, err_fd);
	begin_again(0, 0, 64);
	vumaster_stop(&v);
	ck_assert_uint_eq(eventfd_count(err_fd), 1);
	close(err_fd);
	close_all();
}
END_TEST

/* A pause leaves the memory in use: the front end may not know the position. After GET_VRING_BASE,
 * it does, and its driver may be reset. */
START_TEST(memory_is_in_use_until_the_front_end_has_the_position)
{
	const uint16_t *version;

	open_all();
	version = (uint16_t *)(memory + 8);
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES | features_of(_i));
	say_memory(1, 64);
	vumaster_start(&v, 16, features_of(_i));
	read_ok(0);
	ck_assert_uint_eq(*version, 1);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 0);
	ck_assert_uint_eq(*version, 1);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	read_ok(0);
	vumaster_stop(&v);
	ck_assert_uint_eq(*version, 0);
	vumaster_lay_out(&v, 16, features_of(_i));
	vumaster_say_state(&v, VHOST_USER_SET_VRING_BASE, 0, formats[_i].packed ? 0x80008000 : 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
	read_ok(0);
	ck_assert_uint_eq(*version, 1);
	close_all();
}
END_TEST

START_TEST(memory_of_a_ring_that_never_started_stays_in_use)
{
	open_all();
	leave_behind(0, 64);
	say_memory(1, 64);
	vumaster_stop(&v);
	ck_assert_uint_eq(*(uint16_t *)(memory + 8), 1);
	close_all();
}
END_TEST

/* The previous connection's memory is not touched any more. */
START_TEST(stop_in_another_connection_does_not_reach_the_memory)
{
	open_all();
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	say_memory(1, 64);
	vumaster_start(&v, 16, 0);
	read_ok(0);
	vumaster_reconnect(&v);
	vumaster_stop(&v);
	ck_assert_uint_eq(*(uint16_t *)(memory + 8), 1);
	close_all();
}
END_TEST

START_TEST(queue_without_memory_runs_without_a_mirror)
{
	struct vhost_user_vring_state state = { 1, 0 };

	vumaster_init(&v);
	v.config.queues = 2;
	make_memory();
	vumaster_open(&v);
	say_memory(1, 64);
	vumaster_lay_out(&v, 16, 0);
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	vumaster_say_memory(&v);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, 1, 16);
	vumaster_say_addr(&v, 1, &m->ring, 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 1, m->kick_fd);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 1, 1);
	read_ok(7);
	ck_assert_uint_eq(*(uint16_t *)(memory + 8), 0);
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_VRING_BASE, 0, &state, sizeof(state),
				       NULL, 0),
			 0);
	close_all();
}
END_TEST

START_TEST(memory_that_the_front_end_truncates_does_not_end_the_process)
{
	int lost = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	open_all();
	ck_assert_int_eq(vhost_user_memory_guard(&v.memory, lost), 0);
	say_memory(1, 64);
	ck_assert_int_eq(ftruncate(memory_fd, 0), 0);
	vumaster_start(&v, 16, features_of(_i));
	read_ok(0);
	ck_assert_uint_ge(eventfd_count(lost), 1);
	close_all();
	close(lost);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_killed");
	TCase *t = tcase_create("vhost_user_killed");

	tcase_set_timeout(t, 300);
	tcase_add_table_test(t, requests_in_flight_at_a_kill_are_repeated_once, formats);
	tcase_add_test(t, position_that_no_ring_has_is_replaced_by_that_of_the_memory);
	tcase_add_table_test(t, requests_to_be_repeated_are_completed_before_a_stop, formats);
	tcase_add_table_test(
		t, stop_takes_as_many_turns_as_the_engine_needs_for_requests_to_be_repeated,
		formats);
	tcase_add_test(t, memory_of_a_ring_that_failed_to_start_is_left_alone);
	tcase_add_test(t, chain_to_be_repeated_that_is_invalid_breaks_the_ring_before_a_stop);
	tcase_add_table_test(t, memory_is_in_use_until_the_front_end_has_the_position, formats);
	tcase_add_test(t, memory_of_a_ring_that_never_started_stays_in_use);
	tcase_add_test(t, stop_in_another_connection_does_not_reach_the_memory);
	tcase_add_test(t, queue_without_memory_runs_without_a_mirror);
	tcase_add_table_test(t, memory_that_the_front_end_truncates_does_not_end_the_process,
			     formats);
	suite_add_tcase(s, t);
	return s;
}
