/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a vhost-user back end by a front end that breaks the protocol. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

static struct vumaster v;
static struct mockdrv *const m = &v.m;

/* The payload of a message that is invalid by its header, its length or its value. */
union payload {
	uint64_t u64[33];
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table table;
	struct vhost_user_mem_slot slot;
	struct {
		struct vhost_user_config config;
		uint8_t data[64];
	};
};

#define LOW_REGION                                                                  \
	{                                                                           \
		.gpa = MOCK_LOW, .size = MOCK_LOW_SIZE, .user_addr = 0x7f1000000000 \
	}

static const struct bad {
	const char *name;
	uint32_t request;
	uint32_t size;
	union payload payload;
	unsigned int fds;
} bad[] = {
	{ "message 0", 0, 0, { { 0 } }, 0 },
	{ "unknown message", 99, 0, { { 0 } }, 0 },
	{ "message of the last number", 0xffffffff, 0, { { 0 } }, 0 },
	{ "message that was not offered", VHOST_USER_SET_LOG_FD, 0, { { 0 } }, 1 },
	{ "surplus payload", VHOST_USER_SET_OWNER, 8, { { 0 } }, 0 },
	{ "short payload", VHOST_USER_SET_FEATURES, 4, { { 0 } }, 0 },
	{ "surplus descriptor", VHOST_USER_SET_OWNER, 0, { { 0 } }, 1 },
	{ "unknown features", VHOST_USER_SET_FEATURES, 8, { { 1ull << 63 | 1ull << 32 } }, 0 },
	{ "legacy driver", VHOST_USER_SET_FEATURES, 8, { { 1ull << 30 } }, 0 },
	{ "unknown protocol features", VHOST_USER_SET_PROTOCOL_FEATURES, 8, { { 1ull << 20 } }, 0 },
	{ "queue beyond the last", VHOST_USER_SET_VRING_NUM, 8, { .state = { 1, 16 } }, 0 },
	{ "queue of the last number", VHOST_USER_SET_VRING_BASE, 8, { .state = { ~0u, 0 } }, 0 },
	{ "queue of size 0", VHOST_USER_SET_VRING_NUM, 8, { .state = { 0, 0 } }, 0 },
	{ "queue of size 65536", VHOST_USER_SET_VRING_NUM, 8, { .state = { 0, 65536 } }, 0 },
	{ "enabled by 2", VHOST_USER_SET_VRING_ENABLE, 8, { .state = { 0, 2 } }, 0 },
	{ "enabled beyond the last", VHOST_USER_SET_VRING_ENABLE, 8, { .state = { 16, 1 } }, 0 },
	{ "stop of a queue beyond the last",
	  VHOST_USER_GET_VRING_BASE,
	  8,
	  { .state = { 1, 0 } },
	  0 },
	{ "unknown flags of addresses",
	  VHOST_USER_SET_VRING_ADDR,
	  40,
	  { .addr = { .flags = 2 } },
	  0 },
	{ "addresses beyond the last",
	  VHOST_USER_SET_VRING_ADDR,
	  40,
	  { .addr = { .index = 1 } },
	  0 },
	{ "doorbell without descriptor", VHOST_USER_SET_VRING_KICK, 8, { { 0 } }, 0 },
	{ "doorbell with two", VHOST_USER_SET_VRING_KICK, 8, { { 0 } }, 2 },
	{ "doorbell with and without", VHOST_USER_SET_VRING_KICK, 8, { { 0x100 } }, 1 },
	{ "doorbell with unknown flags", VHOST_USER_SET_VRING_CALL, 8, { { 0x200 } }, 1 },
	{ "doorbell beyond the last", VHOST_USER_SET_VRING_ERR, 8, { { 1 } }, 1 },
	{ "memory without descriptor",
	  VHOST_USER_ADD_MEM_REG,
	  40,
	  { .slot = { 0, LOW_REGION } },
	  0 },
	{ "removed memory that is not there",
	  VHOST_USER_REM_MEM_REG,
	  40,
	  { .slot = { 0, { MOCK_LOW, 4096, 0x7f1000000000, 0 } } },
	  0 },
	{ "table of nine regions", VHOST_USER_SET_MEM_TABLE, 264, { .table = { .count = 9 } }, 8 },
	{ "table without descriptors",
	  VHOST_USER_SET_MEM_TABLE,
	  40,
	  { .table = { .count = 1 } },
	  0 },
	{ "table shorter than its regions",
	  VHOST_USER_SET_MEM_TABLE,
	  40,
	  { .table = { .count = 2 } },
	  2 },
	{ "written configuration that is read-only",
	  VHOST_USER_SET_CONFIG,
	  20,
	  { .config = { 0, 8, 0 } },
	  0 },
	{ "written configuration of another length",
	  VHOST_USER_SET_CONFIG,
	  20,
	  { .config = { 0, 9, 0 } },
	  0 },
	{ "written configuration far away",
	  VHOST_USER_SET_CONFIG,
	  13,
	  { .config = { ~0u, 1, 0 } },
	  0 },
	{ "back end's channel without descriptor", VHOST_USER_SET_BACKEND_REQ_FD, 0, { { 0 } }, 0 },
};

