/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/refuse.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/mockdrv.h"

void refuse_calls(const int *call, int err)
{
	struct sock_filter insn[2 * REFUSE_MAX + 2];
	struct sock_fprog program = { .filter = insn };
	unsigned short n = 0;

	insn[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (; *call >= 0; call++) {
		must(n < 2 * REFUSE_MAX + 1);
		insn[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned int)*call, 0, 1);
		insn[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							 SECCOMP_RET_ERRNO | ((unsigned int)err &
									      SECCOMP_RET_DATA));
	}
	insn[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	must(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
}
