/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a host that limits this process when a driver starts the device: descriptors, address
 * space, threads, locked memory, asynchronous I/O. With real limits and every engine, the device
 * starts or sets NEEDS_RESET, and starts after a reset without the limit; nothing leaks.
 * (aio-max-nr is global, so the tests do not exhaust it: a seccomp filter returns its error.)
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/refuse.h"
#include "tests/lib/rows.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

static struct disk d;
static struct mockdrv *const m = &d.m;

static void set_limit(int what, rlim_t value)
{
	struct rlimit limit;

	must(!getrlimit((__rlimit_resource_t)what, &limit));
	limit.rlim_cur = value;
	must(!setrlimit((__rlimit_resource_t)what, &limit));
}

static rlim_t get_limit(int what)
{
	struct rlimit limit;

	must(!getrlimit((__rlimit_resource_t)what, &limit));
	return limit.rlim_cur;
}

/* Resets the device, and brings it to the last step before DRIVER_OK. */
static void get_ready(void)
{
	reg_set_status(&d.mmio, 0);
	mock_ring(m, ROWS_RING, false, false);
	must(reg_negotiate(&d.mmio, DISK_FEATURES));
	must(reg_queue(&d.mmio, &m->ring));
	mock_irqs(m);
}

static rlim_t address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	must(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Returns how much of a resource is in use already. */
static rlim_t in_use(int what)
{
	int lowest;

	if (what == RLIMIT_AS)
		return address_space();
	if (what != RLIMIT_NOFILE)
		return 0;
	lowest = dup(0);
	must(lowest >= 0);
	close(lowest);
	return (rlim_t)lowest;
}

/* Sets DRIVER_OK with `spare` units left of a resource. True: the device runs. Between the two
 * limits, nothing else may be called. */
static bool start_with(int what, rlim_t spare)
{
	rlim_t before = get_limit(what), limit = in_use(what) + spare;

	set_limit(what, limit);
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	set_limit(what, before);
	if (reg_status(&d.mmio) == ST_DRIVER_OK)
		return true;
	must(reg_status(&d.mmio) == (ST_DRIVER_OK | ST_NEEDS_RESET));
	must(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS) == IRQLINE_CONFIG);
	must(mock_wait_irq(m) == 1);
	return false;
}

/* Checks that the disk works. */
static void expect_disk(void)
{
	struct mock_blk req;

	must(disk_do(&d, VIRTIO_BLK_T_IN, 8, 4096, &req, NULL) == VIRTIO_BLK_S_OK);
	must(image_is_fresh(mock_ptr(m, req.data), 8 * 512, 4096));
	must(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, NULL) == VIRTIO_BLK_S_OK);
}

/*
 * Starts a new disk with a limited resource. It must run at once, or after a reset without the
 * limit, and leak nothing. True: it ran at once.
 */
static bool try_limit(int way, int what, rlim_t spare)
{
	unsigned int fds, threads;
	bool ran;

	rows_init(&d, way);
	fds = count_fds();
	threads = count_threads();
	disk_open(&d);
	get_ready();
	ran = start_with(what, spare);
	if (ran)
		expect_disk();
	else
		reg_set(&d.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0); /* has no effect */
	rows_recover(&d, ROWS_RING, DISK_FEATURES);
	expect_disk();
	must(disk_close(&d) == 0);
	must(count_fds() == fds);
	/* The thread sanitizer may have started a thread of its own. */
	mock_wait_until(count_threads() <= threads + 1);
	disk_fini(&d);
	return ran;
}

/* The number of descriptors left is 0, 1, 2, until it is enough. */
START_TEST(host_out_of_descriptors_on_every_engine)
{
	unsigned int spare = 0;

	while (!try_limit(_i, RLIMIT_NOFILE, spare))
		ck_assert_uint_lt(++spare, 16);
	/* The event loop needs at least two. */
	ck_assert_uint_ge(spare, 2);
}
END_TEST

