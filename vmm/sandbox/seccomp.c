/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp.h" /* made when this is built, see seccomp/compile.c */
#include "vmm/sandbox/layers.h"

struct filter {
	struct thread_init begin;
	struct sock_fprog program;
};

static int enter_filter(const struct thread_init *begin);

#define FILTER(array)                                                              \
	{                                                                          \
		.begin = { enter_filter }, .program = { ARRAY_SIZE(array), array } \
	}

static struct filter process = FILTER(program_process);
static struct filter supervisor = FILTER(program_supervisor);
static struct filter of_kind[SANDBOX_KINDS] = {
	[SANDBOX_MAIN] = FILTER(program_main),	    [SANDBOX_VCPU] = FILTER(program_vcpu),
	[SANDBOX_URING] = FILTER(program_io_uring), [SANDBOX_LIBAIO] = FILTER(program_libaio),
	[SANDBOX_SYNC] = FILTER(program_sync),	    [SANDBOX_WORKER] = FILTER(program_worker),
};
static bool entered;

/* What is known only now; `vm`: for the supervisor. */
static void complete(struct filter *f, bool log, pid_t vm)
{
	for (unsigned int i = 0; i < f->program.len; i++) {
		struct sock_filter *insn = &f->program.filter[i];

		if (BPF_CLASS(insn->code) == BPF_JMP && insn->k == OWN_PID)
			insn->k = (uint32_t)getpid();
		if (BPF_CLASS(insn->code) == BPF_JMP && insn->k == VM_PID)
			insn->k = (uint32_t)vm;
		if (log && insn->code == (BPF_RET | BPF_K) && insn->k == SECCOMP_RET_KILL_PROCESS)
			insn->k = SECCOMP_RET_LOG;
	}
}

static int load(const struct filter *f, unsigned int flags)
{
	long res = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &f->program);

	/* Positive: a thread that has a filter of its own. */
	return res < 0 ? -errno : res > 0 ? -EBUSY : 0;
}

static int enter_filter(const struct thread_init *begin)
{
	return entered ? load(container_of(begin, struct filter, begin), 0) : 0;
}

int sandbox_filter(bool log)
{
	int err;

	complete(&process, log, 0);
	for (unsigned int i = 0; i < SANDBOX_KINDS; i++)
		complete(&of_kind[i], log, 0);
	err = load(&process, SECCOMP_FILTER_FLAG_TSYNC);
	entered = !err;
	return err;
}

int sandbox_filter_supervisor(bool log, pid_t vm)
{
	complete(&supervisor, log, vm);
	return load(&supervisor, 0);
}

const struct thread_init *sandbox_thread(enum sandbox_kind kind)
{
	return &of_kind[kind].begin;
}
