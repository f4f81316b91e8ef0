/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the sandbox's layers below seccomp: each layer in a process of its own. A layer that the
 * host does not provide is skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/lib/cases.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"
#include "tests/unit/child_rig.h"
#include "vmm/sandbox/spawner.h"
#include "vmm/sandbox/layers.h"

/* ---- Landlock ---- */

static void landlocked(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	int before = open("/dev/null", O_RDWR | O_CLOEXEC);

	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SKIP_IF(abi < 1);
	NEED(sandbox_landlock(0) == 0);
	NEED(fails_with(open("/etc/passwd", O_RDONLY), EACCES));
	NEED(fails_with(open("/", O_RDONLY | O_DIRECTORY), EACCES));
	NEED(fails_with(open("/dev/null", O_WRONLY), EACCES));
	NEED(fails_with(mkdir("/tmp/new", 0700), EACCES));
	NEED(write(before, "x", 1) == 1);
	if (abi >= 4)
		NEED(fails_with(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to,
					sizeof(to)),
				EACCES));
	if (abi >= 6)
		NEED(fails_with(kill(getppid(), 0), EPERM));
}

/* Everything that a snapshot does is possible below its directory, and nowhere else. */
static void snapshots(void)
{
	char inside[] = "/tmp/microvm-XXXXXX", outside[] = "/tmp/microvm-XXXXXX";
	int dir, other, fd;

	NEED(mkdtemp(inside) && mkdtemp(outside));
	dir = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	other = open(outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	NEED(dir >= 0 && other >= 0 && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SKIP_IF(syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1);
	NEED(sandbox_landlock(dir) == 0);
	NEED(!mkdirat(dir, "new", 0700));
	fd = openat(dir, "new/memory", O_WRONLY | O_CREAT | O_EXCL, 0600);
	NEED(fd >= 0 && write(fd, "x", 1) == 1 && !ftruncate(fd, 4096) && !fsync(fd));
	NEED(fails_with(openat(dir, "new/memory", O_RDONLY), EACCES));
	NEED(!fsync(openat(dir, "new", O_RDONLY | O_DIRECTORY)));
	NEED(!renameat(dir, "new", dir, "name"));
	NEED(!unlinkat(dir, "name/memory", 0) && !unlinkat(dir, "name", AT_REMOVEDIR));
	NEED(fails_with(mkdirat(other, "new", 0700), EACCES));
	NEED(fails_with(openat(other, "file", O_WRONLY | O_CREAT, 0600), EACCES));
}

static void removing(void)
{
	char a[] = "/tmp/microvm-XXXXXX", b[] = "/tmp/microvm-XXXXXX";
	int inside, outside, status;

	NEED(mkdtemp(a) && mkdtemp(b));
	inside = open(a, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	outside = open(b, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	NEED(openat(inside, "x", O_CREAT | O_CLOEXEC, 0600) >= 0);
	NEED(openat(outside, "x", O_CREAT | O_CLOEXEC, 0600) >= 0);
	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	/* The parent stays outside of Landlock, to remove the files. */
	if (!fork()) {
		NEED(sandbox_landlock_removing((const int[SANDBOX_DIRS]){ -1, -1, inside }) == 0);
		NEED(kill(getppid(), 0) == 0);
		NEED(fails_with(unlinkat(outside, "x", 0), EACCES));
		NEED(fails_with(openat(inside, "x", O_RDONLY), EACCES));
		NEED(!unlinkat(inside, "x", 0));
		_exit(0);
	}
	NEED(wait(&status) > 0);
	unlinkat(inside, "x", 0);
	unlinkat(outside, "x", 0);
	rmdir(a);
	rmdir(b);
	_exit(WEXITSTATUS(status));
}

START_TEST(landlock_lets_a_supervisor_remove_files_and_signal)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1)
		in_child(removing);
}
END_TEST

START_TEST(landlock_forbids_paths_and_network)
{
	in_child(landlocked);
	in_child(snapshots);
}
END_TEST

/* ---- namespaces and users ---- */

static char refusal[REFUSAL_MAX];

static ino_t space(int self_fd, const char *name)
{
	struct stat st;

	NEED(fstatat(self_fd, name, &st, 0) == 0);
	return st.st_ino;
}

static void see_no_rights(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2];

	NEED(!syscall(SYS_capget, &header, have));
	NEED(!have[0].effective && !have[0].permitted && !have[1].effective);
}

static void isolated(void)
{
	static const char *const names[] = { "ns/user", "ns/mnt", "ns/net", "ns/ipc" };
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ino_t before[4];
	int err;

	for (unsigned int i = 0; i < 4; i++)
		before[i] = space(self, names[i]);
	NEED(sandbox_isolate(NULL, &err, refusal) == 0);
	see_no_rights();
	SKIP_IF(err);
	for (unsigned int i = 0; i < 4; i++)
		NEED(space(self, names[i]) != before[i]);
	NEED(fails_with(open("/etc/passwd", O_RDONLY), ENOENT));
	NEED(fails_with(open("/../etc/passwd", O_RDONLY), ENOENT));
	NEED(fails_with(open("/proc/self/status", O_RDONLY), ENOENT));
	NEED(fails_with(open("/new", O_WRONLY | O_CREAT, 0600), EROFS));
	NEED(fails_with(chroot("/"), EPERM));
}

START_TEST(namespaces_show_an_empty_root)
{
	in_child(isolated);
}
END_TEST

/* This thread ends when sandbox_isolate waits for it, which the wrapped nanosleep detects. */
static int exit_pipe[2] = { -1, -1 };

int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	if (exit_pipe[1] >= 0)
		close(exit_pipe[1]);
	exit_pipe[1] = -1;
	return __real_nanosleep(time, left);
}

