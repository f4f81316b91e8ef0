/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The few helpers every room uses: checked arithmetic, ordered access to memory that is shared
 * with a guest, the time, and a log that a guest cannot flood. No state but the log's.
 */
#ifndef DATAPLANE_BASE_H
#define DATAPLANE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Rings, request headers and config space are little-endian (virtio 1.2, 1.4); so is every host
 * this runs on, and no field is ever swapped. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts only");

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Marks the functions for set-up, tear-down and statistics in files whose other functions run once
 * per request. The compiler optimizes them for size and places them apart from the hot path. */
#define COLD __attribute__((cold))

/* True, and the sum in *sum, when a + b fits in 64 bits. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* True when [start, start + len) lies inside [0, limit); never wraps. */
static inline bool range_inside(uint64_t start, uint64_t len, uint64_t limit)
{
	return start <= limit && len <= limit - start;
}

static inline bool is_power_of_2(uint64_t n)
{
	return n && !(n & (n - 1));
}

/*
 * One field of shared memory, read or written exactly once. The compiler may neither repeat nor
 * tear these; what was read is judged in a local and never read again.
 */
#define READ_ONCE(x)	 __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* Each use names its partner on the other side. */
#define LOAD_ACQUIRE(x)	    __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE_RELEASE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

/* Orders everything before it against everything after it, stores against later loads, too. (The
 * __atomic one says the same, but gcc's thread sanitizer refuses to compile it.) */
static inline void full_barrier(void)
{
	__sync_synchronize();
}

/*
 * Zeroed memory on cache lines of its own, as pairs, because processors fetch pairs: what one thread
 * keeps writing must not slow down another. NULL: there is none.
 */
#define CACHELINE_PAIR 128u
void *cacheline_alloc(size_t size);
void cacheline_free(void *memory);

/* CLOCK_MONOTONIC, read without a system call where the host can. */
static inline uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * One line, by a single write(2), so that lines of different threads do not mix; what is of a higher
 * level than wanted is not written, nor formatted. Any thread.
 *
 * error: what the VM, or an option, cannot go on with. warn: it goes on, with less than was asked for,
 * or somebody has to see to it. info: what was asked for, and what is about to happen. debug: who did
 * what.
 */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Where lines go, and the highest level that does: at first standard error and info, as
 * "microvm: <text>". To a file (fd is kept, and must append) they go with what tells lines of several
 * times and processes apart: "2026-01-31T12:00:00Z microvm[77]: warn: <text>". The only thread, before
 * the sandbox. An error that the file does not take goes to standard error.
 */
void log_to_file(int fd);
void log_set_level(enum log_level most);

/*
 * A budget of lines for one place in the code that a guest can reach at will: LOG_BURST lines,
 * refilled every LOG_PERIOD_S seconds. Any thread; static storage, zero-initialised.
 */
#define LOG_BURST    5
#define LOG_PERIOD_S 5

struct log_limit {
	int64_t window; /* number of the period, counted from 1 */
	unsigned int used;
};

/* True when this place may log now. */
bool log_allowed(struct log_limit *limit);

/* A warning. */
#define log_limited(...)                        \
	do {                                    \
		static struct log_limit limit_; \
		if (log_allowed(&limit_))       \
			log_warn(__VA_ARGS__);  \
	} while (0)

/*
 * What a new thread does before anything else, for those who start it and need not know what: 0, or
 * -errno. NULL: nothing.
 */
struct thread_init {
	int (*run)(const struct thread_init *begin);
};

static inline int thread_init(const struct thread_init *begin)
{
	return begin ? begin->run(begin) : 0;
}

#endif
