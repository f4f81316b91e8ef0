/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the supervisor of a compromised VM: which messages the VM can cause, and which system
 * calls the supervisor can make. tests/cli/supervised tests an ordinary VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "dataplane/base.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"
#include "vmm/service/supervisor.h"

#define CODE	9
#define SKIPPED 77 /* no permission to create a namespace */

/* Runs a supervisor whose VM writes `words` and ends. */
static void supervise(const char *words, const struct service *service)
{
	const struct machine_config config = { .sandbox = SANDBOX_ON };
	struct supervisor s = { 0 };
	sigset_t child;
	int ends[2];

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGPIPE, SIG_IGN);
	s.signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.signal_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		_exit(1);
	s.vm = fork();
	if (!s.vm)
		_exit(send(ends[1], words, strlen(words), MSG_NOSIGNAL) < 0 && errno != EPIPE
			      ? 1
			      : CODE);
	close(ends[1]);
	s.fd = ends[0];
	_exit(supervisor_run(&s, service, &config));
}

static void fork_and_write(const struct service *service);

/*
 * Expects these messages at the service manager. Without `words` the VM is made by supervisor_fork.
 */
static void expect_messages(const char *words, const char *wanted)
{
	struct service service = { .pid_fd = -1, .relay_fd = -1 };
	char heard[512] = "";
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	service.notify_fd = ends[1];
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid && words)
		supervise(words, &service);
	if (!pid)
		fork_and_write(&service);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "%#x", (unsigned int)status);
	if (WEXITSTATUS(status) == SKIPPED)
		return;
	ck_assert_int_eq(WEXITSTATUS(status), CODE);
	for (size_t len = 0; (n = recv(ends[0], heard + len, 100, MSG_DONTWAIT)) > 0;) {
		len += (size_t)n;
		heard[len++] = ' ';
		ck_assert_uint_lt(len, sizeof(heard) - 101);
	}
	ck_assert_str_eq(heard, wanted);
	close(ends[0]);
	close(ends[1]);
}

START_TEST(each_word_has_effect_once_and_in_order)
{
	static char flood[60000];

	expect_messages("", "");
	expect_messages("F", "");
	expect_messages("FR", "READY=1 ");
	expect_messages("FRS", "READY=1 STOPPING=1 ");
	expect_messages("R", "");
	expect_messages("S", "");
	expect_messages("FS", "");
	expect_messages("xFR", "");
	expect_messages("FxR", "");
	expect_messages("FFR", "");
	expect_messages("FRR", "READY=1 ");
	expect_messages("FRSFRSFRS", "READY=1 STOPPING=1 ");
	memset(flood, 'R', sizeof(flood) - 1);
	flood[0] = 'F';
	expect_messages(flood, "READY=1 ");
}
END_TEST

/* Forks as main does, with an uninitialized struct supervisor. */
static void fork_and_write(const struct service *service)
{
	const struct machine_config config = { .sandbox = SANDBOX_ON };
	struct supervisor s;
	int role;

	memset(&s, 0xa5, sizeof(s));
	role = supervisor_fork(&s);
	if (!role)
		_exit(write(s.fd, service_words, SERVICE_WORDS) == SERVICE_WORDS ? CODE : 1);
	_exit(role < 0 ? SKIPPED : supervisor_run(&s, service, &config));
}

START_TEST(supervisor_initializes_its_struct)
{
	expect_messages(NULL, "READY=1 STOPPING=1 ");
}
END_TEST

/*
 * Runs in the VM: writes each word, and checks that the manager has received its message by then.
 */
static void write_and_check(int relay, int manager)
{
	struct service service = { .pid_fd = -1, .notify_fd = -1, .relay_fd = relay };
	char heard[64];

	service_files(&service);
	if (recv(manager, heard, sizeof(heard), MSG_DONTWAIT) >= 0)
		_exit(3);
	service_ready(&service);
	if (recv(manager, heard, sizeof(heard), MSG_DONTWAIT) != (ssize_t)strlen("READY=1"))
		_exit(1);
	service_stopping(&service);
	_exit(recv(manager, heard, sizeof(heard), MSG_DONTWAIT) == (ssize_t)strlen("STOPPING=1")
		      ? CODE
		      : 2);
}