static void *exit_late(void *arg)
{
	char byte;

	NEED(read(exit_pipe[0], &byte, 1) == 0);
	return arg;
}

static void isolated_beside_a_thread(void)
{
	pthread_t thread;
	int status, err;
	pid_t child = fork();

	NEED(child >= 0);
	if (!child)
		_exit(sandbox_isolate(NULL, &err, refusal) || err);
	NEED(waitpid(child, &status, 0) == child);
	SKIP_IF(status != 0);
	NEED(!pipe(exit_pipe));
	NEED(!pthread_create(&thread, NULL, exit_late, NULL));
	NEED(sandbox_isolate(NULL, &err, refusal) == 0);
	NEED(err == 0);
}

START_TEST(exiting_thread_does_not_prevent_namespaces)
{
	in_child(isolated_beside_a_thread);
}
END_TEST

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

static const char *const refusing[] = {
	"user.max_user_namespaces is 0",
	"user.max_mnt_namespaces is 0",
	"user.max_net_namespaces is 0",
	"user.max_ipc_namespaces is 0",
};
static int refused;

/* A user namespace has limits of its own. The test lowers one of them. */
static void limited(const char *sentence)
{
	char map[32], path[64], name[32];
	gid_t group = getegid();

	SKIP_IF(sscanf(sentence, "user.%31s", name) != 1);
	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	SKIP_IF(unshare(CLONE_NEWUSER) || !put("/proc/self/uid_map", map));
	/* Without a mapping of the group id, no namespace can be created at all. */
	snprintf(map, sizeof(map), "0 %u 1", group);
	SKIP_IF(!put("/proc/self/setgroups", "deny") || !put("/proc/self/gid_map", map));
	snprintf(path, sizeof(path), "/proc/sys/user/%s", name);
	SKIP_IF(!put(path, "0\n"));
}

static void isolated_where_there_are_none(void)
{
	int err;

	limited(refusing[refused]);
	NEED(sandbox_isolate(NULL, &err, refusal) == 0);
	NEED(err == -ENOSPC);
	NEED(!strcmp(refusal, refusing[refused]));
}

START_TEST(zero_limit_of_namespaces_is_named)
{
	refused = _i;
	in_child(isolated_where_there_are_none);
}
END_TEST

