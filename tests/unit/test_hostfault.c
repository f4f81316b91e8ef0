/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a whole disk on real faults of the host, with every engine: a full file system, an image
 * that is truncated, removed, renamed or opened again, and signals at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"
#include "tests/unit/small_fs_rig.h"

static struct disk d;
static struct mockdrv *const m = &d.m;
static bool over; /* atomic */

enum { IN = VIRTIO_BLK_T_IN, OUT = VIRTIO_BLK_T_OUT, FLUSH = VIRTIO_BLK_T_FLUSH };
enum { OK = VIRTIO_BLK_S_OK, IOERR = VIRTIO_BLK_S_IOERR };

static struct mock_blk req; /* the last request */

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len)
{
	uint32_t used;
	uint8_t status;

	if (m->heap > MOCK_LOW + MOCK_LOW_SIZE / 2)
		reg_bring_up(&d.mmio, m, ROWS_RING, DISK_FEATURES);
	status = disk_do(&d, type, sector, len, &req, &used);
	must(used == (type == IN ? (status == OK ? len + 1 : 0) : 1));
	return status;
}

static bool reads(int byte)
{
	return all_bytes(mock_ptr(m, req.data), byte, req.len);
}

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static pthread_t begin_thread(void *(*run)(void *))
{
	pthread_t thread;

	__atomic_store_n(&over, false, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	return thread;
}

static void end_thread(pthread_t thread)
{
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* ---- full file system ---- */

static char small_path[300];

/* Opens a disk over a sparse image on the small file system, and fills up the rest of it. */
static bool begin_full(int way)
{
	rows_init(&d, way);
	if (!mount_small(d.image.path))
		return false;
	snprintf(small_path, sizeof(small_path), "%s/image", mount_point);
	int fd = open(small_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && !ftruncate(fd, DISK_BYTES));
	snprintf(small_path, sizeof(small_path), "%s/ballast", mount_point);
	ballast = open(small_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	must(ballast >= 0);
	must(pwrite(fd, small_path, 1, 0) == 1); /* allocates the first page */
	close(fd);
	fill_up();
	snprintf(small_path, sizeof(small_path), "%s/image", mount_point);
	d.config.path = small_path;
	disk_open(&d);
	reg_bring_up(&d.mmio, m, ROWS_RING, DISK_FEATURES);
	return true;
}

static uint64_t small_size(void)
{
	struct stat st;

	must(!stat(small_path, &st));
	return (uint64_t)st.st_size;
}

/* Where mount is not permitted, test_blkplane_io.c tests a full disk by a file size limit. */
START_TEST(host_file_system_is_full_on_every_engine)
{
	if (!begin_full(_i)) {
		fprintf(stderr, "skip: no file system of its own: %s\n", strerror(errno));
		disk_fini(&d);
		return;
	}
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_uint_eq(request(OUT, 64 + i, 512), IOERR);
		ck_assert_uint_eq(request(OUT, 64, 64 << 10), IOERR);
		ck_assert_uint_eq(request(IN, 64, 4096), OK);
		ck_assert(reads(0));
		/* A page that is allocated can be written. */
		ck_assert_uint_eq(request(OUT, 0, 4096), OK);
		ck_assert_uint_eq(request(FLUSH, 0, 0), OK);
	}
	/*
	 * There is room for a part of the request only: the write fails, and other data stays
	 * unchanged.
	 */
	ck_assert_int_eq(ftruncate(ballast, lseek(ballast, 0, SEEK_END) - 2 * 4096), 0);
	ck_assert_uint_eq(request(OUT, 128, 64 << 10), IOERR);
	ck_assert_uint_eq(request(IN, 512, 4096), OK);
	ck_assert(reads(0));
	fill_up();

	/* There is free space again. */
	ck_assert_int_eq(ftruncate(ballast, 0), 0);
	ck_assert_uint_eq(request(OUT, 64, 64 << 10), OK);
	ck_assert_uint_eq(request(FLUSH, 0, 0), OK);
	ck_assert_uint_eq(request(IN, 64, 64 << 10), OK);
	ck_assert(reads(0xee));
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	ck_assert_uint_eq(small_size(), DISK_BYTES);
	ck_assert_int_eq(disk_close(&d), 0);
	unmount_small();
	disk_fini(&d);
}
END_TEST

/* ---- truncated image ---- */

/*
 * A read behind the end returns zeros. A write there succeeds, and the file becomes only as large
 * as the write needs, never larger than the disk.
 */
START_TEST(host_image_truncated_then_written_on_every_engine)
{
	static const uint32_t sizes[] = { 512 << 10, 65536 + 512, 4096 + 1, 0 };
	static uint8_t bytes[4096];

	rows_begin(&d, _i);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert_int_eq(ftruncate(d.image.fd, sizes[i]), 0);
		ck_assert_uint_eq(request(IN, DISK_BYTES / 512 - 8, 4096), OK);
		ck_assert(reads(0));
		ck_assert_uint_eq(request(OUT, DISK_BYTES / 512, 512), IOERR);
		ck_assert_uint_eq(request(OUT, DISK_BYTES / 512 - 7, 4096), IOERR);
		ck_assert_uint_eq(request(FLUSH, 0, 0), OK);
		ck_assert_uint_eq(image_size(&d.image), sizes[i]);

		ck_assert_uint_eq(request(OUT, 1536, 4096), OK);
		ck_assert_uint_eq(image_size(&d.image), 1536 * 512 + 4096);
		image_peek(&d.image, bytes, 1536 * 512, 4096);
		ck_assert(all_bytes(bytes, 0xee, 4096));
		ck_assert_uint_eq(request(IN, 1528, 4096), OK);
		ck_assert(reads(0));
		ck_assert_uint_eq(request(OUT, DISK_BYTES / 512 - 8, 4096), OK);
		ck_assert_uint_eq(image_size(&d.image), DISK_BYTES);
	}
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	disk_fini(&d);
}
END_TEST

static void *truncate_often(void *arg)
{
	for (uint32_t i = 1; !is_over(); i++) {
		/*
		 * Truncates to whole blocks, because the contents of a partial block depend on the
		 * file system.
		 */
		must(!ftruncate(d.image.fd, (i * 2654435761u) % (DISK_BYTES / 4096) * 4096));
		mock_pester();
	}
	return arg;
}

/* Each word is the original one, a written one, or 0. */
static bool reads_no_rubbish(uint64_t sector)
{
	const uint64_t *word = mock_ptr(m, req.data);

	for (uint32_t i = 0; i < req.len / 8; i++)
		if (word[i] && word[i] != 0xeeeeeeeeeeeeeeee &&
		    !image_is_fresh(&word[i], sector * 512 + i * 8, 8))
			return false;
	return true;
}

START_TEST(host_image_truncated_all_the_time_on_every_engine)
{
	rows_begin(&d, _i);
	pthread_t thread = begin_thread(truncate_often);
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t sector = i * 97 % 240 * 8;

		ck_assert_uint_eq(request(IN, sector, 16384), OK);
		must(reads_no_rubbish(sector));
		ck_assert_uint_eq(request(OUT, sector, 4096), OK);
		must(image_size(&d.image) <= DISK_BYTES);
	}
	end_thread(thread);
	ck_assert_uint_eq(request(OUT, DISK_BYTES / 512, 512), IOERR);
	ck_assert_uint_le(image_size(&d.image), DISK_BYTES);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	disk_fini(&d);
}
END_TEST

