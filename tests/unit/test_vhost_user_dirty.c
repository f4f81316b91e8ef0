/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the dirty log of a vhost-user back end: each page that the device changes has its bit,
 * and no page has one that the device cannot write.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

#define LOG_BYTES ((MOCK_TOP / MOCK_PAGE + 7) / 8)
#define PAGES	  ((MOCK_TOP - MOCK_LOW) / MOCK_PAGE)
#define LOG_ALL	  (1ull << VHOST_F_LOG_ALL)

static struct vumaster v;
static struct mockdrv *const m = &v.m;
static uint8_t *bits;
static int log_fd;
static uint8_t *before;

static const struct format {
	const char *name;
	uint64_t features;
} formats[] = {
	{ "split", 0 },
	{ "split, event index", 1ull << VIRTIO_RING_F_EVENT_IDX },
	{ "split, indirect", 1ull << VIRTIO_RING_F_INDIRECT_DESC },
	{ "packed", 1ull << VIRTIO_F_RING_PACKED },
	{ "packed, event index", 1ull << VIRTIO_F_RING_PACKED | 1ull << VIRTIO_RING_F_EVENT_IDX },
};

/* Most of the file is a hole: the guest's memory lies at a high address. */
static void make_log(void)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(log_fd, 0);
	ck_assert_int_eq(ftruncate(log_fd, LOG_BYTES), 0);
	bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, log_fd, 0);
	ck_assert_ptr_ne(bits, MAP_FAILED);
}

static void say_log(uint64_t size)
{
	struct vhost_user_log log = { size, 0 }, answer;

	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_SET_LOG_BASE, 0, &log, sizeof(log), &log_fd,
				       1),
			 0);
	vumaster_receive(&v, VHOST_USER_SET_LOG_BASE, &answer, sizeof(answer));
	ck_assert_mem_eq(&log, &answer, sizeof(log));
}

static void open_with_log(uint64_t features)
{
	vumaster_init(&v);
	vumaster_open(&v);
	make_log();
	vumaster_start(&v, 16, features);
	say_log(LOG_BYTES);
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES | features | LOG_ALL);
	vumaster_say_addr(&v, 0, &m->ring, VHOST_USER_VRING_F_LOG);
	before = malloc(MOCK_TOP - MOCK_LOW);
	ck_assert_ptr_nonnull(before);
}

static void close_log(void)
{
	vumaster_fini(&v);
	munmap(bits, LOG_BYTES);
	close(log_fd);
	free(before);
}

static bool is_dirty(uint64_t page)
{
	uint64_t n = MOCK_LOW / MOCK_PAGE + page;

	return bits[n / 8] >> (n % 8) & 1;
}

static bool has_changed(uint64_t page)
{
	return memcmp(before + page * MOCK_PAGE, m->mem + page * MOCK_PAGE, MOCK_PAGE) != 0;
}

static void remember(void)
{
	memcpy(before, m->mem, MOCK_TOP - MOCK_LOW);
	memset(bits + MOCK_LOW / MOCK_PAGE / 8, 0, (MOCK_TOP - MOCK_LOW) / MOCK_PAGE / 8 + 1);
}

/* Expects a bit for each page that has changed, and none for pages from `unused` on, a guest
 * physical address. Others may have one: the device can write what is there already. */
static void expect_exact(uint64_t unused)
{
	uint64_t first_unused = (unused - MOCK_LOW + MOCK_PAGE - 1) / MOCK_PAGE;

	for (uint64_t page = 0; page < PAGES; page++) {
		if (has_changed(page))
			ck_assert_msg(is_dirty(page), "page %lu changed", (unsigned long)page);
		else if (page >= first_unused)
			ck_assert_msg(!is_dirty(page), "page %lu is as it was",
				      (unsigned long)page);
	}
}

/*
 * Runs a request between two stops of the ring. The memory is remembered after the driver has
 * offered it, so that all changes are the device's; at the end, all marks are there.
 */
static void run(uint16_t head)
{
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 0);
	mock_offer(m, head);
	remember();
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	mock_wait_until(mock_has_used(m));
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 0);
}

/* Takes the used element of the request. */
static void finish(void)
{
	struct vring_used_elem elem;

	ck_assert(mock_used(m, &elem));
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
}

