/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rules: table of the system calls that each kind of thread may use.
 *
 * compile.c compiles the table to BPF when the program is built, so the program spends no time on
 * that at start. The filters apply once the process has entered the sandbox.
 *
 * Every row, except those of the supervisor, is in the filter of the whole process, which is
 * installed first and is the only one of the spawner and the jobs thread. `kinds` selects the
 * narrower filters that have the row, too. Linux 5.11 and later keep a bitmap of calls that are
 * allowed without conditions and do not run the filter for them. Older kernels check the rows in
 * their order, so frequent calls come first.
 *
 * A call without a row kills the process (SIGSYS). A few calls fail with an errno instead: a C
 * library may try them, and uses another call if they fail.
 */
#ifndef VMM_SANDBOX_SECCOMP_RULES_H
#define VMM_SANDBOX_SECCOMP_RULES_H

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
#define URING	   (1u << 2) /* dataplane threads, one kind per I/O engine */
#define LIBAIO	   (1u << 3)
#define SYNC	   (1u << 4)
#define WORKER	   (1u << 5)
#define SUPERVISOR (1u << 6) /* not a thread: the supervisor process (supervisor.h) */
#define EXPORT	   (1u << 7) /* main thread of microvm-blk, which serves the front end */
#define SPAWNER	   (1u << 8) /* spawner and jobs threads: they keep the filter of the process */
#define SNAPSHOT   (1u << 9) /* the jobs thread of microvm, which takes snapshots */
#define EPOLL	   (LIBAIO | SYNC)
#define PLANES	   (URING | EPOLL)
#define BLOCKS	   (PLANES | WORKER) /* threads that execute discard and write zeroes */
#define ALL	   (MAIN | VCPU | BLOCKS | EXPORT)
#define MICROVM	   (MAIN | VCPU | BLOCKS | SPAWNER | SNAPSHOT) /* the processes of the two programs */
#define BACK_END   (EXPORT | BLOCKS | SPAWNER)

/* Placeholder for the process's own PID, which is inserted when the filter is loaded. */
#define OWN_PID 0x5eccb0d1u
#define VM_PID	0x5eccb0d2u /* placeholder for the VM's PID, in the supervisor's filter */

/* O_DIRECTORY of the architecture that the filter is for: the generator is compiled for the build
 * machine, whose headers may have another value. */
#ifdef FILTER_ARCH_aarch64
#define FILTER_O_DIRECTORY 040000
#else
#define FILTER_O_DIRECTORY 0200000
#endif

#define RULE_CONDITIONS 2