/* ---- moved image ---- */

static void expect_in_file(const char *path, uint64_t offset, int byte)
{
	static uint8_t bytes[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	must(fd >= 0 && pread(fd, bytes, sizeof(bytes), (off_t)offset) == sizeof(bytes));
	close(fd);
	ck_assert(byte < 0 ? image_is_fresh(bytes, offset, sizeof(bytes))
			   : all_bytes(bytes, byte, sizeof(bytes)));
}

START_TEST(host_image_renamed_replaced_and_removed_on_every_engine)
{
	struct test_image other;
	char moved[300];

	rows_begin(&d, _i);
	snprintf(moved, sizeof(moved), "%s.moved", d.image.path);
	ck_assert_int_eq(rename(d.image.path, moved), 0);
	ck_assert_uint_eq(request(OUT, 16, 4096), OK);
	expect_in_file(moved, 16 * 512, 0xee);

	/* The disk ignores another file at the path, also after a reset. */
	image_make(&other, DISK_BYTES, false);
	ck_assert_int_eq(rename(other.path, d.image.path), 0);
	reg_bring_up(&d.mmio, m, ROWS_RING, DISK_FEATURES);
	ck_assert_uint_eq(request(OUT, 32, 4096), OK);
	expect_in_file(d.image.path, 32 * 512, -1);
	expect_in_file(moved, 32 * 512, 0xee);

	ck_assert_int_eq(unlink(moved), 0);
	ck_assert_uint_eq(request(OUT, 48, 4096), OK);
	ck_assert_uint_eq(request(IN, 48, 4096), OK);
	ck_assert(reads(0xee));
	ck_assert_uint_eq(request(FLUSH, 0, 0), OK);
	ck_assert_int_eq(disk_close(&d), 0);
	close(other.fd);
	disk_fini(&d);
}
END_TEST

/* The OFD lock refuses writers and readers, also while requests are in flight and after resets. */
START_TEST(second_opener_while_the_disk_runs_on_every_engine)
{
	struct blk_config second;
	struct blk *other;
	const char *why;

	rows_begin(&d, _i);
	second = d.config;
	for (unsigned int i = 0; i < 8; i++) {
		second.readonly = i % 2;
		ck_assert_int_eq(blk_create(&other, &second, 1, &m->hostmem, &why), -EBUSY);
		ck_assert_ptr_nonnull(strstr(why, "in use"));
		ck_assert_uint_eq(request(IN, i, 4096), OK);
		reg_bring_up(&d.mmio, m, ROWS_RING, DISK_FEATURES);
	}
	ck_assert_int_eq(disk_close(&d), 0);
	ck_assert_int_eq(blk_create(&other, &second, 1, &m->hostmem, &why), 0);
	ck_assert_int_eq(blk_destroy(other), 0);
	disk_fini(&d);
}
END_TEST

/* ---- signals ---- */

static unsigned int signals; /* atomic; number of signals handled */

static void on_signal(int number)
{
	(void)number;
	__atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
}

/*
 * Sends signals to the process. The test's threads block them, so that the dataplane thread handles
 * them. Each one is sent after the previous one was handled; otherwise the thread could make no
 * progress on a busy machine.
 */
static void *send_signals(void *arg)
{
	unsigned int sent = 0;

	while (!is_over()) {
		if (__atomic_load_n(&signals, __ATOMIC_RELAXED) == sent) {
			kill(getpid(), SIGUSR1);
			sent++;
		}
		sched_yield();
	}
	return arg;
}

static void hold_signal(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(how, &set, NULL);
}

/* The signal is unblocked while the dataplane thread is created, which inherits the mask. */
static void bring_up_for_signals(void)
{
	reg_set_status(&d.mmio, 0);
	mock_ring(m, ROWS_RING, false, false);
	ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES));
	ck_assert(reg_queue(&d.mmio, &m->ring));
	hold_signal(SIG_UNBLOCK);
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	hold_signal(SIG_BLOCK);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
}