START_TEST(socket_of_another_vm_removed_by_a_late_supervisor)
{
	const struct machine_config config = { .sandbox = SANDBOX_ON };
	struct service service = { .pid_fd = -1, .relay_fd = -1 };
	struct supervisor s = { 0 };
	int manager[2], ends[2], status;
	sigset_t child;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, manager), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	service.notify_fd = manager[1];
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		sigemptyset(&child);
		sigaddset(&child, SIGCHLD);
		sigprocmask(SIG_BLOCK, &child, NULL);
		s.signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
		s.vm = fork();
		if (!s.vm)
			write_and_check(ends[1], manager[0]);
		close(ends[1]);
		s.fd = ends[0];
		_exit(supervisor_run(&s, &service, &config));
	}
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == CODE, "%#x",
		      (unsigned int)status);
}
END_TEST

/* ---- seccomp filter of the supervisor ---- */

static pid_t vm, stranger;

#define TRY(name, ...)                             \
	static long name(void)                     \
	{                                          \
		return syscall(SYS_##__VA_ARGS__); \
	}

TRY(try_read, read, -1, NULL, 0)
TRY(try_wait, waitid, P_PID, vm, NULL, WEXITED | WNOHANG, NULL)
TRY(try_vm, kill, vm, 0)
TRY(try_open, openat, AT_FDCWD, "/etc/passwd", O_RDONLY)
TRY(try_path, openat, AT_FDCWD, "/etc/passwd", O_PATH)
TRY(try_remove, unlinkat, AT_FDCWD, "/etc/no-such", 0)
TRY(try_rmdir, unlinkat, AT_FDCWD, "/etc/no-such", AT_REMOVEDIR)
TRY(try_execve, execve, "/bin/true", NULL, NULL)
TRY(try_fork, clone, SIGCHLD, 0, 0, 0, 0)
TRY(try_socket, socket, AF_UNIX, SOCK_STREAM, 0)
TRY(try_stranger, kill, stranger, 0)
TRY(try_everybody, kill, -1, 0)
TRY(try_group, kill, 0, 0)
TRY(try_thread, tgkill, stranger, stranger, 0)
TRY(try_queue, rt_sigqueueinfo, stranger, SIGTERM, NULL)
TRY(try_ptrace, ptrace, 0, 0, 0, 0)
TRY(try_mmap, mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
TRY(try_setuid, setuid, 0)
TRY(try_prctl, prctl, 4, 1, 0, 0, 0)

static const struct {
	const char *name;
	long (*run)(void);
	bool lives;
} tries[] = {
	{ "read", try_read, true },
	{ "waitid", try_wait, true },
	{ "kill of the VM", try_vm, true },
	{ "a path", try_path, true },
	{ "unlink", try_remove, true },
	{ "rmdir", try_rmdir, false },
	{ "open", try_open, false },
	{ "execve", try_execve, false },
	{ "fork", try_fork, false },
	{ "socket", try_socket, false },
	{ "kill of another process", try_stranger, false },
	{ "kill of all", try_everybody, false },
	{ "kill of its group", try_group, false },
	{ "tgkill of another process", try_thread, false },
	{ "rt_sigqueueinfo to another process", try_queue, false },
	{ "ptrace", try_ptrace, false },
	{ "mmap of executable memory", try_mmap, false },
	{ "setuid", try_setuid, false },
	{ "prctl", try_prctl, false },
};

static pid_t idler(void)
{
	pid_t pid = fork();

	while (!pid)
		pause();
	return pid;
}

START_TEST(supervisor_can_signal_the_vm_and_little_else)
{
	vm = idler();
	stranger = idler();
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			sandbox_supervisor(SANDBOX_ON, vm, (const int[SANDBOX_DIRS]){ -1, -1, -1 });
			tries[i].run();
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(tries[i].lives ? status == 0
					     : WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
			      "%s: %#x", tries[i].name, (unsigned int)status);
	}
	kill(vm, SIGKILL);
	kill(stranger, SIGKILL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("supervisor");
	TCase *t = tcase_create("supervisor");

	/* Sanitizers make system calls that the filter forbids. */
	if (!SANITIZED) {
		tcase_add_test(t, each_word_has_effect_once_and_in_order);
		tcase_add_test(t, supervisor_initializes_its_struct);
		tcase_add_test(t, socket_of_another_vm_removed_by_a_late_supervisor);
		tcase_add_test(t, supervisor_can_signal_the_vm_and_little_else);
	}
	suite_add_tcase(s, t);
	return s;
}
