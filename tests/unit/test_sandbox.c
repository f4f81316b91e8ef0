/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of forbidden actions of each kind of thread, by a thread of that kind in a sandboxed
 * process. (Guests test that all other actions still work.)
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "tests/lib/cases.h"
#include "tests/lib/jail.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

/* ---- attempts: each returns the result of a system call ---- */

static void *page; /* one readable and writable page */
static int file_fd, socket_fd, tty_fd;
static struct termios modes;

/* The system call is made directly, because the C library may make another one first. */
#define TRY(name, ...)                             \
	static long name(void)                     \
	{                                          \
		return syscall(SYS_##__VA_ARGS__); \
	}

static struct sockaddr_in address;
static struct io_uring_params params;
static uint64_t clone_args[11] = { [4] = SIGCHLD };

TRY(try_execve, execve, "/bin/true", NULL, NULL)
TRY(try_fork, clone, SIGCHLD, 0, 0, 0, 0)
TRY(try_vfork_like, clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0)
TRY(try_new_namespace, clone,
    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET, 0, 0, 0, 0)
TRY(try_clone3, clone3, clone_args, sizeof(clone_args))
TRY(try_open, openat, AT_FDCWD, "/etc/passwd", O_RDONLY)
TRY(try_unlink, unlinkat, AT_FDCWD, "x", 0)
TRY(try_create, openat, AT_FDCWD, "x", O_WRONLY | O_CREAT, 0600)
TRY(try_directory, openat, AT_FDCWD, "/etc", O_RDONLY | O_DIRECTORY)
TRY(try_mkdir, mkdirat, AT_FDCWD, "x", 0700)
TRY(try_socket, socket, AF_INET, SOCK_STREAM, 0)
TRY(try_unix_socket, socket, AF_UNIX, SOCK_STREAM, 0)
TRY(try_connect, connect, socket_fd, &address, sizeof(address))
TRY(try_send_elsewhere, sendto, socket_fd, page, 1, 0, &address, sizeof(address))
TRY(try_ptrace, ptrace, 0, 0, 0, 0)
TRY(try_read_process, process_vm_readv, 1, page, 0, page, 0, 0)
TRY(try_kill, kill, getppid(), 0)
TRY(try_kill_thread, tgkill, 1, 1, 0)
TRY(try_mount, mount, "none", "/", "tmpfs", 0, NULL)
TRY(try_unshare, unshare, CLONE_NEWUSER)
TRY(try_setns, setns, 0, 0)
TRY(try_setuid, setuid, 0)
TRY(try_bpf, bpf, 0, NULL, 0)
TRY(try_kexec, kexec_load, 0, 0, NULL, 0)
TRY(try_module, init_module, page, 0, "")
TRY(try_perf, perf_event_open, NULL, 0, 0, -1, 0)
TRY(try_userfaultfd, userfaultfd, 0)
TRY(try_keyctl, keyctl, 0, 0)
TRY(try_executable_map, mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
TRY(try_executable_page, mprotect, page, 4096, PROT_READ | PROT_EXEC)
TRY(try_prctl, prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
TRY(try_limit, prlimit64, 0, RLIMIT_CORE, NULL, NULL)
TRY(try_truncate, ftruncate, file_fd, 1 << 20)
TRY(try_grow, fallocate, file_fd, 0, 0, 1 << 20)
TRY(try_new_vcpu, ioctl, file_fd, KVM_CREATE_VCPU, 0)
TRY(try_type_ahead, ioctl, 0, TIOCSTI, "x")
TRY(try_clone_range, ioctl, file_fd, FICLONE, file_fd)
TRY(try_run, ioctl, file_fd, KVM_RUN, 0)
TRY(try_discard, ioctl, file_fd, BLKDISCARD, page)
TRY(try_ring, io_uring_setup, 1, &params)
TRY(try_ring_enter, io_uring_enter, file_fd, 0, 0, 0, NULL, 0)
TRY(try_ring_personality, io_uring_register, file_fd, IORING_REGISTER_PERSONALITY, NULL, 0)
TRY(try_ring_buffers, io_uring_register, file_fd, IORING_REGISTER_BUFFERS, NULL, 0)
TRY(try_submit, io_submit, 0, 0, NULL)
TRY(try_filter, seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL)
TRY(try_priority, sched_setscheduler, 0, SCHED_FIFO, page)
TRY(try_read, read, file_fd, page, 1)
TRY(try_write, write, file_fd, page, 1)
TRY(try_getppid, getppid)

static long try_restore(void)
{
	return tcsetattr(tty_fd, TCSANOW, &modes);
}

/* `lives` are the kinds of threads that survive the call, with `error` (0: any result). */
static const struct {
	const char *name;
	long (*run)(void);
	unsigned int lives;
	int error;
} tries[] = {
	{ "execve", try_execve, 0, 0 },
	{ "fork", try_fork, 0, 0 },
	{ "a process that shares memory", try_vfork_like, 0, 0 },
	{ "a thread in a new namespace", try_new_namespace, 0, 0 },
	{ "clone3", try_clone3, JAIL_THREADS, ENOSYS },
	{ "open", try_open, JAIL_EVERYONE, EACCES },
	/* Snapshots; Landlock and the empty root leave only their directory. */
	{ "unlink", try_unlink, JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "creating a file", try_create, JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "opening a directory", try_directory, JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "mkdir", try_mkdir, JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "socket", try_socket, 0, 0 },
	{ "Unix socket", try_unix_socket, 0, 0 },
	{ "connect", try_connect, 0, 0 },
	{ "sendto with an address", try_send_elsewhere, 0, 0 },
	{ "ptrace", try_ptrace, 0, 0 },
	{ "process_vm_readv", try_read_process, 0, 0 },
	{ "kill", try_kill, 0, 0 },
	{ "tgkill of another process", try_kill_thread, 0, 0 },
	{ "mount", try_mount, 0, 0 },
	{ "unshare", try_unshare, 0, 0 },
	{ "setns", try_setns, 0, 0 },
	{ "setuid", try_setuid, 0, 0 },
	{ "bpf", try_bpf, 0, 0 },
	{ "kexec", try_kexec, 0, 0 },
	{ "init_module", try_module, 0, 0 },
	{ "perf_event_open", try_perf, 0, 0 },
	{ "userfaultfd", try_userfaultfd, 0, 0 },
	{ "keyctl", try_keyctl, 0, 0 },
	{ "mmap of executable memory", try_executable_map, 0, 0 },
	{ "mprotect to executable memory", try_executable_page, 0, 0 },
	{ "prctl", try_prctl, JAIL_EVERYONE, EPERM },
	{ "prlimit", try_limit, 0, 0 },
	{ "ftruncate", try_truncate, JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "fallocate that makes a file grow", try_grow, 0, 0 },
	{ "KVM_CREATE_VCPU", try_new_vcpu, 0, 0 },
	{ "TIOCSTI", try_type_ahead, 0, 0 },
	{ "FICLONE", try_clone_range, JAIL_KIND(JAIL_SPAWNER), EOPNOTSUPP },
	{ "KVM_RUN", try_run, JAIL_KIND(SANDBOX_VCPU) | JAIL_KIND(JAIL_SPAWNER), ENOTTY },
	{ "BLKDISCARD", try_discard, JAIL_THREADS | JAIL_KIND(SANDBOX_WORKER), ENOTTY },
	{ "io_uring_setup", try_ring, JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "io_uring_enter", try_ring_enter, JAIL_KIND(SANDBOX_URING) | JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "io_uring's personalities", try_ring_personality, 0, 0 },
	{ "io_uring's buffers", try_ring_buffers, 0, 0 },
	{ "io_submit", try_submit, JAIL_KIND(SANDBOX_LIBAIO) | JAIL_KIND(JAIL_SPAWNER), EINVAL },
	{ "seccomp", try_filter, JAIL_THREADS, EFAULT },
	{ "SCHED_FIFO", try_priority, 0, 0 },
	{ "read", try_read,
	  JAIL_KIND(SANDBOX_MAIN) | JAIL_KIND(SANDBOX_EXPORT) | JAIL_KIND(JAIL_SPAWNER), 0 },
	{ "write", try_write, JAIL_EVERYONE, 0 },
	/* Any thread may crash, and its handler restores the terminal. */
	{ "tcsetattr", try_restore, JAIL_EVERYONE, 0 },
};

static void open_files(void)
{
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	file_fd = memfd_create("file", MFD_CLOEXEC);
	socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (openpty(&(int){ 0 }, &tty_fd, NULL, NULL, NULL) || tcgetattr(tty_fd, &modes))
		_exit(252);
	fcntl(tty_fd, F_SETFD, FD_CLOEXEC);
}

static int attempt(enum sandbox_mode mode, enum sandbox_kind kind, long (*run)(void))
{
	return jail_attempt(mode, kind, open_files, run);
}

START_TEST(forbidden_calls_end_the_process)
{
	enum sandbox_kind kind = (enum sandbox_kind)_i;

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		int got = attempt(SANDBOX_ON, kind, tries[i].run);
		bool lives = tries[i].lives & JAIL_KIND(kind);

		ck_assert_msg((got == JAIL_KILLED) == !lives, "%s by %s: %d", tries[i].name,
			      jail_kind_name[kind], got);
		ck_assert_msg(!lives || !tries[i].error || got == tries[i].error, "%s by %s: %s",
			      tries[i].name, jail_kind_name[kind], strerror(got));
	}
}
END_TEST

START_TEST(log_mode_permits_the_call)
{
	ck_assert_int_eq(attempt(SANDBOX_ON, SANDBOX_VCPU, try_getppid), JAIL_KILLED);
	ck_assert_int_eq(attempt(SANDBOX_LOG, SANDBOX_VCPU, try_getppid), 0);
	ck_assert_int_eq(attempt(SANDBOX_OFF, SANDBOX_VCPU, try_socket), 0);
}
END_TEST

/* ---- calls that threads need ---- */

/* A C library with an arena per thread reads the number of CPUs when there are many threads. */
static void *allocate(void *arg)
{
	void *small, *large;

	(void)arg;
	if (thread_init(sandbox_thread(SANDBOX_VCPU)))
		return "not entered";
	small = malloc(1000);
	large = malloc(1 << 20);
	free(small);
	free(large);
	return small && large ? NULL : "no memory";
}

static long allocate_in_many(void)
{
	pthread_t thread[64];
	void *why;
	long result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		if (pthread_create(&thread[i], NULL, allocate, NULL))
			return -1;
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
		pthread_join(thread[i], &why);
		result |= why ? -1 : 0;
	}
	return result;
}

START_TEST(many_threads_allocate)
{
	ck_assert_int_eq(attempt(SANDBOX_ON, JAIL_SPAWNER, allocate_in_many), 0);
}
END_TEST

START_TEST(crash_has_its_own_signal)
{
	ck_assert_int_eq(attempt(SANDBOX_ON, SANDBOX_VCPU, (long (*)(void))abort), -SIGABRT);
}
END_TEST

static const char *kind_name(int i)
{
	return jail_kind_name[i];
}

Suite *test_suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *t = tcase_create("sandbox");

	/* Sanitizers need more system calls than the filters permit. */
	if (!SANITIZED) {
		tcase_add_named_test(t, forbidden_calls_end_the_process, JAIL_KINDS, kind_name);
		tcase_add_test(t, log_mode_permits_the_call);
		tcase_add_test(t, many_threads_allocate);
		tcase_add_test(t, crash_has_its_own_signal);
	}
	suite_add_tcase(s, t);
	return s;
}