START_TEST(host_signals_at_any_moment_on_every_engine)
{
	struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART */
	unsigned int lives = 0;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	hold_signal(SIG_BLOCK);
	rows_init(&d, _i);
	disk_open(&d);
	pthread_t thread = begin_thread(send_signals);
	/*
	 * The loop goes on until enough signals were handled, which may take long on a busy
	 * machine.
	 */
	for (; lives < 100 || __atomic_load_n(&signals, __ATOMIC_RELAXED) < 200; lives++) {
		unsigned int at = lives % 16;

		bring_up_for_signals();
		ck_assert_uint_eq(request(IN, 8 + at, 65536), OK);
		must(image_is_fresh(mock_ptr(m, req.data), (8 + at) * 512, 65536));
		ck_assert_uint_eq(request(OUT, 1024 + at, 32768), OK);
		if (lives % 16 == 0)
			ck_assert_uint_eq(request(FLUSH, 0, 0), OK);
	}
	end_thread(thread);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("hostfault");
	TCase *t = tcase_create("hostfault");
	const int n = engine_ways();

	tcase_add_named_test(t, host_file_system_is_full_on_every_engine, n, engine_way_name);
	tcase_add_named_test(t, host_image_truncated_then_written_on_every_engine, n,
			     engine_way_name);
	tcase_add_named_test(t, host_image_truncated_all_the_time_on_every_engine, n,
			     engine_way_name);
	tcase_add_named_test(t, host_image_renamed_replaced_and_removed_on_every_engine, n,
			     engine_way_name);
	tcase_add_named_test(t, second_opener_while_the_disk_runs_on_every_engine, n,
			     engine_way_name);
	tcase_add_named_test(t, host_signals_at_any_moment_on_every_engine, n, engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
