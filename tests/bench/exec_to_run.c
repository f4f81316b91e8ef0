/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exec_to_run PROGRAM [ARG...]: how long from exec to the first KVM_RUN, and what is resident then.
 *
 * Starts the program under ptrace with a seccomp filter that stops it at one system call only,
 * ioctl(KVM_RUN), so that nothing else it does is slowed down. Prints
 *   run_us=N rss_kib=N
 * where rss_kib leaves out the largest mapping, guest RAM; then ends the program. Exit 1 with a line
 * on standard error when it never gets there.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define RETURN(value)	    BPF_STMT(BPF_RET | BPF_K, (value))

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what)
{
	fprintf(stderr, "exec_to_run: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void start(char **argv)
{
	struct sock_filter filter[] = {
		LOAD(nr),
		UNLESS(SYS_ioctl, 3),
		LOAD(args[1]),
		UNLESS((unsigned int)KVM_RUN, 1),
		RETURN(SECCOMP_RET_TRACE),
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	if (ptrace(PTRACE_TRACEME, 0, 0, 0) || raise(SIGSTOP))
		fail("ptrace");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		fail("seccomp");
	execv(argv[0], argv);
	fail(argv[0]);
}

/* KiB resident outside the largest mapping. */
static long resident_kib(pid_t pid)
{
	long size = 0, largest = 0, of_largest = 0, sum = 0, value;
	char line[512], path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		fail(path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Size: %ld", &value) == 1)
			size = value;
		if (sscanf(line, "Rss: %ld", &value) != 1)
			continue;
		sum += value;
		if (size > largest) {
			largest = size;
			of_largest = value;
		}
	}
	fclose(f);
	return sum - of_largest;
}

int main(int argc, char **argv)
{
	double begin = 0;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: exec_to_run PROGRAM [ARG...]\n");
		return 1;
	}
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (!child)
		start(argv + 1);
	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		fail("waitpid");
	if (ptrace(PTRACE_SETOPTIONS, child, 0,
		   PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE |
			   PTRACE_O_TRACESECCOMP))
		fail("ptrace options");
	ptrace(PTRACE_CONT, child, 0, 0);

	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);
		int deliver = 0;

		if (pid < 0)
			fail("waitpid");
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid != child)
				continue;
			fprintf(stderr, "exec_to_run: %s ended before it ran a vCPU\n", argv[1]);
			return 1;
		}
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			begin = now_us();
		} else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
			double end = now_us();

			printf("run_us=%.0f rss_kib=%ld\n", end - begin, resident_kib(child));
			kill(child, SIGKILL);
			/* Only then are its locks gone. */
			while (waitpid(-1, &status, __WALL) > 0)
				;
			return 0;
		} else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
			deliver = WSTOPSIG(status);
		}
		ptrace(PTRACE_CONT, pid, 0, deliver);
	}
}
