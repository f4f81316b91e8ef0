/* SPDX-License-Identifier: BSD-3-Clause */
/* jail: a process that has entered the sandbox, and a thread of each kind in it, which tries
 * something. */
#ifndef TESTS_JAIL_H
#define TESTS_JAIL_H

#include "vmm/sandbox/sandbox.h"

/* A thread with the filter of the process alone, after those of enum sandbox_kind. */
#define JAIL_MAKER SANDBOX_KINDS
#define JAIL_KINDS (JAIL_MAKER + 1)

/* Kinds as sets. */
#define JAIL_KIND(kind) (1u << (kind))
#define JAIL_THREADS                                                                      \
	(JAIL_KIND(SANDBOX_URING) | JAIL_KIND(SANDBOX_LIBAIO) | JAIL_KIND(SANDBOX_SYNC) | \
	 JAIL_KIND(JAIL_MAKER))
#define JAIL_EVERYONE ((1u << JAIL_KINDS) - 1)

extern const char *const jail_kind_name[JAIL_KINDS];

/* How an attempt ends, beside an errno: by SIGSYS. */
#define JAIL_KILLED 1000

/*
 * In a process of its own, calls before (may be NULL), enters the sandbox, and has a thread of
 * that kind call run. Returns 0 or, if run has returned a negative number, errno (1 for none); JAIL_KILLED; or
 * minus the number of another signal that has ended the process.
 */
int jail_attempt(enum sandbox_mode mode, enum sandbox_kind kind, void (*before)(void),
		 long (*run)(void));

#endif
