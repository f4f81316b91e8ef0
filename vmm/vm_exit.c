/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/vm_exit.h"

#include <stddef.h>

/* clang-format off */
const struct vm_end_info vm_end_info[] = {
	[VM_RUNNING] = { "error", EXIT_ERROR, NULL }, /* machine_destroy before any other end */
	[VM_END_POWEROFF] = { "guest-poweroff", EXIT_POWEROFF, NULL },
	[VM_END_REBOOT] = { "guest-reboot", EXIT_REBOOT, "the guest rebooted" },
	[VM_END_PANIC] = { "guest-panic", EXIT_PANIC, "the guest panicked" },
	[VM_END_PANIC_REBOOT] = { "guest-panic", EXIT_PANIC, "the guest rebooted after a panic" },
	[VM_END_STATUS] = { "guest-status", EXIT_POWEROFF, NULL },
	[VM_END_CRASH] = { "guest-crash", EXIT_CRASH, NULL }, /* see vm_exit.crash */
	[VM_END_QUIT] = { "quit", EXIT_QUIT, NULL },
	[VM_END_ERROR] = { "error", EXIT_ERROR, NULL },
};
/* clang-format on */
