/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz: what all fuzz targets share. A target turns the input's bytes into choices (which request,
 * which defect, which register), so that most of what the product sees is nearly right; an input
 * that is used up goes on as zeros, and zero is always the harmless choice.
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

/* The one entry of a target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An oracle: whatever the compiler flags are, its failure is a crash. */
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

/* From 0 to n - 1; n at most 65536. */
static inline unsigned int in_below(struct input *in, unsigned int n)
{
	return (n <= 256 ? in_u8(in) : in_u16(in)) % n;
}

/* One byte in 16 says yes. */
static inline bool in_rarely(struct input *in)
{
	return in_u8(in) >= 0xf0;
}

#endif
