/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the files that are accepted as a disk, and of the error messages for others. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/evloop.h"
#include "devices/virtio/image.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct test_image file;
static struct image image;
static const char *why;

static struct blk_config config(const char *path)
{
	return (struct blk_config){ .path = path, .blk_size = 512, .queue_size = 256 };
}

static int try_open(const struct blk_config *c)
{
	why = NULL;
	return image_open(&image, c, &why);
}

/* Expects an error with a reason, and no leaked descriptor. */
static void expect_refused(const struct blk_config *c, int err, const char *words)
{
	unsigned int fds = count_fds();

	ck_assert_int_eq(try_open(c), err);
	ck_assert_ptr_nonnull(why);
	ck_assert_ptr_nonnull(strstr(why, words));
	ck_assert_int_eq(image.fd, -1);
	ck_assert_uint_eq(count_fds(), fds);
}

START_TEST(image_is_opened_and_measured)
{
	struct blk_config c;

	image_make(&file, 1 << 20, false);
	c = config(file.path);
	ck_assert_int_eq(try_open(&c), 0);
	ck_assert_uint_eq(image.size, 1 << 20);
	ck_assert_int_eq(fcntl(image.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(fcntl(image.fd, F_GETFD), FD_CLOEXEC);
	ck_assert(is_power_of_2(image.physical_block) && image.physical_block >= 512);
	ck_assert_int_eq(image_flush(&image), 0);
	image_close(&image);
	ck_assert_int_eq(image.fd, -1);
	image_close(&image);
	image_remove(&file);
}
END_TEST

static const struct {
	const char *name;
	const char *format;
	unsigned int at;
	const char *begin;
	size_t len;
} foreign[] = {
	{ "qcow2", "qcow2", 0, "QFI\xfb\0\0\0\3", 8 },
	{ "VHDX", "VHDX", 0, "vhdxfileq\0e\0", 12 },
	{ "VMDK, binary", "VMDK", 0, "KDMV\1\0\0\0", 8 },
	{ "VMDK, text", "VMDK", 0, "# Disk DescriptorFile\n", 22 },
	{ "VDI", "VDI", 64, "\x7f\x10\xda\xbe", 4 },
	{ "QED", "QED", 0, "QED\0", 4 },
	{ "VHD", "VHD", 0, "conectix", 8 },
	{ "text like QED", NULL, 0, "QEDX", 4 },
	{ "magic number of VDI at 0", NULL, 0, "\x7f\x10\xda\xbe", 4 },
	{ "boot sector", NULL, 510, "\x55\xaa", 2 },
};

/* The format is reported and has no other effect: the disk is the file itself. */
START_TEST(image_in_another_format_is_raw)
{
	struct blk_config c;

	image_make(&file, 512, false);
	ck_assert_int_eq(pwrite(file.fd, foreign[_i].begin, foreign[_i].len, foreign[_i].at),
			 foreign[_i].len);
	c = config(file.path);
	ck_assert_int_eq(try_open(&c), 0);
	ck_assert_pstr_eq(image.format, foreign[_i].format);
	ck_assert_uint_eq(image.size, 512);
	image_close(&image);
	image_remove(&file);
}
END_TEST

START_TEST(read_only_image_is_open_read_only)
{
	struct blk_config c;

	image_make(&file, 4096, false);
	c = config(file.path);
	c.readonly = true;
	ck_assert_int_eq(try_open(&c), 0);
	ck_assert(image.readonly);
	ck_assert_int_eq(fcntl(image.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(pwrite(image.fd, "x", 1, 0), -1);
	ck_assert_int_eq(image_flush(&image), 0);
	image_close(&image);
	image_remove(&file);
}
END_TEST

/* Row 39: a header of another format does not change the contents or the capacity. */
START_TEST(row39_another_formats_header_means_nothing)
{
	static const char magic[][16] = { "QFI\xfb\0\0\0\3", "KDMV", "conectix", "VHD2", "vdi" };
	struct blk_config c;

	image_make(&file, 64 << 10, false);
	c = config(file.path);
	for (unsigned int i = 0; i < ARRAY_SIZE(magic); i++) {
		ck_assert_int_eq(pwrite(file.fd, magic[i], 8, 0), 8);
		ck_assert_int_eq(try_open(&c), 0);
		ck_assert_uint_eq(image.size, 64 << 10);
		image_close(&image);
	}
	image_remove(&file);
}
END_TEST

START_TEST(host_missing_file_is_not_created)
{
	struct blk_config c = config("build-of-nothing/none.img");

	expect_refused(&c, -ENOENT, "No such file");
	c = config("none.img");
	expect_refused(&c, -ENOENT, "No such file");
	ck_assert_int_eq(access("none.img", F_OK), -1);
}
END_TEST

START_TEST(host_directory_fifo_and_device)
{
	struct blk_config c = config("/tmp");
	char path[] = "/tmp/fifo.XXXXXX";

	expect_refused(&c, -EISDIR, "directory");
	c = config("/dev/null");
	expect_refused(&c, -EINVAL, "neither a file nor a block device");
	/* Opening a FIFO without a writer would block. */
	close(mkstemp(path));
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	for (unsigned int i = 0; i < 2; i++) {
		c = config(path);
		c.readonly = i;
		expect_refused(&c, -EINVAL, "neither a file nor a block device");
	}
	unlink(path);
}
END_TEST

START_TEST(host_symbolic_links)
{
	struct blk_config c;
	char path[300];

	image_make(&file, 4096, false);
	snprintf(path, sizeof(path), "%s.link", file.path);
	ck_assert_int_eq(symlink(strrchr(file.path, '/') + 1, path), 0);
	c = config(path);
	ck_assert_int_eq(try_open(&c), 0);
	ck_assert_uint_eq(image.size, 4096);
	image_close(&image);
	image_remove(&file);
	expect_refused(&c, -ENOENT, "No such file");
	unlink(path);
}
END_TEST

START_TEST(host_empty_and_odd_sized)
{
	static const uint64_t odd[] = { 1, 511, 513, (1 << 20) + 1 };
	struct blk_config c;

	image_make(&file, 0, false);
	c = config(file.path);
	expect_refused(&c, -EINVAL, "empty");
	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++) {
		ck_assert_int_eq(ftruncate(file.fd, (off_t)odd[i]), 0);
		expect_refused(&c, -EINVAL, "multiple of 512");
		ck_assert_uint_eq(image_size(&file), odd[i]);
	}
	ck_assert_int_eq(ftruncate(file.fd, 4096 + 512), 0);
	ck_assert_int_eq(try_open(&c), 0);
	image_close(&image);
	c.blk_size = 4096;
	expect_refused(&c, -EINVAL, "multiple of blk-size");
	image_remove(&file);
}
END_TEST

/* The file is in /tmp, where the other user may look it up. */
START_TEST(host_no_permission)
{
	char path[] = "/tmp/image.XXXXXX";
	int fd = mkstemp(path);
	struct blk_config c = config(path);

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_eq(fchmod(fd, 0444), 0);
	if (!getuid())
		ck_assert_int_eq(seteuid(65534), 0);
	expect_refused(&c, -EACCES, "writing");
	c.readonly = true;
	ck_assert_int_eq(try_open(&c), 0);
	image_close(&image);

	if (!getuid())
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(fchmod(fd, 0), 0);
	if (!getuid())
		ck_assert_int_eq(seteuid(65534), 0);
	expect_refused(&c, -EACCES, "denied");
	if (!getuid())
		ck_assert_int_eq(seteuid(0), 0);
	unlink(path);
	close(fd);
}
END_TEST

/* ---- locks ---- */

START_TEST(second_vm_on_the_same_image)
{
	struct blk_config writer, reader;
	struct image first;

	image_make(&file, 4096, false);
	writer = reader = config(file.path);
	reader.readonly = true;

	ck_assert_int_eq(try_open(&writer), 0);
	first = image;
	expect_refused(&writer, -EBUSY, "in use");
	expect_refused(&reader, -EBUSY, "in use");
	image_close(&first);

	ck_assert_int_eq(try_open(&reader), 0);
	first = image;
	expect_refused(&writer, -EBUSY, "in use");
	ck_assert_int_eq(try_open(&reader), 0);
	image_close(&image);
	/*
	 * The lock belongs to the open file description: closing another one in the same process
	 * keeps it.
	 */
	expect_refused(&writer, -EBUSY, "in use");
	image_close(&first);
	ck_assert_int_eq(try_open(&writer), 0);
	image_close(&image);
	image_remove(&file);
}
END_TEST

/*
 * The image was registered with an io_uring, which the kernel releases some 40 ms after the kill.
 */
START_TEST(killed_vm_left_its_image_locked)
{
	int ready[2];
	char byte;

	image_make(&file, 4096, false);
	for (unsigned int i = 0; i < 3; i++) {
		struct blk_config c = config(file.path);
		pid_t child;

		ck_assert_int_eq(pipe(ready), 0);
		child = fork();
		if (!child) {
			struct evloop loop;

			if (!try_open(&c) && !evloop_init(&loop, EVLOOP_URING))
				evloop_register_file(&loop, image.fd);
			if (write(ready[1], "", 1) == 1)
				pause();
			_exit(1);
		}
		ck_assert_int_eq(read(ready[0], &byte, 1), 1);
		expect_refused(&c, -EBUSY, "in use");
		ck_assert_int_eq(kill(child, SIGKILL), 0);
		ck_assert_int_eq(waitpid(child, NULL, 0), child);
		ck_assert_int_eq(try_open(&c), 0);
		image_close(&image);
		close(ready[0]);
		close(ready[1]);
	}
	image_remove(&file);
}
END_TEST

/* ---- O_DIRECT ---- */

START_TEST(direct_off_on_and_auto)
{
	static char buffer[16384] __attribute__((aligned(8192)));
	struct blk_config c;

	image_make(&file, 64 << 10, true);
	c = config(file.path);
	c.direct = BLK_DIRECT_OFF;
	ck_assert_int_eq(try_open(&c), 0);
	ck_assert_uint_eq(image.direct_align, 1);
	ck_assert_int_eq(fcntl(image.fd, F_GETFL) & O_DIRECT, 0);
	image_close(&image);

	c.direct = BLK_DIRECT_AUTO;
	ck_assert_int_eq(try_open(&c), 0);
	ck_assert_int_eq(!!(fcntl(image.fd, F_GETFL) & O_DIRECT), image.direct_align > 1);
	ck_assert_int_eq(image.direct_align > 1, file.align == 512);
	/* The reported alignment must be enough for address, length and offset. */
	uint32_t align = image.direct_align;
	ck_assert_int_eq(pread(image.fd, buffer + align, align, align), align);
	ck_assert(image_is_fresh(buffer + align, align, align));
	ck_assert_int_eq(pwrite(image.fd, buffer + align, align, align), align);
	image_close(&image);

	c.direct = BLK_DIRECT_ON;
	if (file.align == 512) {
		ck_assert_int_eq(try_open(&c), 0);
		ck_assert_uint_eq(image.direct_align, align);
		image_close(&image);
	} else {
		expect_refused(&c, -EINVAL, "direct=on");
	}
	image_remove(&file);
}
END_TEST

/* On a file system without O_DIRECT the page cache is used, unless the user requires O_DIRECT. */
START_TEST(direct_on_a_file_system_without_it)
{
	char path[64];
	struct blk_config c;
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	c = config(path);
	ck_assert_int_eq(try_open(&c), 0);
	if (image.direct_align == 1) {
		ck_assert_int_eq(fcntl(image.fd, F_GETFL) & O_DIRECT, 0);
		image_close(&image);
		c.direct = BLK_DIRECT_ON;
		expect_refused(&c, -EINVAL, "direct=on");
	} else {
		image_close(&image); /* newer kernels support O_DIRECT here */
	}
	close(fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image");
	TCase *t = tcase_create("image");

	tcase_add_table_test(t, image_in_another_format_is_raw, foreign);
	tcase_add_test(t, image_is_opened_and_measured);
	tcase_add_test(t, read_only_image_is_open_read_only);
	tcase_add_test(t, row39_another_formats_header_means_nothing);
	tcase_add_test(t, host_missing_file_is_not_created);
	tcase_add_test(t, host_directory_fifo_and_device);
	tcase_add_test(t, host_symbolic_links);
	tcase_add_test(t, host_empty_and_odd_sized);
	tcase_add_test(t, host_no_permission);
	tcase_add_test(t, second_vm_on_the_same_image);
	tcase_add_test(t, killed_vm_left_its_image_locked);
	tcase_add_test(t, direct_off_on_and_auto);
	tcase_add_test(t, direct_on_a_file_system_without_it);
	suite_add_tcase(s, t);
	return s;
}
