/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Input decoder and oracle of all fuzz targets. A target turns the bytes of the input into choices
 * (which request, which defect, which register), so that most of what the product sees is nearly
 * valid. An exhausted input continues with zeros, and zero is always the harmless choice.
 *
 * Targets are built for libFuzzer (make fuzz) and with replay.c (make fuzz-replay).
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Entry point of a target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An oracle: a false condition is a crash, whatever the compiler flags. */
#define fuzz_must(cond)                                                                    \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: oracle: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

struct input {
	const uint8_t *data;
	size_t left;
};

static inline void in_bytes(struct input *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(to, 0, len);
	if (!n)
		return;
	memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
}

static inline uint8_t in_u8(struct input *in)
{
	uint8_t v;

	in_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint16_t in_u16(struct input *in)
{
	uint16_t v;

	in_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint32_t in_u32(struct input *in)
{
	uint32_t v;

	in_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint64_t in_u64(struct input *in)
{
	uint64_t v;

	in_bytes(in, &v, sizeof(v));
	return v;
}

/* Returns a number from 0 to n - 1; n is at most 65536. */
static inline unsigned int in_below(struct input *in, unsigned int n)
{
	return (n <= 256 ? in_u8(in) : in_u16(in)) % n;
}

/* Returns true for one byte value in 16. */
static inline bool in_rarely(struct input *in)
{
	return in_u8(in) >= 0xf0;
}

#endif
