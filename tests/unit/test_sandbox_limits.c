/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the sandbox's resource limits, in a process of its own for each test. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"
#include "tests/unit/child_rig.h"
#include "vmm/sandbox/layers.h"

static void few_files(void)
{
	int own = open("/dev/null", O_RDWR | O_CLOEXEC);
	int inherited = dup2(own, 50);
	struct rlimit limit;

	NEED(own > 2 && inherited == 50);
	NEED(sandbox_limit_fds(7, false) == 0);
	NEED(fcntl(own, F_GETFD) >= 0);
	NEED(fails_with(fcntl(inherited, F_GETFD), EBADF));
	NEED(fcntl(2, F_GETFD) >= 0);
	NEED(!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_max == 128 && limit.rlim_cur == 128);
}

/* The soft limit is raised as far as necessary, and no descriptor is closed. */
static void soft_limit(void)
{
	struct rlimit limit = { .rlim_cur = 60, .rlim_max = 1000 };
	int inherited;

	/* Closes descriptors that the test inherited. */
	NEED(!close_range(3, ~0u, 0));
	inherited = dup2(STDERR_FILENO, 50);
	NEED(!setrlimit(RLIMIT_NOFILE, &limit));
	NEED(sandbox_limit_fds(200, true) == 0);
	NEED(!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_max == 1000 && limit.rlim_cur == 251);
	NEED(fcntl(inherited, F_GETFD) >= 0);
	NEED(sandbox_limit_fds(200, false) == 0);
	NEED(!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_max <= 251 &&
	     limit.rlim_cur == limit.rlim_max);
}

START_TEST(soft_limit_on_descriptors_is_raised)
{
	in_child(soft_limit);
}
END_TEST

/* Returns how many descriptors can still be opened. */
static unsigned int room_for_fds(void)
{
	unsigned int n = 0;

	while (fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) >= 0)
		n++;
	return n;
}

/*
 * Finds the lowest sufficient limit: there is room for exactly the requested number of descriptors.
 * Each lower limit is refused.
 */
static void hard_limit(void)
{
	struct rlimit limit = { 0, 0 };
	int err = -EMFILE;

	NEED(!close_range(3, ~0u, 0));
	for (rlim_t n = 20; err == -EMFILE; n++) {
		pid_t pid = fork();
		int status;

		limit.rlim_cur = limit.rlim_max = n;
		if (!pid) {
			NEED(!setrlimit(RLIMIT_NOFILE, &limit));
			err = sandbox_limit_fds(30, false);
			NEED(err || room_for_fds() == 30);
			_exit(-err);
		}
		NEED(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		NEED(WEXITSTATUS(status) != 1 && n < 128);
		err = -WEXITSTATUS(status);
	}
	NEED(!err && limit.rlim_max > 30);
}

START_TEST(hard_limit_on_descriptors_that_is_too_low_is_refused)
{
	in_child(hard_limit);
}
END_TEST

START_TEST(inherited_files_are_closed)
{
	in_child(few_files);
}
END_TEST

static void whole(void)
{
	const struct sandbox_config config = { .mode = SANDBOX_LOG };
	struct rlimit limit;

	NEED(sandbox_enter(&config) == 0);
	NEED(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || errno == EPERM);
	NEED(!getrlimit(RLIMIT_CORE, &limit) && limit.rlim_max == 0);
	NEED(open("/etc/passwd", O_RDONLY) < 0);
}

START_TEST(no_core_dumps_unless_asked_for)
{
	in_child(whole);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("sandbox_limits");
	TCase *t = tcase_create("limits");

	/* Sanitizers open files and create threads. */
	if (!SANITIZED) {
		tcase_add_test(t, inherited_files_are_closed);
		tcase_add_test(t, soft_limit_on_descriptors_is_raised);
		tcase_add_test(t, hard_limit_on_descriptors_that_is_too_low_is_refused);
		tcase_add_test(t, no_core_dumps_unless_asked_for);
	}
	suite_add_tcase(s, t);
	return s;
}
