/* SPDX-License-Identifier: BSD-3-Clause */
/* Compile-time detection of sanitizers, which are slow and reserve much address space. */
#ifndef TESTS_SANITIZER_H
#define TESTS_SANITIZER_H

#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED		       1
#define ROUNDS(plain, address, thread) (address)
#elif defined(__SANITIZE_THREAD__)
#define SANITIZED		       1
#define ROUNDS(plain, address, thread) (thread)
#else
#define SANITIZED		       0
/*
 * A coverage run sets UNIT_FEW_ROUNDS (tests/coverage/run): more rounds would only take the same
 * branches again.
 */
#define ROUNDS(plain, address, thread) (getenv("UNIT_FEW_ROUNDS") ? (address) : (plain))
#endif

#endif
