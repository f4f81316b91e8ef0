/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/base.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

void *cacheline_alloc(size_t size)
{
	size_t lines = (size + CACHELINE_PAIR - 1) / CACHELINE_PAIR * CACHELINE_PAIR;
	void *whole = calloc(1, lines + CACHELINE_PAIR + sizeof(void *)), **memory;
	uintptr_t at = (uintptr_t)whole + sizeof(void *) + CACHELINE_PAIR - 1;

	if (!whole)
		return NULL;
	memory = (void **)(at - at % CACHELINE_PAIR);
	memory[-1] = whole;
	return memory;
}

void cacheline_free(void *memory)
{
	free(((void **)memory)[-1]);
}

static struct {
	int fd;
	enum log_level most;
	const char *program;
	pid_t pid; /* for the prefix of lines in a log file; 0: the log goes to standard error */
} sink = { .fd = STDERR_FILENO, .most = LOG_LEVEL_INFO, .program = "microvm" };

void log_set_program(const char *name)
{
	sink.program = name;
}

void log_set_level(enum log_level most)
{
	sink.most = most;
}

void log_to_file(int fd)
{
	struct tm tm;
	time_t now = 0;

	/* The first call of gmtime_r loads the host's time zone, even though it returns UTC. The
	 * call is made here because the sandbox may hide the time zone file later. */
	gmtime_r(&now, &tm);
	sink.fd = fd;
	sink.pid = getpid();
}

/* Writes the prefix of a line, and returns its length, which is less than half of `size`. */
static size_t put_prefix(char *line, size_t size, enum log_level level)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	struct timespec now;
	struct tm tm;
	size_t len;

	if (!sink.pid)
		return (size_t)snprintf(line, size, "%s: ", sink.program);
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(line, size, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	len += (size_t)snprintf(line + len, size - len, "%s[%d]: %s: ", sink.program, sink.pid,
				names[level]);
	return len;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t start, len;
	va_list ap;
	int n;

	if (level > sink.most)
		return;
	start = put_prefix(line, sizeof(line), level);
	va_start(ap, fmt);
	n = vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;

	len = start + (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* A file name in the text may contain control characters. The message must stay one
	 * line. */
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';

	/* An error message must reach the user even when the log file is full. A failure to write
	 * it to standard error, too, is ignored, for there is no other place to report it. */
	ssize_t written = write(sink.fd, line, len);
	if (written < 0 && level == LOG_LEVEL_ERROR && sink.pid)
		written = write(STDERR_FILENO, line, len);
	(void)written;
}

bool log_allowed(struct log_limit *limit)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	/* A race of two threads here allows a few lines too many, which is cheaper than a lock. */
	int64_t window = now.tv_sec / LOG_PERIOD_S + 1;
	if (READ_ONCE(limit->window) != window) {
		WRITE_ONCE(limit->window, window);
		WRITE_ONCE(limit->used, 0);
	}
	return __atomic_fetch_add(&limit->used, 1, __ATOMIC_RELAXED) < LOG_BURST;
}

int thread_create(pthread_t *thread, size_t stack, int cpu, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	pthread_attr_setstacksize(&attr, stack);
	if (cpu != THREAD_ANY_CPU) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	err = pthread_create(thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

void semaphore_wait(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		; /* EINTR: a signal interrupted the wait */
}

bool semaphore_wait_ms(sem_t *semaphore, unsigned int ms)
{
	uint64_t end = monotonic_ns() / 1000000 + ms;
	struct timespec until = { (time_t)(end / 1000), (long)(end % 1000) * 1000000 };

	while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &until))
		if (errno == ETIMEDOUT)
			return false;
	/* Thread sanitizers do not know sem_clockwait. By sem_wait, they learn what happened before
	 * the semaphore was posted. */
	sem_post(semaphore);
	semaphore_wait(semaphore);
	return true;
}

void eventfd_signal(int fd)
{
	uint64_t one = 1;
	ssize_t ignored = write(fd, &one, sizeof(one));

	(void)ignored;
}
