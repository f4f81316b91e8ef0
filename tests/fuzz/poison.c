/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/poison.h"

#include <sys/random.h>

#include "dataplane/base.h"
#include "tests/fuzz/host.h"

/* Comparisons are not traced: the poison must not get into the fuzzer's dictionary. */
#ifdef __clang__
#define UNTRACED __attribute__((no_sanitize("coverage")))
#else
#define UNTRACED
#endif

uint64_t poison[POISON_MAX / 8];

UNTRACED void poison_make(void)
{
	uint64_t word = 0;

	if (poison[0])
		return;
	/*
	 * Each byte is 0xb and a random digit, which makes it easy to search for; the digits must
	 * differ.
	 */
	while (word << 56 >> 56 == word >> 56)
		fuzz_must(getrandom(&word, sizeof(word), 0) == sizeof(word));
	word = (word & 0x0f0f0f0f0f0f0f0full) | 0xb0b0b0b0b0b0b0b0ull;
	for (unsigned int i = 0; i < ARRAY_SIZE(poison); i++)
		poison[i] = word;
}

UNTRACED bool host_poisoned(const void *data, size_t len)
{
	const uint64_t *at = data;

	for (size_t i = 0; i < len / 8; i++) {
		if ((at[i] & 0xf0f0f0f0f0f0f0f0ull) != 0xb0b0b0b0b0b0b0b0ull)
			continue;
		for (unsigned int by = 0; by < 64; by += 8)
			if (at[i] == (by ? poison[0] >> by | poison[0] << (64 - by) : poison[0]))
				return true;
	}
	return false;
}
