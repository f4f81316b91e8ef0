/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a function in a sandboxed process, on a thread of a given kind. */
#ifndef TESTS_JAIL_H
#define TESTS_JAIL_H

#include "vmm/sandbox/sandbox.h"

/*
 * The spawner, a thread with the filter of the process alone. Its number follows enum sandbox_kind.
 */
#define JAIL_SPAWNER SANDBOX_KINDS
#define JAIL_KINDS   (JAIL_SPAWNER + 1)

/* Sets of kinds. */
#define JAIL_KIND(kind) (1u << (kind))
#define JAIL_THREADS                                                                      \
	(JAIL_KIND(SANDBOX_URING) | JAIL_KIND(SANDBOX_LIBAIO) | JAIL_KIND(SANDBOX_SYNC) | \
	 JAIL_KIND(JAIL_SPAWNER))
#define JAIL_EVERYONE ((1u << JAIL_KINDS) - 1)

extern const char *const jail_kind_name[JAIL_KINDS];

/* Result of an attempt that ended by SIGSYS. */
#define JAIL_KILLED 1000

/*
 * In a new process: calls before (may be NULL), enters the sandbox, and calls run on a thread of
 * that kind. Returns 0; or, if run has returned a negative number, errno (1 for none); or
 * JAIL_KILLED; or minus the number of another signal that has ended the process.
 */
int jail_attempt(enum sandbox_mode mode, enum sandbox_kind kind, void (*before)(void),
		 long (*run)(void));

#endif
