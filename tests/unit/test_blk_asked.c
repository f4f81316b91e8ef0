/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of iopoll on a host or with an image that does not support it: the disk works without
 * iopoll, and the log says so once. Linked with --wrap.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/capture.h"
#include "tests/lib/disk.h"
#include "tests/lib/suite.h"

static struct disk d;

/* ---- io_uring of the host ---- */

static unsigned int refused; /* flags of rings that the host refuses */
static unsigned int asked;   /* number of times that such a ring was requested */

int __real_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p);
int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p);

int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *p)
{
	if (!(p->flags & refused))
		return __real_io_uring_queue_init_params(entries, ring, p);
	asked++;
	return -EPERM;
}

/* ---- a disk, and what is logged ---- */

/* Checks that the log has one line, with this text. */
static void expect_logged(const char *text)
{
	capture_end();
	ck_assert_msg(capture_count(text) == 1 && capture_count("\n") == 1, "%s", capture_text());
}

/* Starts the disk twice, and makes requests. */
static void start_twice(void)
{
	struct mock_blk req;

	for (unsigned int start = 0; start < 2; start++) {
		disk_bring_up(&d, 64, DISK_FEATURES);
		for (unsigned int i = 0; i < 10; i++)
			ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, i, 4096, &req, NULL),
					  VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, NULL),
				  VIRTIO_BLK_S_OK);
	}
}

START_TEST(iopoll_is_refused)
{
	unsigned int fds;

	refused = IORING_SETUP_IOPOLL;
	disk_init(&d, BLK_ENGINE_IOPOLL);
	disk_open(&d);
	capture_begin();
	fds = count_fds();
	start_twice();
	ck_assert_uint_eq(count_fds(), fds + 3);
	expect_logged(": iopoll is unavailable (Operation not permitted), using "
		      "io_uring\n");
	ck_assert_uint_eq(asked, 1);
	disk_fini(&d);
}
END_TEST

/* The page cache cannot be polled. */
START_TEST(iopoll_of_an_image_that_cannot_be_polled)
{
	disk_init(&d, BLK_ENGINE_IOPOLL);
	d.config.direct = BLK_DIRECT_OFF;
	disk_open(&d);
	capture_begin();
	start_twice();
	expect_logged("iopoll ignored: a disk's file system or device cannot be polled\n");
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_asked");
	TCase *t = tcase_create("blk_asked");

	tcase_add_test(t, iopoll_is_refused);
	tcase_add_test(t, iopoll_of_an_image_that_cannot_be_polled);
	suite_add_tcase(s, t);
	return s;
}
