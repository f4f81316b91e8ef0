/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rules: the system calls of each kind of thread, once the sandbox has been entered. Compiled into
 * BPF when the program is built (compile.c), so that a start of the program costs nothing for it.
 *
 * Every row is in the filter of the whole process, which is entered first and of which the maker of
 * threads has the use; `kinds` says which of the narrower filters have it, too. A kernel with a
 * bitmap for seccomp (Linux 5.11) asks no filter about calls without conditions. Others ask in
 * the order of the rows.
 *
 * What is not here ends the process (SIGSYS). A few calls that a C library may try, and can do
 * without, fail instead.
 */
#ifndef VMM_SECCOMP_RULES_H
#define VMM_SECCOMP_RULES_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MAIN	   (1u << 0)
#define VCPU	   (1u << 1)
#define URING	   (1u << 2) /* dataplane threads, by engine */
#define LIBAIO	   (1u << 3)
#define SYNC	   (1u << 4)
#define WORKER	   (1u << 5)
#define MAKER	   0u	     /* the process's filter only */
#define SUPERVISOR (1u << 6) /* no thread: a process of its own (supervisor.h) */
#define EPOLL	   (LIBAIO | SYNC)
#define PLANES	   (URING | EPOLL)
#define BLOCKS	   (PLANES | WORKER) /* who discards and zeroes */
#define ALL	   (MAIN | VCPU | BLOCKS)

/* Stands for the process's id, which is put in its place when the filter is loaded. */
#define OWN_PID		0x5eccb0d1u
#define VM_PID		0x5eccb0d2u /* and, for the supervisor, the VM's */

#define RULE_CONDITIONS 2

struct rule {
	unsigned int kinds;
	const char *call; /* what an architecture lacks is left out */
	int error;	  /* 0: allowed; or the errno it fails with */
	unsigned int count;
	struct scmp_arg_cmp arg[RULE_CONDITIONS]; /* all must hold */
};

/* clang-format off */
#define ARG_IS(n, value)		{ n, SCMP_CMP_EQ, value, 0 }
#define ARG_BITS(n, mask, value)	{ n, SCMP_CMP_MASKED_EQ, mask, value }

#define CALL(kinds, call)		{ kinds, call, 0, 0, { { 0 } } }
#define CALL_IF(kinds, call, one)	{ kinds, call, 0, 1, { one } }
#define CALL_IF2(kinds, call, one, two)	{ kinds, call, 0, 2, { one, two } }
#define REFUSE(kinds, call, error)	{ kinds, call, error, 0, { { 0 } } }
/* clang-format on */

/* A thread and nothing else: no process, no namespaces. */
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define OTHER_FLAGS                                                                     \
	(CLONE_VFORK | CLONE_PARENT | CLONE_PTRACE | CLONE_UNTRACED | CLONE_NEWNS |     \
	 CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
	 CLONE_NEWNET)

/* io_uring_register's operation; its upper bit only says how the ring is named. */
#define REGISTER(kinds, operation) \
	CALL_IF(kinds, "io_uring_register", ARG_BITS(1, 0x7fffffff, operation))