static void open_with_acks(void)
{
	vumaster_open_default(&v);
	vumaster_say_u64(&v, VHOST_USER_SET_PROTOCOL_FEATURES, 1 << 3 | 1 << 5 | 1 << 9 | 1 << 15);
	v.need_reply = true;
}

static int send_bad(const struct bad *b, uint32_t flags)
{
	int fd = eventfd(0, EFD_CLOEXEC), fds[8];

	for (unsigned int i = 0; i < 8; i++)
		fds[i] = fd;
	int result = vumaster_send(&v, b->request, flags, &b->payload, b->size, fds, b->fds);
	close(fd);
	return result;
}

/* Expects the refusal of the message that was sent with NEED_REPLY, and no more. */
static void expect_refusal(uint32_t request)
{
	uint64_t ack = 0;

	vumaster_receive(&v, request, &ack, sizeof(ack));
	ck_assert_uint_ne(ack, 0);
	ck_assert(vumaster_silent(&v));
}

START_TEST(bad_message_is_refused_by_its_acknowledgement)
{
	open_with_acks();
	vumaster_start(&v, 16, 0);
	unsigned int fds = count_fds();
	ck_assert_int_eq(send_bad(&bad[_i], VHOST_USER_NEED_REPLY), 0);
	expect_refusal(bad[_i].request);
	ck_assert_uint_eq(count_fds(), fds);
	/* The connection and its ring go on. */
	vumaster_read_ok(&v, 4);
	vumaster_fini(&v);
}
END_TEST

START_TEST(bad_message_without_acknowledgement_ends_the_connection)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	ck_assert_int_lt(send_bad(&bad[_i], 0), 0);
	ck_assert(vumaster_silent(&v));
	vumaster_reconnect(&v);
	vumaster_start(&v, 16, 0);
	vumaster_read_ok(&v, 4);
	vumaster_fini(&v);
}
END_TEST

static const struct {
	const char *name;
	uint32_t request, flags, size;
} headers[] = {
	{ "version 0", VHOST_USER_GET_FEATURES, 0, 0 },
	{ "version 2", VHOST_USER_GET_FEATURES, 2, 0 },
	{ "answer", VHOST_USER_GET_FEATURES, 5, 0 },
	{ "payload of 4097 bytes", VHOST_USER_GET_FEATURES, 1, 4097 },
	{ "payload of 4 GiB", VHOST_USER_GET_FEATURES, 1, 0xffffffff },
};

START_TEST(bad_header_ends_the_connection)
{
	uint32_t header[3] = { headers[_i].request, headers[_i].flags, headers[_i].size };

	vumaster_open_default(&v);
	ck_assert_int_eq(send(v.sock, header, sizeof(header), 0), sizeof(header));
	ck_assert_int_eq(vhost_user_handle(v.vu), -EBADMSG);
	vumaster_fini(&v);
}
END_TEST

START_TEST(message_in_single_bytes_is_one_message)
{
	struct vhost_user_header header = { VHOST_USER_GET_QUEUE_NUM, 1, 0 };
	uint64_t answer;

	vumaster_open_default(&v);
	for (unsigned int i = 0; i < sizeof(header); i++) {
		ck_assert(vumaster_silent(&v));
		ck_assert_int_eq(send(v.sock, (char *)&header + i, 1, 0), 1);
		ck_assert_int_eq(vhost_user_handle(v.vu), 0);
	}
	vumaster_receive(&v, VHOST_USER_GET_QUEUE_NUM, &answer, sizeof(answer));
	vumaster_fini(&v);
}
END_TEST