static void no_pid_namespaces(void)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	limited("user.max_pid_namespaces is 0");
	sandbox_refusal(self, true, -ENOSPC, refusal);
	NEED(!strcmp(refusal, "user.max_pid_namespaces is 0"));
	/* The other namespaces do not depend on this limit, and other errors have other reasons. */
	sandbox_refusal(self, false, -ENOSPC, refusal);
	NEED(!strcmp(refusal, "a limit user.max_*_namespaces is reached"));
	sandbox_refusal(self, true, -EPERM, refusal);
	NEED(!strcmp(refusal, strerror(EPERM)));
	/* Without /proc only the error itself is known. */
	sandbox_refusal(-1, true, -EINVAL, refusal);
	NEED(!strcmp(refusal, strerror(EINVAL)));
}

START_TEST(zero_limit_of_process_id_namespaces_is_named)
{
	in_child(no_pid_namespaces);
}
END_TEST

static void other_user(void)
{
	const struct sandbox_user user = { .uid = 4321, .gid = 8765 };
	uid_t r, e, s;
	int err;

	SKIP_IF(geteuid() != 0);
	NEED(!setgroups(1, &(gid_t){ 12 }));
	NEED(sandbox_isolate(&user, &err, refusal) == 0);
	NEED(!getresuid(&r, &e, &s) && r == 4321 && e == 4321 && s == 4321);
	NEED(!getresgid(&r, &e, &s) && r == 8765 && e == 8765 && s == 8765);
	NEED(getgroups(0, NULL) == 0);
	NEED(setuid(0) < 0 && setgid(0) < 0);
	see_no_rights();
	/* A file that is readable for everyone does not exist in the new root. */
	NEED(fails_with(open("/etc/passwd", O_RDONLY), ENOENT));
}

START_TEST(user_change_is_permanent)
{
	in_child(other_user);
}
END_TEST

START_TEST(users_by_name_and_number)
{
	struct sandbox_user user;
	const char *why;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(sandbox_find_user(&user, "nobody", &why), 0);
	ck_assert_uint_eq(user.uid, 65534);
	ck_assert_int_eq(sandbox_find_user(&user, "nobody:12", &why), 0);
	ck_assert_uint_eq(user.gid, 12);
	ck_assert_int_eq(sandbox_find_user(&user, "1234567:root", &why), 0);
	ck_assert_uint_eq(user.uid, 1234567);
	ck_assert_uint_eq(user.gid, 0);

	static const char *const wrong[] = { "root",	     "0",	"0:5",
					     "1234567",	     "nobody:", "nobody:no-such",
					     "no-such",	     ":5",	"4294967295:1",
					     "1:4294967296", "-1:1" };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_msg(sandbox_find_user(&user, wrong[i], &why) == -EINVAL, "%s", wrong[i]);
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

/* ---- spawner ---- */

static pthread_t ran_on;

static int work(void *arg)
{
	ran_on = pthread_self();
	return *(int *)arg;
}

static void *caller(void *spawner)
{
	for (int i = 0; i < 100; i++)
		if (spawner_run(spawner, work, &i) != i)
			return spawner;
	return NULL;
}

START_TEST(spawner_works_for_several_threads)
{
	struct spawner *spawner;
	pthread_t thread[4];
	void *wrong;

	ck_assert_int_eq(spawner_start(&spawner), 0);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, caller, spawner), 0);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(thread[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
	for (unsigned int i = 0; i < 4; i++)
		ck_assert(!pthread_equal(ran_on, thread[i]));
	spawner_stop(spawner);
	spawner_stop(NULL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("sandbox_layers");
	TCase *t = tcase_create("layers");

	tcase_add_test(t, spawner_works_for_several_threads);
	tcase_add_test(t, users_by_name_and_number);
	/* Sanitizers open files and create threads. */
	if (!SANITIZED) {
		tcase_add_test(t, landlock_forbids_paths_and_network);
		tcase_add_test(t, landlock_lets_a_supervisor_remove_files_and_signal);
		tcase_add_test(t, namespaces_show_an_empty_root);
		tcase_add_test(t, exiting_thread_does_not_prevent_namespaces);
		tcase_add_names_test(t, zero_limit_of_namespaces_is_named, refusing);
		tcase_add_test(t, zero_limit_of_process_id_namespaces_is_named);
		tcase_add_test(t, user_change_is_permanent);
	}
	suite_add_tcase(s, t);
	return s;
}