/* Sanitizers reserve more address space than any limit, and end the process without it. */
START_TEST(host_out_of_address_space_on_every_engine)
{
	rlim_t spare = 0;

	if (SANITIZED) {
		fprintf(stderr, "skip: RLIMIT_AS, with a sanitizer\n");
		return;
	}
	ck_assert(!try_limit(_i, RLIMIT_AS, spare));
	for (spare = 64 << 10; spare <= 64 << 20; spare *= 2)
		try_limit(_i, RLIMIT_AS, spare);
	ck_assert(try_limit(_i, RLIMIT_AS, spare));
}
END_TEST

START_TEST(host_locks_no_memory_on_every_engine)
{
	/* An engine that locks memory falls back, or works without. */
	ck_assert(try_limit(_i, RLIMIT_MEMLOCK, 0));
}
END_TEST

/* ---- threads ---- */

static void *nothing(void *arg)
{
	return arg;
}

/*
 * Changes the user of this thread alone, because the limit does not hold for root. The C library
 * would change all threads, so the system call is used.
 */
static bool become(unsigned int uid, unsigned int saved)
{
	return syscall(SYS_setresuid, uid, uid, saved) == 0;
}

START_TEST(host_starts_no_thread_on_every_engine)
{
	const bool root = geteuid() == 0;
	pthread_t thread;
	int err;

	rows_init(&d, _i);
	disk_open(&d);
	unsigned int fds = count_fds();
	get_ready();
	rlim_t before = get_limit(RLIMIT_NPROC);
	set_limit(RLIMIT_NPROC, 0);
	bool other = !root || become(65534, 0);
	err = pthread_create(&thread, NULL, nothing, NULL);
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	must(!root || !other || become(0, 0));
	set_limit(RLIMIT_NPROC, before);
	if (!err) {
		pthread_join(thread, NULL);
		fprintf(stderr, "skip: this user may start threads beyond RLIMIT_NPROC\n");
	} else {
		ck_assert_int_eq(err, EAGAIN);
		ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
		ck_assert_uint_eq(mock_wait_irq(m), 1);
		reg_set_status(&d.mmio, 0);
		/* The engine is kept for the next start. */
		ck_assert_uint_le(count_fds(), fds + 1);
	}
	rows_recover(&d, ROWS_RING, DISK_FEATURES);
	expect_disk();
	disk_fini(&d);
}
END_TEST

/* ---- system calls ---- */

/* Checks that a disk works on a host where io_setup fails with this error. */
static void expect_disk_without_aio(int way, int err)
{
	static const int no_aio[] = { SYS_io_setup, -1 };
	unsigned int fds;

	refuse_calls(no_aio, err);
	rows_init(&d, way);
	fds = count_fds();
	/* A second disk must work as well, after the first one has left no descriptors. */
	for (unsigned int i = 0; i < 2; i++) {
		rows_open(&d);
		expect_disk();
		must(reg_status(&d.mmio) == ST_DRIVER_OK);
		must(disk_close(&d) == 0);
		must(count_fds() == fds);
	}
	disk_fini(&d);
}

START_TEST(host_has_no_aio_context_left_on_every_engine)
{
	expect_disk_without_aio(_i, EAGAIN);
}
END_TEST

START_TEST(host_without_aio_on_every_engine)
{
	expect_disk_without_aio(_i, ENOSYS);
}
END_TEST

START_TEST(host_forbids_aio_on_every_engine)
{
	expect_disk_without_aio(_i, EPERM);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("hostfault_limits");
	TCase *t = tcase_create("hostfault_limits");
	const int n = engine_ways();

	tcase_add_named_test(t, host_out_of_descriptors_on_every_engine, n, engine_way_name);
	tcase_add_named_test(t, host_out_of_address_space_on_every_engine, n, engine_way_name);
	tcase_add_named_test(t, host_locks_no_memory_on_every_engine, n, engine_way_name);
	tcase_add_named_test(t, host_starts_no_thread_on_every_engine, n, engine_way_name);
	tcase_add_named_test(t, host_has_no_aio_context_left_on_every_engine, n, engine_way_name);
	tcase_add_named_test(t, host_without_aio_on_every_engine, n, engine_way_name);
	tcase_add_named_test(t, host_forbids_aio_on_every_engine, n, engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
