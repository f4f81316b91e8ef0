/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox: what the process gives up before the first guest instruction, for good. A process enters
 * it once, from its only thread, when everything is open and loaded.
 *
 * Before all that, root's --user has made it process 1 of a namespace for process ids (supervisor.h).
 *
 * In this order: what was inherited is closed; limits; mount, network and IPC namespaces, with an
 * empty root; another user (--user); a user namespace and no capabilities; no_new_privs; Landlock
 * without a single file; a seccomp filter for the process. Then each thread, when it begins, enters
 * a narrower filter of its kind (seccomp/rules.h).
 *
 * What the kernel does not lend is said in one line, and the rest applies.
 */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "dataplane/base.h"

enum sandbox_mode {
	SANDBOX_ON,
	SANDBOX_LOG, /* a forbidden system call is done, and the kernel logs it */
	SANDBOX_OFF,
};

/* The kinds of threads; the maker of threads stays with the filter of the process. */
enum sandbox_kind {
	SANDBOX_MAIN,
	SANDBOX_VCPU,
	SANDBOX_URING,
	SANDBOX_LIBAIO,
	SANDBOX_SYNC,
	SANDBOX_WORKER,
	SANDBOX_KINDS,
};

struct sandbox_user {
	uid_t uid;
	gid_t gid;
};

struct sandbox_config {
	enum sandbox_mode mode;
	const struct sandbox_user *user; /* to become; NULL: who it is */
	bool core_dump;			 /* allowed, and so is ptrace by the same user */
	bool lock_memory;		 /* io_uring is going to lock guest RAM */
	unsigned int more_fds;		 /* descriptors that are going to be opened, at most */
	int supervisor_fd; /* whose end is this process's, see supervisor.h; 0: nobody's */
	int pids_err;	   /* why there is no namespace for process ids, where one is wanted */
};

/*
 * NAME, UID or either with :GROUP or :GID; needs to be root. -errno with *why. Reads the host's user
 * database, so long before sandbox_enter.
 */
int sandbox_find_user(struct sandbox_user *user, const char *text, const char **why);

/* 0, or -errno when the user cannot be changed, or RLIMIT_NOFILE allows fewer descriptors than are
 * needed; that has been logged. SANDBOX_OFF: only these, and core dumps. */
int sandbox_enter(const struct sandbox_config *config);

/*
 * The supervisor's own: of capabilities CAP_KILL alone, and CAP_DAC_OVERRIDE where there are files to be
 * removed, which Landlock allows in the directories `a` and `b` (-1: none) and nothing else; no core dumps,
 * no_new_privs, and a filter with which `vm` is the only process that it can signal.
 */
void sandbox_supervisor(enum sandbox_mode mode, pid_t vm, int a, int b);

/* What a thread of that kind does first. Outside of a sandbox: nothing. */
const struct thread_init *sandbox_thread(enum sandbox_kind kind);

/*
 * From now on the kernel kills this process when the supervisor at the other end of `supervisor_fd` dies. Each
 * change of user undoes that, so that it is called again afterwards. -ESRCH: the supervisor is dead already.
 */
int sandbox_tie(int supervisor_fd);

#endif
