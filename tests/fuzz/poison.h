/* SPDX-License-Identifier: BSD-3-Clause */
/* poison: what bounce buffers are full of before a read (see host.h). */
#ifndef TESTS_FUZZ_POISON_H
#define TESTS_FUZZ_POISON_H

#include <stdint.h>

#define POISON_MAX (1u << 20)

extern uint64_t poison[POISON_MAX / 8];

/* Chosen by chance, once. */
void poison_make(void);

#endif
