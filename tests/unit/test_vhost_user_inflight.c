/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the messages about the memory that mirrors the requests in flight. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/unit/inflight_rig.h"

static const struct {
	const char *name;
	uint16_t queues;
	uint32_t size; /* of the payload */
	bool given;
} questions[] = {
	{ "QEMU's payload of 24 bytes", 1, 24, true },
	{ "payload of 20 bytes", 1, 20, true },
	{ "no queue", 0, 24, false },
	{ "more queues than the disk has", 2, 24, false },
};

START_TEST(back_end_creates_the_memory)
{
	struct vhost_user_inflight inflight = { 0, 0, questions[_i].queues, 128, 0 };
	int fd;

	open_all();
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_INFLIGHT_FD, 0, &inflight,
				       questions[_i].size, NULL, 0),
			 0);
	fd = vumaster_receive_fd(&v, VHOST_USER_GET_INFLIGHT_FD, &inflight, questions[_i].size);
	ck_assert_uint_eq(fd >= 0, questions[_i].given);
	ck_assert_uint_eq(inflight.mmap_size != 0, questions[_i].given);
	ck_assert_uint_eq(inflight.mmap_offset, 0);
	ck_assert_uint_eq(inflight.num_queues, questions[_i].queues);
	ck_assert_uint_eq(inflight.queue_size, 128);
	if (fd >= 0) {
		ck_assert_int_eq(lseek(fd, 0, SEEK_END), (off_t)inflight.mmap_size);
		vumaster_say(&v, VHOST_USER_SET_INFLIGHT_FD, &inflight, questions[_i].size, &fd, 1);
		close(fd);
		/* The driver's choice is larger than what the front end has announced. */
		vumaster_start(&v, 1024, 0);
		read_ok(3);
	}
	close_all();
}
END_TEST

/* Messages that are refused; `fds`: with a descriptor of memory. */
static const struct {
	const char *name;
	struct vhost_user_inflight inflight;
	unsigned int fds;
} bad[] = {
	{ "memory without descriptor", { MEMORY_BYTES, 0, 1, 64, 0 }, 0 },
	{ "no queue", { MEMORY_BYTES, 0, 0, 64, 0 }, 1 },
	{ "queues without descriptors", { MEMORY_BYTES, 0, 1, 0, 0 }, 1 },
	{ "queues of 2048 descriptors", { MEMORY_BYTES, 0, 1, 2048, 0 }, 1 },
	{ "memory that is too small", { 1024, 0, 1, 64, 0 }, 1 },
	{ "memory that is too small for all queues", { 1088 * 65535ul - 1, 0, 65535, 64, 0 }, 1 },
	{ "memory that is longer than its file", { MEMORY_BYTES + 1, 0, 1, 64, 0 }, 1 },
	{ "offset that is not aligned", { 4096, 8, 1, 64, 0 }, 1 },
	{ "offset beyond the file", { 4096, MEMORY_BYTES, 1, 64, 0 }, 1 },
	{ "offset beyond 64 bits", { 4096, UINT64_MAX - 63, 1, 64, 0 }, 1 },
};

START_TEST(invalid_memory_is_refused)
{
	unsigned int fds;

	open_all();
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	fds = count_fds();
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_SET_INFLIGHT_FD, 0, &bad[_i].inflight, 24,
				       &memory_fd, bad[_i].fds),
			 0);
	vumaster_reconnect(&v);
	ck_assert_uint_eq(count_fds(), fds);
	vumaster_start(&v, 16, 0);
	read_ok(0);
	close_all();
}
END_TEST

START_TEST(memory_is_not_replaced_while_a_ring_runs)
{
	struct vhost_user_inflight inflight = { MEMORY_BYTES, 0, 1, 64, 0 };

	open_all();
	vumaster_start(&v, 16, 0);
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_SET_INFLIGHT_FD, 0, &inflight, 24, &memory_fd,
				       1),
			 0);
	close_all();
}
END_TEST

START_TEST(memory_of_size_0_ends_the_mirror)
{
	static const struct vhost_user_inflight none = { 0, 0, 1, 64, 0 };
	uint16_t *version = (uint16_t *)(memory + 8);

	open_all();
	version = (uint16_t *)(memory + 8);
	say_memory(1, 64);
	vumaster_say(&v, VHOST_USER_SET_INFLIGHT_FD, &none, 24, NULL, 0);
	vumaster_start(&v, 16, 0);
	read_ok(0);
	ck_assert_uint_eq(*version, 0);
	close_all();
}
END_TEST

START_TEST(ring_that_is_larger_than_the_memory_of_another_back_end_does_not_start)
{
	struct vhost_user_inflight inflight = { 4096, 0, 1, 64, 0 };
	uint64_t kick = 0;

	open_all();
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	vumaster_say(&v, VHOST_USER_SET_INFLIGHT_FD, &inflight, 24, &memory_fd, 1);
	vumaster_start(&v, 16, 0);
	read_ok(0);
	vumaster_stop(&v);
	/* The ring of 128 is complete with this message. */
	vumaster_lay_out(&v, 128, 0);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, 0, 128);
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_SET_VRING_KICK, 0, &kick, 8, &m->kick_fd, 1),
			 0);
	close_all();
}
END_TEST

/* The memory was checked for split rings. */
START_TEST(ring_of_the_other_format_does_not_start_in_memory_that_is_too_small)
{
	struct vhost_user_inflight inflight = { 1088, 0, 1, 64, 0 };
	uint64_t kick = 0;

	open_all();
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES);
	vumaster_say(&v, VHOST_USER_SET_INFLIGHT_FD, &inflight, 24, &memory_fd, 1);
	vumaster_lay_out(&v, 16, 1ull << VIRTIO_F_RING_PACKED);
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES,
			 VUMASTER_FEATURES | 1ull << VIRTIO_F_RING_PACKED);
	vumaster_say_memory(&v);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_NUM, 0, 16);
	vumaster_say_addr(&v, 0, &m->ring, 0);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_SET_VRING_KICK, 0, &kick, 8, &m->kick_fd, 1),
			 0);
	close_all();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_inflight");
	TCase *t = tcase_create("vhost_user_inflight");

	tcase_set_timeout(t, 300);
	tcase_add_table_test(t, back_end_creates_the_memory, questions);
	tcase_add_table_test(t, invalid_memory_is_refused, bad);
	tcase_add_test(t, memory_is_not_replaced_while_a_ring_runs);
	tcase_add_test(t, memory_of_size_0_ends_the_mirror);
	tcase_add_test(t, ring_that_is_larger_than_the_memory_of_another_back_end_does_not_start);
	tcase_add_test(t, ring_of_the_other_format_does_not_start_in_memory_that_is_too_small);
	suite_add_tcase(s, t);
	return s;
}
