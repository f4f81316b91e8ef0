/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a vhost-user back end by a front end that sends valid messages, in any valid order. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

static struct vumaster v;
static struct mockdrv *const m = &v.m;

static const struct format {
	const char *name;
	uint64_t features;
} formats[] = {
	{ "split", 0 },
	{ "split, event index", 1ull << VIRTIO_RING_F_EVENT_IDX },
	{ "packed", 1ull << VIRTIO_F_RING_PACKED },
	{ "packed, event index", 1ull << VIRTIO_F_RING_PACKED | 1ull << VIRTIO_RING_F_EVENT_IDX },
};

START_TEST(features_and_limits_are_what_front_ends_expect)
{
	vumaster_open_default(&v);
	uint64_t features = vumaster_ask(&v, VHOST_USER_GET_FEATURES);
	ck_assert(features >> VIRTIO_F_VERSION_1 & 1);
	ck_assert(features >> VHOST_USER_F_PROTOCOL_FEATURES & 1);
	ck_assert_uint_eq(features >> 40 & 1, 0);
	ck_assert_uint_eq(vumaster_ask(&v, VHOST_USER_GET_PROTOCOL_FEATURES),
			  1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 12 | 1 << 15);
	ck_assert_uint_eq(vumaster_ask(&v, VHOST_USER_GET_QUEUE_NUM), 1);
	ck_assert_uint_eq(vumaster_ask(&v, VHOST_USER_GET_MAX_MEM_SLOTS), 32);
	vumaster_fini(&v);
}
END_TEST

/* QEMU asks for 57 bytes, others for 60, crosvm for any part at each read of the guest. */
START_TEST(configuration_space_is_read_in_any_slice)
{
	struct {
		struct vhost_user_config config;
		uint8_t data[256];
	} ask, answer;
	static const uint32_t slices[][2] = { { 0, 57 },  { 0, 60 },  { 20, 4 },
					      { 250, 6 }, { 0, 256 }, { 256, 0 } };
	uint8_t *space = NULL;

	vumaster_open_default(&v);
	space = blk_virtio(v.blk)->regpage->config;
	for (unsigned int i = 0; i < ARRAY_SIZE(slices); i++) {
		memset(&ask, 0, sizeof(ask));
		ask.config.offset = slices[i][0];
		ask.config.size = slices[i][1];
		uint32_t size = (uint32_t)sizeof(ask.config) + slices[i][1];
		ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_CONFIG, 0, &ask, size, NULL, 0),
				 0);
		vumaster_receive(&v, VHOST_USER_GET_CONFIG, &answer, size);
		ck_assert_mem_eq(answer.data, space + slices[i][0], slices[i][1]);
	}
	ask.config.offset = 250;
	ask.config.size = 7;
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_CONFIG, 0, &ask, 19, NULL, 0), 0);
	vumaster_receive(&v, VHOST_USER_GET_CONFIG, NULL, 0);
	vumaster_fini(&v);
}
END_TEST

START_TEST(requests_are_served_stopped_and_continued_at_their_position)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 16, formats[_i].features);
	/* More requests than the ring has entries: positions wrap. */
	for (unsigned int i = 0; i < 100; i++)
		vumaster_read_ok(&v, i % 64);
	for (unsigned int round = 0; round < 20; round++) {
		uint32_t position = vumaster_stop(&v);

		vumaster_say_state(&v, VHOST_USER_SET_VRING_BASE, 0, position);
		vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
		vumaster_read_ok(&v, round);
	}
	vumaster_fini(&v);
}
END_TEST

START_TEST(a_disabled_ring_keeps_its_requests_until_it_is_enabled)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	vumaster_open_default(&v);
	vumaster_start(&v, 16, formats[_i].features);
	vumaster_read_ok(&v, 0);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 0);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 8, 512);
	mock_offer(m, req.head);
	ck_assert(!mock_has_used(m));
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	vumaster_fini(&v);
}
END_TEST

