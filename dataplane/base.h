/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * base: checked arithmetic, atomic access, cache-line allocation, time, threads and the log.
 *
 * All other modules use these helpers. The log is the only one that has state.
 */
#ifndef DATAPLANE_BASE_H
#define DATAPLANE_BASE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Rings, request headers and configuration space are little-endian (virtio 1.2, 1.4). All supported
 * hosts are little-endian, too, so no code swaps bytes. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts only");

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Marks the functions for set-up, tear-down and statistics in files whose other functions run once
 * per request. The compiler optimizes them for size and places them apart from the hot path. */
#define COLD __attribute__((cold))

/* Forces the inlining of a function that runs once per request and has a second, rare caller: the
 * compiler would not inline it in either. */
#define HOT_INLINE static inline __attribute__((always_inline))

/* Stores a + b in *sum. Returns false when the sum does not fit in 64 bits. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* True when [start, start + len) lies inside [0, limit). The check itself cannot overflow. */
static inline bool range_inside(uint64_t start, uint64_t len, uint64_t limit)
{
	return start <= limit && len <= limit - start;
}

static inline bool is_power_of_2(uint64_t n)
{
	return n && !(n & (n - 1));
}

/*
 * Relaxed access to one field of shared memory: the compiler may neither repeat nor tear it. A
 * reader of guest memory loads each field once into a local variable and validates that copy.
 */
#define READ_ONCE(x)	 __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* Ordered access to shared memory. A comment at each use names the access that it pairs with. */
#define LOAD_ACQUIRE(x)	    __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE_RELEASE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

/* A full memory barrier, which also orders stores before later loads. __atomic_thread_fence would
 * do the same, but gcc does not compile it with the thread sanitizer. */
static inline void full_barrier(void)
{
	__sync_synchronize();
}

/*
 * Size of two adjacent cache lines, in bytes. CPUs prefetch lines in pairs, so data that different
 * threads write must lie in different pairs to avoid false sharing.
 */
#define CACHELINE_PAIR 128u

/* Allocates zeroed memory that shares no pair of cache lines with other data. NULL: no memory. */
void *cacheline_alloc(size_t size);

/* Frees memory from cacheline_alloc, which must not be NULL. */
void cacheline_free(void *memory);

/* CLOCK_MONOTONIC in nanoseconds; no system call where the host has a vDSO clock. */
static inline uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/*
 * Severity of a log line.
 *
 * error: the VM cannot start or continue, or an option is invalid. warn: the VM continues with less
 * than the user asked for, or the user has to act. info: output that the user asked for, and
 * imminent events. debug: details, such as which client gave a command.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * Writes one line by a single write(2), so that lines of different threads do not mix. A line above
 * the level of log_set_level is neither formatted nor written. Any thread.
 */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Directs the log to a file, with a time, a process id and a level on each line:
 * "2026-01-31T12:00:00Z microvm[77]: warn: <text>". Before this call, the log goes to standard
 * error as "microvm: <text>". The log keeps fd, which must be opened with O_APPEND. Lines of level
 * error that cannot be written to the file go to standard error. The caller must be the only thread
 * and must not have entered the sandbox yet.
 */
void log_to_file(int fd);

/* Sets the name of the program in log lines, a static string; the default is "microvm". The caller
 * must be the only thread. */
void log_set_program(const char *name);

/* Sets the highest level that is logged; the default is info. The caller must be the only
 * thread. */
void log_set_level(enum log_level most);

/* Log lines that one struct log_limit allows in each period, and the length of a period. */
#define LOG_BURST    5
#define LOG_PERIOD_S 5

/*
 * A rate limit for one log statement that a guest can trigger as often as it likes. Any thread. The
 * struct must start out zeroed.
 */
struct log_limit {
	int64_t window;	   /* number of the current period, counted from 1 */
	unsigned int used; /* calls of log_allowed in this period */
};

/* Counts a line, and returns true when the limit allows the caller to log it. */
bool log_allowed(struct log_limit *limit);

/* Logs a warning, with a rate limit for this statement. */
#define log_limited(...)                        \
	do {                                    \
		static struct log_limit limit_; \
		if (log_allowed(&limit_))       \
			log_warn(__VA_ARGS__);  \
	} while (0)

/*
 * A callback that a new thread runs before anything else, for example to enter its sandbox. run()
 * returns 0 or -errno. A NULL pointer to the struct means that there is nothing to run.
 */
struct thread_init {
	int (*run)(const struct thread_init *begin);
};

/* Runs the callback, if there is one, on the calling thread. */
static inline int thread_init(const struct thread_init *begin)
{
	return begin ? begin->run(begin) : 0;
}

#define THREAD_ANY_CPU (-1)

/*
 * Creates a joinable thread with a stack of `stack` bytes, which executes run(arg) on the given CPU
 * or, with THREAD_ANY_CPU, on the CPUs of its creator. The thread inherits the creator's signal
 * mask. Returns 0 or -errno. Any thread.
 */
int thread_create(pthread_t *thread, size_t stack, int cpu, void *(*run)(void *arg), void *arg);

/* Waits for a semaphore and decrements it; interruptions by signals do not end the wait. */
void semaphore_wait(sem_t *semaphore);
/* As semaphore_wait; returns false if that is not possible within `ms` milliseconds. */
bool semaphore_wait_ms(sem_t *semaphore, unsigned int ms);

/* Adds 1 to the counter of an eventfd. The write fails only when the counter is at its maximum, and
 * then a wake-up is already pending. Any thread. */
void eventfd_signal(int fd);

#endif