START_TEST(more_descriptors_than_a_message_can_have_are_closed)
{
	int fds[40];

	vumaster_open_default(&v);
	for (unsigned int i = 0; i < 40; i++)
		fds[i] = v.sock;
	unsigned int before = count_fds();
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_SET_OWNER, 0, NULL, 0, fds, 40), -EBADMSG);
	vumaster_reconnect(&v);
	ck_assert_uint_eq(count_fds(), before);
	vumaster_fini(&v);
}
END_TEST

/* The answers stay in the socket until it is full. */
START_TEST(front_end_that_never_reads_is_disconnected)
{
	int result = 0;

	vumaster_open_default(&v);
	for (unsigned int i = 0; i < 100000 && !result; i++)
		result = vumaster_send(&v, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
	ck_assert_int_eq(result, -EAGAIN);
	vumaster_fini(&v);
}
END_TEST

/* Regions that no front end may add beside LOW, with their file. */
static const struct {
	const char *name;
	struct vhost_user_mem_region region;
} bad_regions[] = {
	{ "empty", { MOCK_HIGH, 0, 0x1000, 0 } },
	{ "end beyond 64 bits", { UINT64_MAX - 4095, 8192, 0x1000, 0 } },
	{ "user end beyond 64 bits", { MOCK_HIGH, 8192, UINT64_MAX - 4095, 0 } },
	{ "offset beyond 64 bits", { MOCK_HIGH, 8192, 0x1000, UINT64_MAX - 4095 } },
	{ "offset beyond the file", { MOCK_HIGH, 8192, 0x1000, 1ull << 40 } },
	{ "longer than the file", { MOCK_HIGH, 1ull << 40, 0x1000, 0 } },
	{ "overlap of guest addresses", { MOCK_LOW + 4096, 4096, 0x1000, 0 } },
	{ "overlap of user addresses", { MOCK_HIGH, 4096, 0x7f1000000000 + 4096, 0 } },
	{ "same region again", { MOCK_LOW, MOCK_LOW_SIZE, 0x7f1000000000, 0 } },
};

START_TEST(bad_region_is_refused)
{
	struct vhost_user_mem_slot slot = { .region = vumaster_region(0) };

	open_with_acks();
	vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &m->memfd, 1);
	slot.region = bad_regions[_i].region;
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_ADD_MEM_REG, VHOST_USER_NEED_REPLY, &slot,
				       sizeof(slot), &m->memfd, 1),
			 0);
	expect_refusal(VHOST_USER_ADD_MEM_REG);
	vumaster_fini(&v);
}
END_TEST

START_TEST(read_only_memory_is_refused)
{
	struct vhost_user_mem_slot slot = { .region = vumaster_region(0) };
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	open_with_acks();
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_ADD_MEM_REG, VHOST_USER_NEED_REPLY, &slot,
				       sizeof(slot), &fd, 1),
			 0);
	expect_refusal(VHOST_USER_ADD_MEM_REG);
	close(fd);
	vumaster_fini(&v);
}
END_TEST

START_TEST(thirty_third_region_is_refused)
{
	struct vhost_user_mem_slot slot = { .region = { .size = 4096 } };

	open_with_acks();
	for (unsigned int i = 0; i < 33; i++) {
		slot.region.gpa = slot.region.user_addr = (i + 1) * 0x100000ull;
		if (i < 32)
			vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &m->memfd, 1);
	}
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_ADD_MEM_REG, VHOST_USER_NEED_REPLY, &slot,
				       sizeof(slot), &m->memfd, 1),
			 0);
	expect_refusal(VHOST_USER_ADD_MEM_REG);
	vumaster_fini(&v);
}
END_TEST

/* Removed memory stays mapped while a ring runs; that must not add up. */
START_TEST(regions_come_and_go_a_thousand_times_under_a_running_ring)
{
	struct vhost_user_mem_slot slot = { .region = { 1 << 20, 4096, 1 << 20, 0 } };

	open_with_acks();
	vumaster_start(&v, 16, 0);
	for (unsigned int i = 0; i < 1000; i++) {
		vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &m->memfd, 1);
		vumaster_say(&v, VHOST_USER_REM_MEM_REG, &slot, sizeof(slot), NULL, 0);
		if (i % 100 == 0)
			vumaster_read_ok(&v, i % 64);
	}
	vumaster_read_ok(&v, 1);
	vumaster_fini(&v);
}
END_TEST