/* Cloud Hypervisor and Firecracker send SET_MEM_TABLE, then ADDR, BASE, CALL, KICK of each ring. */
START_TEST(order_of_cloud_hypervisor)
{
	struct vhost_user_mem_table table = { .count = 3 };
	int fds[3] = { m->memfd, m->memfd, m->memfd };

	vumaster_open_default(&v);
	fds[0] = fds[1] = fds[2] = m->memfd;
	vumaster_say(&v, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
	vumaster_say_u64(&v, VHOST_USER_SET_PROTOCOL_FEATURES, 1 << 3 | 1 << 9);
	v.need_reply = true;
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	for (unsigned int i = 0; i < 3; i++)
		table.region[i] = vumaster_region(i);
	vumaster_say(&v, VHOST_USER_SET_MEM_TABLE, &table,
		     offsetof(struct vhost_user_mem_table, region[3]), fds, 3);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, 0, 64);
	vumaster_say_addr(&v, 0, &m->ring, 0);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_BASE, 0, 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_CALL, 0, m->irq_fd);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	vumaster_read_ok(&v, 3);
	vumaster_fini(&v);
}
END_TEST

/* libblkio sends features before protocol features, and adds memory while the ring runs. */
START_TEST(order_of_libblkio)
{
	struct vhost_user_mem_slot slot;
	struct vring_used_elem elem;

	vumaster_open_default(&v);
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	vumaster_say_u64(&v, VHOST_USER_SET_PROTOCOL_FEATURES, 0x8209);
	v.need_reply = true;
	slot.region = vumaster_region(0);
	vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &m->memfd, 1);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, 0, 64);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_BASE, 0, 0);
	vumaster_say_addr(&v, 0, &m->ring, 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_CALL, 0, m->irq_fd);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	vumaster_read_ok(&v, 3);
	slot.region = vumaster_region(2);
	vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &m->memfd, 1);
	uint64_t status = mock_alloc(m, 1, 1);
	struct mock_piece piece[] = { { mock_header(m, VIRTIO_BLK_T_IN, 0), 16, false },
				      { MOCK_FAR, 512, true },
				      { status, 1, true } };
	mock_offer(m, mock_chain(m, piece, 3));
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(*(uint8_t *)mock_ptr(m, status), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(m, MOCK_FAR), 0, 512));
	vumaster_fini(&v);
}
END_TEST

/* QEMU's virtio-mmio lets the driver choose up to 1024 entries, whatever the back end prefers. */
START_TEST(ring_is_larger_than_the_queue_size_of_the_disk)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 1024, formats[_i].features);
	vumaster_read_ok(&v, 3);
	vumaster_fini(&v);
}
END_TEST

/* A front end may begin without doorbell, and asks for polling. */
START_TEST(ring_without_doorbell_is_polled)
{
	struct pollfd timer = { .events = POLLIN };
	struct vring_used_elem elem;
	struct mock_blk req;

	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	timer.fd = vhost_user_timer(v.vu);
	ck_assert_int_eq(poll(&timer, 1, 0), 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, -1);
	for (unsigned int i = 0; i < 3; i++) {
		wait_idle_thread();
		mock_blk(m, &req, VIRTIO_BLK_T_IN, 8, 512);
		mock_stage(m, req.head);
		mock_show(m);
		ck_assert_int_eq(poll(&timer, 1, -1), 1);
		vhost_user_tick(v.vu);
		mock_wait_used(m, &elem);
	}
	vumaster_stop(&v);
	vhost_user_tick(v.vu);
	ck_assert_int_eq(poll(&timer, 1, 10), 0);
	vumaster_fini(&v);
}
END_TEST

START_TEST(call_descriptor_is_replaced_under_a_running_ring)
{
	int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	vumaster_read_ok(&v, 0);
	mock_wait_irq(m);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_CALL, 0, other);
	/* The one unasked interrupt, for those that the old descriptor may have missed. */
	ck_assert_uint_ge(eventfd_count(other), 1);
	uint64_t before = eventfd_count(other);
	vumaster_read_ok(&v, 0);
	mock_wait_until(eventfd_count(other) > before);
	ck_assert_uint_eq(mock_irqs(m), 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_CALL, 0, -1);
	before = eventfd_count(other);
	vumaster_read_ok(&v, 0);
	vumaster_stop(&v);
	ck_assert_uint_eq(eventfd_count(other), before);
	close(other);
	vumaster_fini(&v);
}
END_TEST

