/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers of the process sandbox, in the order in which sandbox.c applies them.
 *
 * Each function is called once per process. The sandboxed process calls all of them but
 * sandbox_landlock_removing and sandbox_filter_supervisor, which the supervisor calls.
 */
#ifndef VMM_SANDBOX_LAYERS_H
#define VMM_SANDBOX_LAYERS_H

#include "vmm/sandbox/sandbox.h"

/*
 * Close the descriptors that were inherited across exec, except the standard streams, and set
 * RLIMIT_NOFILE as low as the open descriptors and `more` further ones permit. The function raises
 * the soft limit where that is necessary. With `keep`, it closes nothing and does not lower the
 * limit.
 * Returns 0; -EMFILE when the hard limit is too low, which the function has logged; or another
 * -errno.
 */
int sandbox_limit_fds(unsigned int more, bool keep);

/*
 * Enter new namespaces, change to `user` (NULL: keep the current user) and drop all capabilities.
 * Returns the error of the change of user, or 0. *spaces_err receives the error of the namespaces,
 * or 0; if it is not 0, `refusal` receives the reason as text.
 */
#define REFUSAL_MAX 80
int sandbox_isolate(const struct sandbox_user *user, int *spaces_err, char refusal[REFUSAL_MAX]);

/*
 * Write to `text` why the host refused a namespace with the error `err`. `pids` selects the PID
 * namespace; otherwise the error is that of the user, mount, network and IPC namespaces. The text
 * names the sysctl that is responsible if one is found. self_fd refers to /proc/self, or is -1.
 */
void sandbox_refusal(int self_fd, bool pids, int err, char text[REFUSAL_MAX]);

/* Drop all capabilities permanently, except those in `kept`, a bit mask of capabilities 0 to 31. */
void sandbox_keep_capabilities(uint32_t kept);

/* Change all user and group IDs to those of `user` and drop all supplementary groups. The change is
 * permanent. Returns 0 or -errno. */
int sandbox_become(const struct sandbox_user *user);

/* Deny access to all files, to TCP, and signals to other processes, as far as this kernel's
 * Landlock ABI supports it. Below the directory snapshot_fd (0: none), files and directories may
 * be created, written and removed, but not read. Returns 0 or -errno. */
int sandbox_landlock(int snapshot_fd);

/*
 * Apply the Landlock ruleset of the supervisor: access to files and TCP is denied, except that
 * files in the directories `dirs` (descriptors; -1: none) may be removed. Signals stay allowed.
 * Returns 0 or -errno.
 */
int sandbox_landlock_removing(const int dirs[SANDBOX_DIRS]);

/*
 * Install the seccomp filter of the process, a VM or a back end, on all of its threads. With `log`,
 * this filter and the filters of the threads only log a forbidden system call. Returns 0; -EBUSY
 * when a thread has a filter of its own; or another -errno.
 */
int sandbox_filter(bool log, bool is_back_end);

/* Install the seccomp filter of a supervisor whose VM is process `vm`. `log` as in sandbox_filter.
 * Returns 0 or -errno. */
int sandbox_filter_supervisor(bool log, pid_t vm);

#endif
