/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox: process isolation by namespaces, capabilities, Landlock and seccomp.
 *
 * The process enters the sandbox once and permanently, from its only thread, after all files are
 * open and loaded and before the first guest instruction. If root used --user, the process is by
 * then PID 1 of a PID namespace (supervisor.h).
 *
 * sandbox_enter applies these layers in this order: inherited descriptors are closed; resource
 * limits; mount, network and IPC namespaces with an empty root directory; another user (--user); a
 * user namespace, and no capabilities; no_new_privs; a Landlock ruleset that allows no file; a
 * seccomp filter for the whole process. Each thread then installs a narrower filter for its kind
 * when it starts (seccomp/rules.h).
 *
 * Layers that the host does not support are reported in one log line; the others still apply.
 */
#ifndef VMM_SANDBOX_SANDBOX_H
#define VMM_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "dataplane/base.h"

enum sandbox_mode {
	SANDBOX_ON,
	SANDBOX_LOG, /* a forbidden system call is executed, and the kernel logs it */
	SANDBOX_OFF,
};

/* Kinds of threads, each with a seccomp filter of its own. The spawner thread (spawner.h) and the
 * jobs thread keep the filter of the process. */
enum sandbox_kind {
	SANDBOX_MAIN,
	SANDBOX_VCPU,
	SANDBOX_URING,
	SANDBOX_LIBAIO,
	SANDBOX_SYNC,
	SANDBOX_WORKER,
	SANDBOX_EXPORT, /* main thread of microvm-blk */
	SANDBOX_KINDS,
};

struct sandbox_user {
	uid_t uid;
	gid_t gid;
};

struct sandbox_config {
	enum sandbox_mode mode;
	const struct sandbox_user *user; /* user to change to; NULL: keep the current one */
	bool core_dump;			 /* allow core dumps, and ptrace by the same user */
	bool back_end;			 /* the process is a vhost-user back end, not a VM */
	unsigned int more_fds;		 /* how many descriptors may still be opened */
	int supervisor_fd; /* end of the socket to the supervisor, see supervisor.h; 0: none */
	int snapshot_fd;   /* directory below which the process may create files; 0: none */
	int pids_err;	   /* -errno of the PID namespace, if one was wanted and failed */
};

/*
 * Parse `text`: NAME or UID, optionally followed by :GROUP or :GID. Returns 0, or -EINVAL with the
 * reason in *why, for example when the caller is not root. The function reads the host's user
 * database, so it must run before sandbox_enter.
 */
int sandbox_find_user(struct sandbox_user *user, const char *text, const char **why);

/*
 * Apply all layers. Returns 0, or -errno when the user cannot be changed, when RLIMIT_NOFILE allows
 * too few descriptors, or when the supervisor has died; the function has then logged the error.
 * With SANDBOX_OFF, it only raises RLIMIT_NOFILE, changes the user and sets whether core dumps are
 * allowed.
 */
int sandbox_enter(const struct sandbox_config *config);

/*
 * Applies the sandbox of the supervisor process. The process keeps CAP_KILL, and CAP_DAC_OVERRIDE
 * if it has files to remove; Landlock lets it remove files in the directories `dirs` (descriptors;
 * -1: none) and access no others. Core dumps are disabled, no_new_privs is set, and `vm` is the
 * only process that the seccomp filter lets it signal.
 */
#define SANDBOX_DIRS 3
void sandbox_supervisor(enum sandbox_mode mode, pid_t vm, const int dirs[SANDBOX_DIRS]);

/* Return the initializer that a thread of this kind runs first: it installs the thread's seccomp
 * filter. Without a sandbox the initializer does nothing. */
const struct thread_init *sandbox_thread(enum sandbox_kind kind);

/*
 * Make the kernel kill this process when the supervisor, at the other end of `supervisor_fd`, dies
 * (PR_SET_PDEATHSIG). Each change of user clears that setting, so the caller must call the function
 * again afterwards. Returns -ESRCH when the supervisor is already dead.
 */
int sandbox_tie(int supervisor_fd);

#endif
