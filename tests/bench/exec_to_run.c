/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exec_to_run PROGRAM [ARG...]: measures the time from exec to the first KVM_RUN of a monitor, and
 * its resident memory at that moment.
 *
 * The program starts with a seccomp filter that reports one system call only, ioctl(KVM_RUN), to
 * this process, so that nothing else is slowed down. (A tracer would stop each new thread.) Prints
 *   run_us=N cpu_us=N rss_kib=N
 * cpu_us is the CPU time of all threads of the process that runs the vCPU, which may have a
 * supervisor; rss_kib leaves out its largest mapping, guest RAM. Then the program is killed. Exit
 * code 1, with a message on standard error, if the program ends without KVM_RUN.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define RETURN(value)	    BPF_STMT(BPF_RET | BPF_K, (value))

static double us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what)
{
	fprintf(stderr, "exec_to_run: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Times that the child writes just before exec, in microseconds; shared with the parent. */
struct began {
	double at;
	double cpu;
};

static void start(char **argv, int parent, struct began *began)
{
	struct sock_filter filter[] = {
		LOAD(nr),
		UNLESS(SYS_ioctl, 3),
		LOAD(args[1]),
		UNLESS((unsigned int)KVM_RUN, 1),
		RETURN(SECCOMP_RET_USER_NOTIF),
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };
	char byte;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		fail("prctl");
	/* The listener has close-on-exec set, so that exec closes it. */
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			  &program);
	if (fd < 0)
		fail("seccomp");
	/* The parent duplicates the descriptor and sends a byte to confirm it. */
	if (write(parent, &fd, sizeof(fd)) != sizeof(fd) || read(parent, &byte, 1) != 1)
		fail("socketpair");
	began->cpu = us(CLOCK_PROCESS_CPUTIME_ID);
	began->at = us(CLOCK_MONOTONIC);
	execv(argv[0], argv);
	fail(argv[0]);
}

/* Returns the resident memory outside the largest mapping, in KiB. */
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

/* Duplicates the child's seccomp notification descriptor into this process. */
static int take_over(pid_t child, int socket)
{
	int process = (int)syscall(SYS_pidfd_open, child, 0);
	long number;
	int fd;

	if (process < 0 || read(socket, &number, sizeof(number)) != sizeof(number))
		fail("no word from the child");
	fd = (int)syscall(SYS_pidfd_getfd, process, (int)number, 0);
	if (fd < 0 || write(socket, "", 1) != 1)
		fail("pidfd_getfd");
	close(process);
	return fd;
}

/* Returns the process of the thread whose KVM_RUN is reported; the thread continues to wait. */
static pid_t notifying_process(int fd)
{
	struct seccomp_notif ask = { 0 };
	char line[128], path[64];
	pid_t process = 0;

	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &ask))
		fail("SECCOMP_IOCTL_NOTIF_RECV");
	snprintf(path, sizeof(path), "/proc/%u/status", ask.pid);
	FILE *f = fopen(path, "r");
	if (!f)
		fail(path);
	while (!process && fgets(line, sizeof(line), f))
		sscanf(line, "Tgid: %d", &process);
	fclose(f);
	return process;
}

/* Kills the process and waits for its end, after which its file locks are released. */
static void end_process(pid_t process)
{
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, process, 0), .events = POLLIN };

	kill(process, SIGKILL);
	if (ended.fd >= 0)
		poll(&ended, 1, -1);
}

int main(int argc, char **argv)
{
	struct began *began = mmap(NULL, sizeof(*began), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pollfd asked = { .events = POLLIN };
	int pair[2];

	if (argc < 2) {
		fprintf(stderr, "usage: exec_to_run PROGRAM [ARG...]\n");
		return 1;
	}
	if (began == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		fail("socketpair");
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (!child)
		start(argv + 1, pair[1], began);
	close(pair[1]);
	asked.fd = take_over(child, pair[0]);

	/* The kernel reports a hang-up when no process with the filter is left. */
	while (poll(&asked, 1, -1) < 0 && errno == EINTR)
		;
	double end = us(CLOCK_MONOTONIC);
	bool runs = asked.revents & POLLIN;
	pid_t process = runs ? notifying_process(asked.fd) : child;
	clockid_t cpu = CLOCK_PROCESS_CPUTIME_ID;

	/* The CPU time before exec is subtracted; a process forked later has none of it. */
	if (runs && clock_getcpuclockid(process, &cpu) == 0)
		printf("run_us=%.0f cpu_us=%.0f rss_kib=%ld\n", end - began->at,
		       us(cpu) - (process == child ? began->cpu : 0), resident_kib(process));
	else
		fprintf(stderr, "exec_to_run: %s ended before it ran a vCPU\n", argv[1]);
	if (process != child)
		end_process(process);
	end_process(child);
	waitpid(child, NULL, 0);
	return !runs;
}