struct rule {
	unsigned int kinds;
	const char *call; /* name; an architecture without it skips the row */
	int error;	  /* 0: the call is allowed; else the errno with which it fails */
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
#define REFUSE_IF(kinds, call, error, one) { kinds, call, error, 1, { one } }
/* clang-format on */

/* Flags that a call of clone must have, and flags that it must not have: the call may create a
 * thread, but no process and no namespace. */
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define OTHER_FLAGS                                                                     \
	(CLONE_VFORK | CLONE_PARENT | CLONE_PTRACE | CLONE_UNTRACED | CLONE_NEWNS |     \
	 CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
	 CLONE_NEWNET)

/* Bits of io_uring_register's operation; bit 31 only says how the ring is named. */
#define REGISTER(kinds, operation) \
	CALL_IF(kinds, "io_uring_register", ARG_BITS(1, 0x7fffffff, operation))

/* Reading a part of KVM's state, by the number of the ioctl: its size depends on the architecture. */
#define KVM_GET(number) CALL_IF(SNAPSHOT, "ioctl", ARG_BITS(1, 0xffff, (KVMIO << 8 | (number))))

static const struct rule rules[] = {
	CALL_IF(VCPU, "ioctl", ARG_IS(1, KVM_RUN)),
	CALL(URING, "io_uring_enter"),
	CALL(LIBAIO, "io_submit"),
	CALL(LIBAIO, "io_getevents"),
	CALL(EPOLL, "epoll_wait"),
	CALL(EPOLL, "epoll_pwait"),
	CALL(EPOLL, "epoll_ctl"),
	CALL(BLOCKS, "preadv"),
	CALL(PLANES, "pwritev2"),
	CALL(PLANES, "pwritev"), /* used by a C library when pwritev2 is missing */
	CALL(ALL, "write"),
	CALL(ALL, "futex"),
	CALL(MAIN | EXPORT, "poll"),
	CALL(MAIN | EXPORT, "ppoll"),
	CALL(MAIN | EXPORT, "read"),
	/* send(2), which has no destination address: replies and events of the control socket, the
	 * clients of the console, a standard output that is a socket, and the service manager. */
	CALL_IF(MAIN | EXPORT, "sendto", ARG_IS(4, 0)),

	/* Messages of a vhost-user front end and their descriptors. */
	CALL(EXPORT, "recvmsg"),
	CALL(EXPORT, "sendmsg"),
	CALL(EXPORT, "dup3"),
	CALL(EXPORT, "fstat"),
	CALL_IF2(EXPORT, "fcntl", ARG_IS(1, F_SETFL), ARG_IS(2, O_NONBLOCK)),
	CALL(EXPORT, "timerfd_settime"),
	/* The memory that mirrors requests in flight. */
	CALL(EXPORT, "memfd_create"),

	/* The control socket. */
	CALL(MAIN | EXPORT, "accept4"),
	CALL(MAIN | EXPORT, "recvfrom"),

	/* Resize of an image, run by the jobs thread. */
	CALL(SPAWNER, "ftruncate"),
	CALL(SPAWNER | EXPORT, "newfstatat"),
	CALL(MAIN, "newfstatat"), /* the size of an ephemeral disk's file */
	/* Notification of kvm-clock when a vCPU resumes after a pause (arch_vcpu_resumed). */
	CALL_IF(VCPU, "ioctl", ARG_IS(1, KVM_KVMCLOCK_CTRL)),
	/* The address at which a guest has crashed (arch_vcpu_pc): on x86, and on aarch64. */
	CALL_IF(VCPU, "ioctl", ARG_IS(1, KVM_GET_REGS)),
	CALL_IF(VCPU, "ioctl", ARG_IS(1, KVM_GET_ONE_REG)),

	/* Disks. Only FALLOC_FL_KEEP_SIZE is allowed, so that a guest cannot make a file grow. */
	CALL(ALL, "fdatasync"),
	CALL_IF(BLOCKS, "fallocate", ARG_BITS(1, 1, 1)), /* FALLOC_FL_KEEP_SIZE */
	CALL_IF(BLOCKS, "ioctl", ARG_IS(1, BLKDISCARD)),
	CALL(BLOCKS, "lseek"),
	CALL(BLOCKS, "pwrite64"),
	CALL(PLANES, "timerfd_settime"), /* timer of a throttled disk */
	CALL_IF2(PLANES, "sched_setscheduler", ARG_IS(0, 0), ARG_IS(1, SCHED_OTHER)),
	CALL_IF2(PLANES, "sched_setscheduler", ARG_IS(0, 0), ARG_IS(1, SCHED_BATCH)),
	REGISTER(URING, IORING_REGISTER_FILES_UPDATE),
	REGISTER(URING, IORING_REGISTER_ENABLE_RINGS),
	REGISTER(URING, IORING_REGISTER_RING_FDS),

	/* Memory that is not executable. */
	CALL_IF(ALL, "mmap", ARG_BITS(2, PROT_EXEC, 0)),
	CALL_IF(ALL, "mprotect", ARG_BITS(2, PROT_EXEC, 0)),
	CALL(ALL, "munmap"),
	CALL(ALL, "madvise"),
	CALL(ALL, "brk"),
	REFUSE(ALL, "mremap", ENOMEM), /* realloc of a large block then copies it */

	/* Threads: the spawner starts the dataplane threads, which start their worker threads. */
	CALL_IF(PLANES, "clone", ARG_BITS(0, THREAD_FLAGS | OTHER_FLAGS, THREAD_FLAGS)),
	REFUSE(PLANES, "clone3", ENOSYS), /* its flags are in memory; libc then tries clone */
	CALL(PLANES, "set_robust_list"),
	CALL(PLANES, "rseq"),
	CALL_IF(PLANES, "seccomp", ARG_IS(0, SECCOMP_SET_MODE_FILTER)),
	CALL_IF(SPAWNER, "rt_sigaction", ARG_IS(0, __SIGRTMIN + 1)), /* first pthread_create */
	CALL(SPAWNER, "sched_setaffinity"),
	CALL(SPAWNER, "sched_getscheduler"),

	/* Rings and AIO contexts: the spawner creates them, and the main thread destroys them. */
	CALL(SPAWNER, "io_uring_setup"),
	CALL(SPAWNER, "io_setup"),
	CALL(SPAWNER, "epoll_create1"),
	CALL(SPAWNER | EXPORT, "eventfd2"),
	CALL(SPAWNER, "timerfd_create"),
	REGISTER(SPAWNER, IORING_REGISTER_FILES2),
	REGISTER(SPAWNER, IORING_REGISTER_RESTRICTIONS),
	REGISTER(MAIN | EXPORT, IORING_UNREGISTER_RING_FDS),
	CALL(MAIN | EXPORT, "io_destroy"),
	CALL(MAIN | EXPORT, "close"),

	/* Exit and crash handlers: a handler restores the terminal and raises the signal again. */
	CALL(ALL, "exit"),
	CALL(MAIN | EXPORT, "exit_group"),
	CALL(ALL, "rt_sigreturn"),
	CALL(ALL, "rt_sigprocmask"),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGSEGV)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGBUS)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGILL)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGFPE)),
	CALL_IF(ALL, "rt_sigaction", ARG_IS(0, SIGABRT)),
	CALL_IF(ALL, "tgkill", ARG_IS(0, OWN_PID)),
	CALL_IF(ALL, "ioctl", ARG_IS(1, TCSETS)),
	CALL_IF(ALL, "ioctl", ARG_IS(1, TCGETS)), /* tcsetattr checks its result by TCGETS */
	CALL(ALL, "writev"),

	/* Harmless calls that the C library or the kernel itself makes. */
	CALL(ALL, "getpid"),
	CALL(ALL, "gettid"),
	CALL(ALL, "clock_gettime"),
	CALL(ALL, "sched_yield"),
	CALL(ALL, "sched_getaffinity"), /* malloc, with many threads */
	CALL(ALL, "restart_syscall"),
	/* The C library opens files to read them; a snapshot's rows are for other flags. */
	REFUSE_IF(ALL, "openat", EACCES, ARG_BITS(2, O_CREAT | FILTER_O_DIRECTORY, 0)),
	REFUSE(ALL, "prctl", EPERM),

	/*
	 * A snapshot, taken by the jobs thread: files are created, and directories opened to sync
	 * them. Landlock and the empty root confine all this to --snapshot-dir.
	 */
	CALL_IF(SNAPSHOT, "openat", ARG_BITS(2, O_CREAT, O_CREAT)),
	CALL_IF(SNAPSHOT, "openat", ARG_BITS(2, O_CREAT | FILTER_O_DIRECTORY, FILTER_O_DIRECTORY)),
	CALL(SNAPSHOT, "mkdirat"),
	CALL(SNAPSHOT, "renameat2"),
	CALL(SNAPSHOT, "unlinkat"),
	CALL(SNAPSHOT, "fsync"),
	CALL(SNAPSHOT, "pread64"), /* /proc/self/pagemap */
	CALL(SNAPSHOT, "copy_file_range"),
	CALL_IF(SNAPSHOT, "ioctl", ARG_IS(1, FICLONE)),
	KVM_GET(0x98), /* KVM_GET_MP_STATE */
	KVM_GET(0x81), /* KVM_GET_REGS */
	KVM_GET(0x83), /* KVM_GET_SREGS */
	KVM_GET(0xa4), /* KVM_GET_XSAVE */
	KVM_GET(0xcf), /* KVM_GET_XSAVE2 */
	KVM_GET(0xa6), /* KVM_GET_XCRS */
	KVM_GET(0xa1), /* KVM_GET_DEBUGREGS */
	KVM_GET(0x8e), /* KVM_GET_LAPIC */
	KVM_GET(0x88), /* KVM_GET_MSRS */
	KVM_GET(0xa3), /* KVM_GET_TSC_KHZ */
	KVM_GET(0x91), /* KVM_GET_CPUID2 */
	KVM_GET(0x9f), /* KVM_GET_PIT2, KVM_GET_VCPU_EVENTS */
	KVM_GET(0x7c), /* KVM_GET_CLOCK */
	KVM_GET(0x62), /* KVM_GET_IRQCHIP */

	/* The supervisor waits for its VM, forwards signals, and exits with the VM's status. */
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
	CALL(SUPERVISOR, "getuid"), /* sigqueue fills in the sender's user ID */
	CALL(SUPERVISOR, "clock_gettime"),
	CALL(SUPERVISOR, "restart_syscall"),
	CALL(SUPERVISOR, "close"),
	CALL(SUPERVISOR, "exit_group"),
	/* The C library allocates and writes a message before it aborts on an error. */
	CALL(SUPERVISOR, "writev"),
	CALL_IF(SUPERVISOR, "mmap", ARG_BITS(2, PROT_EXEC, 0)),
	CALL_IF(SUPERVISOR, "mprotect", ARG_BITS(2, PROT_EXEC, 0)),
	CALL(SUPERVISOR, "munmap"),
	CALL(SUPERVISOR, "madvise"),
	CALL(SUPERVISOR, "brk"),
	REFUSE(SUPERVISOR, "mremap", ENOMEM),
	/* The supervisor removes the VM's pidfile and control socket (runfile.h). */
	CALL_IF(SUPERVISOR, "openat", ARG_BITS(2, O_PATH, O_PATH)),
	CALL(SUPERVISOR, "newfstatat"),
	CALL(SUPERVISOR, "fstat"),
	CALL(SUPERVISOR, "flock"),
	CALL_IF(SUPERVISOR, "unlinkat", ARG_IS(2, 0)),
};

static const struct {
	const char *name;
	unsigned int kinds; /* the filter has all rows of one of these */
} filters[] = {
	{ "process", MICROVM }, { "main", MAIN },
	{ "vcpu", VCPU },	{ "io_uring", URING },
	{ "libaio", LIBAIO },	{ "sync", SYNC },
	{ "worker", WORKER },	{ "supervisor", SUPERVISOR },
	{ "export", EXPORT },	{ "back_end", BACK_END },
};

#endif
