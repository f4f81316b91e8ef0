/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes that bounce buffers are filled with before a read (host.h). */
#ifndef TESTS_FUZZ_POISON_H
#define TESTS_FUZZ_POISON_H

#include <stdint.h>

#define POISON_MAX (1u << 20)

extern uint64_t poison[POISON_MAX / 8];

/* Chooses random bytes. Called once. */
void poison_make(void);

#endif
