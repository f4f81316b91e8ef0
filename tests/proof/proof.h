/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * proof: the model of shared memory that all harnesses use; every source file is compiled with it.
 *
 * Guest RAM, and other memory that another process writes, has addresses and no contents: it lies
 * behind the end of an object, so that a plain access fails a pointer check. The accessors of
 * dataplane/base.h and memcpy are the only way to such memory: each load is checked to lie inside
 * of it and returns any value, whatever an earlier load of the same place has returned. A field
 * that is read twice thus has two values. A store is checked and not remembered.
 *
 * A harness whose code loads and stores only shared memory defines SHARED_ONLY, which makes its
 * proof much smaller. It may define hooks before it includes a source file, to learn the accesses
 * in their order:
 *   ON_LOAD(at, len, order, value)   ON_STORE(at, len, order, value)   ON_BARRIER()
 *   ON_COPY_IN(copy, at, len)        ON_COPY_OUT(at, len)
 */
#ifndef PROOF_H
#define PROOF_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#pragma CPROVER check push
#pragma CPROVER check disable "pointer-primitive"
#pragma CPROVER check disable "conversion"
#pragma CPROVER check disable "unsigned-overflow"

#define assume(condition)	 __CPROVER_assume(condition)
#define prove(condition, reason) __CPROVER_assert(condition, reason)

/* Any value of a type. */
#define ANY(type)                      \
	({                             \
		__typeof__(type) any_; \
		any_;                  \
	})

/* The word of a set of at most 64 bits that has bit i. */
#define ONLY_WORD(i) (prove((i) < 64, "a bit of the set"), 0)

/* Memory that another process writes at any time. */
struct shared {
	char *base;
	uint64_t size;
	bool readonly; /* the device must not write it */
};

#ifdef SHARED_ONLY
#define SHARED_MAX 1
#else
#define SHARED_MAX 3
#endif
static struct shared shared[SHARED_MAX];
static char shared_0[1];
#ifndef SHARED_ONLY
static char shared_1[1], shared_2[1];
#endif

/* Creates shared memory with this number and size. It begins behind the end of its object. */
static inline void *shared_create(unsigned int i, uint64_t size, bool readonly)
{
#ifdef SHARED_ONLY
	char *base = shared_0 + 1;
#else
	char *base = i == 0 ? shared_0 + 1 : i == 1 ? shared_1 + 1 : shared_2 + 1;
#endif

	shared[i] = (struct shared){ .base = base, .size = size, .readonly = readonly };
	return base;
}

static inline bool shared_holds(const struct shared *s, const void *at)
{
	return s->base && __CPROVER_POINTER_OBJECT(at) == __CPROVER_POINTER_OBJECT(s->base);
}

/* Returns the position of an address in its shared memory. */
static inline uint64_t shared_offset(const void *at)
{
	return (uint64_t)__CPROVER_POINTER_OFFSET(at) - 1;
}

/* Returns the shared memory that an address is in, or behind; NULL: it is private. */
static inline const struct shared *shared_of(const void *at)
{
#ifdef SHARED_ONLY
	prove(shared_holds(&shared[0], at), "an address of shared memory");
	return &shared[0];
#else
	return shared_holds(&shared[0], at)   ? &shared[0]
	       : shared_holds(&shared[1], at) ? &shared[1]
	       : shared_holds(&shared[2], at) ? &shared[2]
					      : NULL;
#endif
}

/* Proves that an access lies inside of shared memory. */
static inline void shared_check(const struct shared *s, const void *at, uint64_t len, bool write)
{
	uint64_t offset = shared_offset(at);

	prove(offset <= s->size && len <= s->size - offset, "access inside of shared memory");
	prove(!write || !s->readonly, "no write to read-only memory");
}

#ifndef ON_LOAD
#define ON_LOAD(at, len, order, value) ((void)0)
#endif
#ifndef ON_STORE
#define ON_STORE(at, len, order, value) ((void)0)
#endif
#ifndef ON_BARRIER
#define ON_BARRIER() ((void)0)
#endif
#ifndef ON_COPY_IN
#define ON_COPY_IN(copy, at, len) ((void)0)
#endif
#ifndef ON_COPY_OUT
#define ON_COPY_OUT(at, len) ((void)0)
#endif

static inline uint64_t proof_load(const void *at, size_t len, int order)
{
	const struct shared *s = shared_of(at);
	uint64_t value = ANY(uint64_t);

	if (s) {
		shared_check(s, at, len, false);
		assume(len == 8 || value < 1ull << 8 * len);
		ON_LOAD(at, len, order, value);
		return value;
	}
#ifndef SHARED_ONLY
	if (len == 1)
		return *(const uint8_t *)at;
	if (len == 2)
		return *(const uint16_t *)at;
	if (len == 4)
		return *(const uint32_t *)at;
	return *(const uint64_t *)at;
#endif
}

static inline void proof_store(void *at, uint64_t value, size_t len, int order)
{
	const struct shared *s = shared_of(at);

	if (s) {
		shared_check(s, at, len, true);
		ON_STORE(at, len, order, value);
		return;
	}
#ifndef SHARED_ONLY
	if (len == 1)
		*(uint8_t *)at = (uint8_t)value;
	else if (len == 2)
		*(uint16_t *)at = (uint16_t)value;
	else if (len == 4)
		*(uint32_t *)at = (uint32_t)value;
	else
		*(uint64_t *)at = value;
#endif
}

static inline void proof_copy(void *to, const void *from, size_t len)
{
#ifdef SHARED_ONLY
	const struct shared *s = &shared[0];
	bool in = shared_holds(s, from), out = !in;

	prove(in || shared_holds(s, to), "a copy from or to shared memory");
#else
	const struct shared *s = shared_of(from);
	bool in = s, out = !in && (s = shared_of(to));
#endif

	if (in) {
		shared_check(s, from, len, false);
		__CPROVER_havoc_slice(to, len);
		ON_COPY_IN(to, from, len);
	} else if (out) {
		shared_check(s, to, len, true);
		prove(__CPROVER_r_ok(from, len), "copy from valid memory");
		ON_COPY_OUT(to, len);
	}
#ifndef SHARED_ONLY
	else {
		memcpy(to, from, len);
	}
#endif
}

#pragma CPROVER check pop

#define __atomic_load_n(p, order)     ((__typeof__(*(p)))proof_load((p), sizeof(*(p)), (order)))
#define __atomic_store_n(p, v, order) proof_store((p), (uint64_t)(v), sizeof(*(p)), (order))
#define __sync_synchronize()	      ON_BARRIER()
#define memcpy(to, from, len)	      proof_copy((to), (from), (len))

#endif