/* Changes that a running ring forbids. */
static const struct bad busy[] = {
	{ "size", VHOST_USER_SET_VRING_NUM, 8, { .state = { 0, 8 } }, 0 },
	{ "position", VHOST_USER_SET_VRING_BASE, 8, { .state = { 0, 8 } }, 0 },
	{ "addresses", VHOST_USER_SET_VRING_ADDR, 40, { .addr = { .desc = 0x7f1000000000 } }, 0 },
	{ "features", VHOST_USER_SET_FEATURES, 8, { { VUMASTER_FEATURES | 1 << 29 } }, 0 },
};

START_TEST(running_ring_cannot_be_changed)
{
	open_with_acks();
	vumaster_start(&v, 16, 0);
	ck_assert_int_eq(send_bad(&busy[_i], VHOST_USER_NEED_REPLY), 0);
	expect_refusal(busy[_i].request);
	vumaster_read_ok(&v, 1);
	vumaster_fini(&v);
}
END_TEST

START_TEST(ring_outside_of_all_regions_does_not_start)
{
	struct vhost_user_vring_addr addr = { .desc = 0x1000, .avail = 0x2000, .used = 0x3000 };

	open_with_acks();
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	vumaster_say_memory(&v);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, 0, 16);
	vumaster_say(&v, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_KICK, 0, m->kick_fd);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	ck_assert_uint_eq(vumaster_stop(&v), 0);
	/* A ring that crosses the end of its region is there, and invalid. */
	addr.desc = addr.avail = addr.used = 0x7f1000000000 + MOCK_LOW_SIZE - 16;
	vumaster_say(&v, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	uint64_t value = 0;
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_SET_VRING_KICK, VHOST_USER_NEED_REPLY, &value,
				       8, &m->kick_fd, 1),
			 0);
	expect_refusal(VHOST_USER_SET_VRING_KICK);
	vumaster_fini(&v);
}
END_TEST

static const struct {
	const char *name;
	uint32_t position;
} positions[] = {
	{ "popped beyond the end", 0x80008000 | 16 },
	{ "used beyond the end", 0x80008000 | 16 << 16 },
	{ "used before popped", 0x80008000 | 1 << 16 },
	{ "more in flight than the ring has", 0x8000 | 15 },
};

START_TEST(bad_position_of_a_packed_ring_is_refused)
{
	open_with_acks();
	vumaster_start(&v, 16, 1ull << VIRTIO_F_RING_PACKED);
	vumaster_read_ok(&v, 0);
	vumaster_stop(&v);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_BASE, 0, positions[_i].position);
	uint64_t value = 0;
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_SET_VRING_KICK, VHOST_USER_NEED_REPLY, &value,
				       8, &m->kick_fd, 1),
			 0);
	expect_refusal(VHOST_USER_SET_VRING_KICK);
	vumaster_fini(&v);
}
END_TEST

/* A write to the end of a full pipe, or to a file, could block the dataplane. */
START_TEST(descriptor_that_is_no_eventfd_is_refused)
{
	static const uint32_t requests[] = { VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					     VHOST_USER_SET_VRING_ERR };
	uint64_t value = 0;

	open_with_acks();
	vumaster_start(&v, 16, 0);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(vumaster_send(&v, requests[i], VHOST_USER_NEED_REPLY, &value, 8,
					       &v.image.fd, 1),
				 0);
		expect_refusal(requests[i]);
	}
	vumaster_read_ok(&v, 0);
	vumaster_fini(&v);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_hostile");
	TCase *t = tcase_create("vhost_user_hostile");

	tcase_set_timeout(t, 300);
	tcase_add_table_test(t, bad_message_is_refused_by_its_acknowledgement, bad);
	tcase_add_table_test(t, bad_message_without_acknowledgement_ends_the_connection, bad);
	tcase_add_table_test(t, bad_header_ends_the_connection, headers);
	tcase_add_test(t, message_in_single_bytes_is_one_message);
	tcase_add_test(t, more_descriptors_than_a_message_can_have_are_closed);
	tcase_add_test(t, front_end_that_never_reads_is_disconnected);
	tcase_add_table_test(t, bad_region_is_refused, bad_regions);
	tcase_add_test(t, read_only_memory_is_refused);
	tcase_add_test(t, thirty_third_region_is_refused);
	tcase_add_test(t, regions_come_and_go_a_thousand_times_under_a_running_ring);
	tcase_add_table_test(t, running_ring_cannot_be_changed, busy);
	tcase_add_test(t, ring_outside_of_all_regions_does_not_start);
	tcase_add_table_test(t, bad_position_of_a_packed_ring_is_refused, positions);
	tcase_add_test(t, descriptor_that_is_no_eventfd_is_refused);
	suite_add_tcase(s, t);
	return s;
}