START_TEST(broken_ring_signals_err_and_works_again_after_a_stop)
{
	int err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	vumaster_open_default(&v);
	vumaster_start(&v, 16, formats[_i].features);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_ERR, 0, err_fd);
	struct mock_piece bad = { MOCK_HOLE, 16, false };
	mock_offer(m, mock_chain(m, &bad, 1));
	mock_wait_until(eventfd_count(err_fd) == 1);
	vumaster_stop(&v);
	vumaster_reconnect(&v);
	vumaster_start(&v, 16, formats[_i].features);
	vumaster_read_ok(&v, 5);
	close(err_fd);
	vumaster_fini(&v);
}
END_TEST

START_TEST(clients_leave_no_descriptors_or_mappings)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	vumaster_read_ok(&v, 0);
	vumaster_reconnect(&v);
	unsigned int fds = count_fds();
	for (unsigned int i = 0; i < 50; i++) {
		vumaster_start(&v, 16, formats[i % 4].features);
		vumaster_read_ok(&v, i);
		vumaster_reconnect(&v);
		ck_assert_uint_eq(count_fds(), fds);
	}
	vumaster_fini(&v);
}
END_TEST

/* A front end truncates its memory: reads of the ring would end the process by SIGBUS. */
/* Returns whether /proc/self/smaps marks the mapping at `base` as left out of core dumps. */
static bool not_dumped(const void *base)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false, found = false;

	ck_assert_ptr_nonnull(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		unsigned long begin, end;

		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			here = begin == (unsigned long)(uintptr_t)base;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found |= strstr(line, " dd") != NULL;
	}
	fclose(smaps);
	return found;
}

START_TEST(core_dump_has_no_guest_memory)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 64, 0);
	ck_assert(not_dumped(v.memory.mapping[0].base));
	vumaster_fini(&v);
}
END_TEST

START_TEST(truncated_memory_does_not_end_the_process)
{
	int lost = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	vumaster_open_default(&v);
	ck_assert_int_eq(vhost_user_memory_guard(&v.memory, lost), 0);
	vumaster_start(&v, 16, 0);
	vumaster_read_ok(&v, 0);
	ck_assert_int_eq(ftruncate(m->memfd, 0), 0);
	mock_kick(m);
	mock_wait_until(eventfd_count(lost));
	vumaster_stop(&v);
	close(lost);
	vhost_user_destroy(v.vu);
	ck_assert_int_eq(blk_destroy(v.blk), 0);
	image_remove(&v.image);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user");
	TCase *t = tcase_create("vhost_user");

	tcase_set_timeout(t, 300);
	tcase_add_test(t, features_and_limits_are_what_front_ends_expect);
	tcase_add_test(t, configuration_space_is_read_in_any_slice);
	tcase_add_table_test(t, requests_are_served_stopped_and_continued_at_their_position,
			     formats);
	tcase_add_table_test(t, a_disabled_ring_keeps_its_requests_until_it_is_enabled, formats);
	tcase_add_test(t, order_of_cloud_hypervisor);
	tcase_add_test(t, order_of_libblkio);
	tcase_add_table_test(t, ring_is_larger_than_the_queue_size_of_the_disk, formats);
	tcase_add_test(t, ring_without_doorbell_is_polled);
	tcase_add_test(t, call_descriptor_is_replaced_under_a_running_ring);
	tcase_add_table_test(t, broken_ring_signals_err_and_works_again_after_a_stop, formats);
	tcase_add_test(t, clients_leave_no_descriptors_or_mappings);
	tcase_add_test(t, core_dump_has_no_guest_memory);
	tcase_add_test(t, truncated_memory_does_not_end_the_process);
	suite_add_tcase(s, t);
	return s;
}