START_TEST(each_page_that_a_request_changes_has_its_bit)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_FLUSH };

	open_with_log(formats[_i].features);
	for (unsigned int i = 0; i < 60; i++) {
		uint32_t type = types[i % 4], len = 0;
		struct mock_blk req;

		if (type == VIRTIO_BLK_T_GET_ID)
			len = 20;
		else if (type != VIRTIO_BLK_T_FLUSH)
			len = (1 + i * 7 % 32) * 512;
		mock_forget(m);
		mock_blk(m, &req, type, i, len);
		run(req.head);
		expect_exact(m->heap);
		finish();
	}
	close_log();
}
END_TEST

/* The device cannot know what a read that failed has written. */
START_TEST(failed_read_marks_all_of_its_memory)
{
	struct mock_blk req;

	open_with_log(formats[_i].features);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, VUMASTER_DISK_BYTES / 512, 8192);
	run(req.head);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_IOERR);
	for (uint64_t gpa = req.data; gpa < req.data + 8192; gpa += 512)
		ck_assert(is_dirty((gpa - MOCK_LOW) / MOCK_PAGE));
	expect_exact(MOCK_TOP);
	close_log();
}
END_TEST

START_TEST(nothing_is_recorded_after_log_all_is_cleared)
{
	struct mock_blk req;

	open_with_log(formats[_i].features);
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES | formats[_i].features);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 8192);
	run(req.head);
	for (uint64_t page = 0; page < PAGES; page++)
		ck_assert(!is_dirty(page));
	close_log();
}
END_TEST

/* Cloud Hypervisor gives a new log for each round of a migration. */
START_TEST(log_that_was_replaced_is_not_written_any_more)
{
	struct mock_blk req;
	uint8_t *old;
	int old_fd;

	open_with_log(formats[_i].features);
	old = bits;
	old_fd = log_fd;
	make_log();
	say_log(LOG_BYTES);
	memset(old + MOCK_LOW / MOCK_PAGE / 8, 0, PAGES / 8 + 1);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 8192);
	run(req.head);
	expect_exact(MOCK_TOP);
	for (uint64_t i = 0; i < PAGES / 8; i++)
		ck_assert_uint_eq(old[MOCK_LOW / MOCK_PAGE / 8 + i], 0);
	munmap(old, LOG_BYTES);
	close(old_fd);
	close_log();
}
END_TEST

static const struct {
	const char *name;
	struct vhost_user_log log;
} bad_logs[] = {
	{ "empty", { 0, 0 } },
	{ "without a bit for the last page", { LOG_BYTES - 1, 0 } },
	{ "longer than its file", { LOG_BYTES + 1, 0 } },
	{ "offset beyond its file", { LOG_BYTES, LOG_BYTES } },
	{ "offset beyond 64 bits", { LOG_BYTES, UINT64_MAX - 4095 } },
};

START_TEST(bad_log_ends_the_connection)
{
	vumaster_init(&v);
	vumaster_open(&v);
	make_log();
	vumaster_start(&v, 16, 0);
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_SET_LOG_BASE, 0, &bad_logs[_i].log,
				       sizeof(bad_logs[_i].log), &log_fd, 1),
			 0);
	ck_assert(vumaster_silent(&v));
	before = NULL;
	close_log();
}
END_TEST

START_TEST(log_all_without_a_log_is_refused)
{
	uint64_t features = VUMASTER_FEATURES | LOG_ALL;

	vumaster_init(&v);
	vumaster_open(&v);
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_SET_FEATURES, 0, &features, 8, NULL, 0), 0);
	vumaster_fini(&v);
}
END_TEST

/* The bits of a region that is added during a migration may lie beyond the log. */
START_TEST(region_without_bits_in_the_log_is_refused)
{
	struct vhost_user_mem_slot slot = { .region = { MOCK_TOP + (1ull << 30), 4096, 4096, 0 } };

	open_with_log(0);
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_ADD_MEM_REG, 0, &slot, sizeof(slot),
				       &m->memfd, 1),
			 0);
	close_log();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_dirty");
	TCase *t = tcase_create("vhost_user_dirty");

	tcase_set_timeout(t, 300);
	tcase_add_table_test(t, each_page_that_a_request_changes_has_its_bit, formats);
	tcase_add_table_test(t, failed_read_marks_all_of_its_memory, formats);
	tcase_add_table_test(t, nothing_is_recorded_after_log_all_is_cleared, formats);
	tcase_add_table_test(t, log_that_was_replaced_is_not_written_any_more, formats);
	tcase_add_table_test(t, bad_log_ends_the_connection, bad_logs);
	tcase_add_test(t, log_all_without_a_log_is_refused);
	tcase_add_test(t, region_without_bits_in_the_log_is_refused);
	suite_add_tcase(s, t);
	return s;
}
