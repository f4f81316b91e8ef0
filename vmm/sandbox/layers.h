/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the sandbox, in the order in which sandbox.c has them done. Each once per process. */
#ifndef VMM_SANDBOX_PARTS_H
#define VMM_SANDBOX_PARTS_H

#include "vmm/sandbox/sandbox.h"

/*
 * Close the descriptors that came in by exec, but for the standard streams, and let no more than
 * `more` be added to those that are left. Raises the soft limit where it has to. keep: only that.
 * -EMFILE: the hard limit allows fewer, and that has been logged; else -errno.
 */
int sandbox_limit_fds(unsigned int more, bool keep);

/* For as much locked memory as there is. */
void sandbox_limit_memory(void);

/*
 * Namespaces, another user, no capabilities. Returns what failed in changing the user; *spaces_err is
 * what did in making namespaces, and then `refusal` says it in words.
 */
#define REFUSAL_MAX 80
int sandbox_isolate(const struct sandbox_user *user, int *spaces_err, char refusal[REFUSAL_MAX]);

/*
 * Why the host refused, with `err`, a namespace for process ids (`pids`) or one of the others: by name
 * the sysctl that did, where it is known. self_fd is that of /proc/self, or -1.
 */
void sandbox_refusal(int self_fd, bool pids, int err, char text[REFUSAL_MAX]);

/* None but these of the first 32, for good. */
void sandbox_keep_capabilities(uint32_t kept);

/* No group but the user's, and no way back. */
int sandbox_become(const struct sandbox_user *user);

/* No file, no TCP, and no signal to other processes: as much as this kernel's Landlock knows. */
int sandbox_landlock(void);

/* The same, but files in the directories `a` and `b` (-1: none) can be removed, and all processes be sent
 * signals. */
int sandbox_landlock_removing(int a, int b);

/* The filter of the process, on all of its threads. `log`: this one and those of threads only log. */
int sandbox_filter(bool log);

/* That of a supervisor, whose VM is process `vm`. */
int sandbox_filter_supervisor(bool log, pid_t vm);

#endif
