/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/vm_exit.h"

const struct vm_end_info vm_end_info[] = {
	[VM_RUNNING] = { "error", EXIT_ERROR }, /* the machine is destroyed before it has ended */
	[VM_END_POWEROFF] = { "guest-poweroff", EXIT_POWEROFF },
	[VM_END_REBOOT] = { "guest-reboot", EXIT_REBOOT },
	[VM_END_PANIC] = { "guest-panic", EXIT_PANIC },
	[VM_END_CRASH] = { "guest-crash", EXIT_CRASH },
	[VM_END_QUIT] = { "quit", EXIT_QUIT },
	[VM_END_ERROR] = { "error", EXIT_ERROR },
};
