/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of iopoll on a host or with an image that does not support it: the disk works without, and
 * the log says so once. Linked with --wrap.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/disk.h"
#include "tests/lib/suite.h"

static struct disk d;

/* ---- between the device and the host ---- */

static unsigned int refused; /* rings with these flags are */
static unsigned int asked;   /* for such a ring, so many times */

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

/* ---- a disk, and what is said of it ---- */

static int said_fd, stderr_fd;

static void begin_to_listen(void)
{
	int fd[2];

	must(!pipe(fd));
	stderr_fd = dup(2);
	must(dup2(fd[1], 2) == 2);
	close(fd[1]);
	said_fd = fd[0];
}

/* One line was said, and it has that in it. */
static void expect_said(const char *text)
{
	static char said[4096];
	ssize_t n;

	must(dup2(stderr_fd, 2) == 2);
	n = read(said_fd, said, sizeof(said) - 1);
	must(n >= 0);
	said[n] = '\0';
	ck_assert_msg(strstr(said, text) && strchr(said, '\n') == said + n - 1, "%s", said);
	close(said_fd);
	close(stderr_fd);
}

static void two_lives(void)
{
	struct mock_blk req;

	for (unsigned int life = 0; life < 2; life++) {
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
	fds = count_fds();
	begin_to_listen();
	two_lives();
	expect_said(": iopoll is unavailable (Operation not permitted), using "
		    "io_uring\n");
	ck_assert_uint_eq(asked, 1);
	ck_assert_uint_eq(count_fds(), fds + 3);
	disk_fini(&d);
}
END_TEST

/* The page cache, which cannot be polled. */
START_TEST(iopoll_of_an_image_that_cannot)
{
	disk_init(&d, BLK_ENGINE_IOPOLL);
	d.config.direct = BLK_DIRECT_OFF;
	disk_open(&d);
	begin_to_listen();
	two_lives();
	expect_said("iopoll ignored: a disk's file system or device cannot be polled\n");
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_asked");
	TCase *t = tcase_create("blk_asked");

	tcase_add_test(t, iopoll_is_refused);
	tcase_add_test(t, iopoll_of_an_image_that_cannot);
	suite_add_tcase(s, t);
	return s;
}