static const struct rule rules[] = {
	CALL_IF(VCPU, "ioctl", ARG_IS(1, KVM_RUN)),
	CALL(URING, "io_uring_enter"),
	CALL(LIBAIO, "io_submit"),
	CALL(LIBAIO, "io_getevents"),
	CALL(EPOLL, "epoll_wait"),
	CALL(EPOLL, "epoll_pwait"),
	CALL(EPOLL, "epoll_ctl"),
	CALL(PLANES, "preadv"),
	CALL(PLANES, "pwritev2"),
	CALL(PLANES, "pwritev"), /* a C library that is told there is no pwritev2 */
	CALL(ALL, "write"),
	CALL(ALL, "futex"),
	CALL(MAIN, "poll"),
	CALL(MAIN, "ppoll"),
	CALL(MAIN, "read"),
	CALL_IF(MAIN, "sendto", ARG_IS(4, 0)), /* console: standard output is a socket */

	/* The control socket. */
	CALL(MAIN, "accept4"),
	CALL(MAIN, "recvfrom"),

	/* The jobs' thread stays with the process's filter. */
	CALL(MAKER, "ftruncate"),
	CALL(MAKER, "newfstatat"),
	CALL_IF(VCPU, "ioctl", ARG_IS(1, KVM_KVMCLOCK_CTRL)),

	/* Disks. No guest makes a file grow. */
	CALL(ALL, "fdatasync"),
	CALL_IF(BLOCKS, "fallocate", ARG_BITS(1, 1, 1)), /* FALLOC_FL_KEEP_SIZE */
	CALL_IF(BLOCKS, "ioctl", ARG_IS(1, BLKDISCARD)),
	CALL(BLOCKS, "lseek"),
	CALL(BLOCKS, "pwrite64"),
	CALL(PLANES, "timerfd_settime"), /* a disk with limits waits */
	CALL_IF2(PLANES, "sched_setscheduler", ARG_IS(0, 0), ARG_IS(1, SCHED_OTHER)),
	CALL_IF2(PLANES, "sched_setscheduler", ARG_IS(0, 0), ARG_IS(1, SCHED_BATCH)),
	REGISTER(URING, IORING_REGISTER_FILES_UPDATE),
	REGISTER(URING, IORING_REGISTER_ENABLE_RINGS),
	REGISTER(URING, IORING_REGISTER_RING_FDS),

	/* Memory; none that can be executed. */
	CALL_IF(ALL, "mmap", ARG_BITS(2, PROT_EXEC, 0)),
	CALL_IF(ALL, "mprotect", ARG_BITS(2, PROT_EXEC, 0)),
	CALL(ALL, "munmap"),
	CALL(ALL, "madvise"),
	CALL(ALL, "brk"),
	REFUSE(ALL, "mremap", ENOMEM), /* realloc of a large block, which copies it then */

	/* Threads: the maker makes dataplane threads, and these their helpers. */
	CALL_IF(PLANES, "clone", ARG_BITS(0, THREAD_FLAGS | OTHER_FLAGS, THREAD_FLAGS)),
	REFUSE(PLANES, "clone3", ENOSYS), /* its flags cannot be seen; clone is tried next */
	CALL(PLANES, "set_robust_list"),
	CALL(PLANES, "rseq"),
	CALL_IF(PLANES, "seccomp", ARG_IS(0, SECCOMP_SET_MODE_FILTER)),
	CALL_IF(MAKER, "rt_sigaction", ARG_IS(0, __SIGRTMIN + 1)), /* a C library's first thread */
	CALL(MAKER, "sched_setaffinity"),
	CALL(MAKER, "sched_getscheduler"),

	/* Rings and contexts are made by the maker and taken down by the main thread. */
	CALL(MAKER, "io_uring_setup"),
	CALL(MAKER, "io_setup"),
	CALL(MAKER, "epoll_create1"),
	CALL(MAKER, "eventfd2"),
	CALL(MAKER, "timerfd_create"),
	REGISTER(MAKER, IORING_REGISTER_FILES2),
	REGISTER(MAKER, IORING_REGISTER_BUFFERS),
	REGISTER(MAKER, IORING_UNREGISTER_BUFFERS),
	REGISTER(MAKER, IORING_REGISTER_RESTRICTIONS),
	REGISTER(MAIN, IORING_UNREGISTER_RING_FDS),
	CALL(MAIN, "io_destroy"),
	CALL(MAIN, "close"),

	/* The end, and a crash: the terminal is restored, and the signal raised again. */
	CALL(ALL, "exit"),
	CALL(MAIN, "exit_group"),
	CALL(ALL, "rt_sigreturn"),
	CALL(ALL, "rt_sigprocmask"),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGSEGV)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGBUS)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGILL)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGFPE)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGABRT)),
	CALL_IF(ALL, "tgkill", ARG_IS(0, OWN_PID)),
	CALL_IF(ALL, "ioctl", ARG_IS(1, TCSETS)),
	CALL_IF(ALL, "ioctl", ARG_IS(1, TCGETS)), /* tcsetattr looks at what came of it */
	CALL(ALL, "writev"),

	/* Harmless, and a C library's or the kernel's own. */
	CALL(ALL, "getpid"),
	CALL(ALL, "gettid"),
	CALL(ALL, "clock_gettime"),
	CALL(ALL, "sched_yield"),
	CALL(ALL, "sched_getaffinity"), /* malloc, when many threads use it */
	CALL(ALL, "restart_syscall"),
	REFUSE(ALL, "openat", EACCES),
	REFUSE(ALL, "prctl", EPERM),

	/* The supervisor waits, passes on, and ends as the VM did. */
	CALL(SUPERVISOR, "poll"),
	CALL(SUPERVISOR, "ppoll"),
	CALL(SUPERVISOR, "read"),
	CALL(SUPERVISOR, "write"),
	CALL_IF(SUPERVISOR, "sendto", ARG_IS(4, 0)),
	CALL(SUPERVISOR, "waitid"),
	CALL_IF(SUPERVISOR, "kill", ARG_IS(0, VM_PID)),
	CALL_IF(SUPERVISOR, "rt_sigqueueinfo", ARG_IS(0, VM_PID)),
	CALL_IF(SUPERVISOR, "tgkill", ARG_IS(0, OWN_PID)),
	CALL(SUPERVISOR, "rt_sigprocmask"),
	CALL(SUPERVISOR, "rt_sigaction"),
	CALL(SUPERVISOR, "getpid"),
	CALL(SUPERVISOR, "gettid"),
	CALL(SUPERVISOR, "getuid"), /* sigqueue says who it is */
	CALL(SUPERVISOR, "clock_gettime"),
	CALL(SUPERVISOR, "restart_syscall"),
	CALL(SUPERVISOR, "close"),
	CALL(SUPERVISOR, "exit_group"),
	/* A C library that finds an error allocates and writes a message before it aborts. */
	CALL(SUPERVISOR, "writev"),
	CALL_IF(SUPERVISOR, "mmap", ARG_BITS(2, PROT_EXEC, 0)),
	CALL_IF(SUPERVISOR, "mprotect", ARG_BITS(2, PROT_EXEC, 0)),
	CALL(SUPERVISOR, "munmap"),
	CALL(SUPERVISOR, "madvise"),
	CALL(SUPERVISOR, "brk"),
	REFUSE(SUPERVISOR, "mremap", ENOMEM),
	/* And removes what the VM has made (runfile.h). */
	CALL_IF(SUPERVISOR, "openat", ARG_BITS(2, O_PATH, O_PATH)),
	CALL(SUPERVISOR, "newfstatat"),
	CALL(SUPERVISOR, "fstat"),
	CALL(SUPERVISOR, "flock"),
	CALL_IF(SUPERVISOR, "unlinkat", ARG_IS(2, 0)),
};

static const struct {
	const char *name;
	unsigned int kind; /* 0: all rows but the supervisor's */
} filters[] = {
	{ "process", 0 },     { "main", MAIN }, { "vcpu", VCPU },     { "io_uring", URING },
	{ "libaio", LIBAIO }, { "sync", SYNC }, { "worker", WORKER }, { "supervisor", SUPERVISOR },
};

#endif
