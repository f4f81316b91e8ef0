/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of memory that a front end truncates: an access raises SIGBUS. Linked with --wrap for the
 * functions below.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
__sighandler_t __real_signal(int number, __sighandler_t handler);
__sighandler_t __wrap_signal(int number, __sighandler_t handler);
int __real_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old);

static bool no_mmap, no_sigaction;
/* Exit status of a process that restores the default action of SIGBUS. */
#define DEFAULT_ACTION 7

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (!no_mmap)
		return __real_mmap(addr, len, prot, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

/* Ends the process by exit, which writes its coverage. */
__sighandler_t __wrap_signal(int number, __sighandler_t handler)
{
	no_mmap = false;
	if (number == SIGBUS && handler == SIG_DFL)
		exit(DEFAULT_ACTION);
	return __real_signal(number, handler);
}

int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	if (!no_sigaction)
		return __real_sigaction(number, action, old);
	errno = EINVAL;
	return -1;
}

static struct vumaster v;
static struct mockdrv *const m = &v.m;

START_TEST(guard_needs_a_signal_handler)
{
	vumaster_open_default(&v);
	no_sigaction = true;
	ck_assert_int_eq(vhost_user_memory_guard(&v.memory, 0), -EINVAL);
	vumaster_fini(&v);
}
END_TEST

/* Runs in a child: reads from a file that has no bytes. */
static void fault_elsewhere(void)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	volatile char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	(void)*at;
	exit(0);
}

static void expect_default_action(void (*fault)(void))
{
	pid_t child = fork();
	int status;

	if (!child)
		fault();
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), DEFAULT_ACTION);
}

START_TEST(fault_elsewhere_ends_the_process)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	ck_assert_int_eq(vhost_user_memory_guard(&v.memory, m->irq_fd), 0);
	expect_default_action(fault_elsewhere);
	vumaster_fini(&v);
}
END_TEST

/* Runs in a child: reads from guest memory that is gone. */
static void fault_without_memory(void)
{
	no_mmap = true;
	if (ftruncate(m->memfd, 0))
		exit(1);
	(void)*(volatile char *)v.memory.mapping[1].base;
	exit(0);
}

START_TEST(lost_memory_without_a_replacement_ends_the_process)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	ck_assert_int_eq(vhost_user_memory_guard(&v.memory, m->irq_fd), 0);
	vumaster_say_state(&v, VHOST_USER_SET_VRING_ENABLE, 0, 0);
	expect_default_action(fault_without_memory);
	vhost_user_destroy(v.vu);
	ck_assert_int_eq(blk_destroy(v.blk), 0);
	image_remove(&v.image);
}
END_TEST

/* A region that was removed while a ring runs stays mapped. */
START_TEST(removed_memory_that_is_truncated_is_replaced)
{
	struct vhost_user_mem_slot slot = { .region = { 1 << 20, 4096, 1 << 20, 0 } };
	int lost = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int fd = memfd_create("extra", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	ck_assert_int_eq(vhost_user_memory_guard(&v.memory, lost), 0);
	vumaster_say(&v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &fd, 1);
	vumaster_say(&v, VHOST_USER_REM_MEM_REG, &slot, sizeof(slot), NULL, 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(*(volatile char *)v.memory.removed[0].base, 0);
	ck_assert_uint_eq(eventfd_count(lost), 1);
	vumaster_read_ok(&v, 0);
	close(fd);
	vumaster_fini(&v);
	close(lost);
}
END_TEST

START_TEST(dirty_log_that_is_truncated_is_replaced)
{
	struct vhost_user_log log = { (MOCK_TOP / MOCK_PAGE + 7) / 8, 0 };
	int lost = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)log.mmap_size), 0);
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	ck_assert_int_eq(vhost_user_memory_guard(&v.memory, lost), 0);
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_SET_LOG_BASE, 0, &log, sizeof(log), &fd, 1),
			 0);
	vumaster_receive(&v, VHOST_USER_SET_LOG_BASE, &log, sizeof(log));
	vumaster_say_u64(&v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES | 1ull << VHOST_F_LOG_ALL);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	vumaster_read_ok(&v, 0);
	ck_assert_uint_ge(eventfd_count(lost), 1);
	close(fd);
	vumaster_fini(&v);
	close(lost);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_sigbus");
	TCase *t = tcase_create("vhost_user_sigbus");

	tcase_set_timeout(t, 300);
	tcase_add_test(t, guard_needs_a_signal_handler);
	tcase_add_test(t, fault_elsewhere_ends_the_process);
	tcase_add_test(t, lost_memory_without_a_replacement_ends_the_process);
	tcase_add_test(t, removed_memory_that_is_truncated_is_replaced);
	tcase_add_test(t, dirty_log_that_is_truncated_is_replaced);
	suite_add_tcase(s, t);
	return s;
}
