/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

void *lines_alloc(size_t size)
{
	size_t lines = (size + LINE_PAIR - 1) / LINE_PAIR * LINE_PAIR;
	void *whole = calloc(1, lines + LINE_PAIR + sizeof(void *)), **memory;
	uintptr_t at = (uintptr_t)whole + sizeof(void *) + LINE_PAIR - 1;

	if (!whole)
		return NULL;
	memory = (void **)(at - at % LINE_PAIR);
	memory[-1] = whole;
	return memory;
}

void lines_free(void *memory)
{
	free(((void **)memory)[-1]);
}

void log_line(const char *fmt, ...)
{
	static const char prefix[] = "microvm: ";
	char line[LINE_MAX_BYTES];
	const size_t start = sizeof(prefix) - 1;
	va_list ap;

	__builtin_memcpy(line, prefix, start);
	va_start(ap, fmt);
	int n = vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;

	size_t len = start + (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* File names may hold anything; a message stays one line. */
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';

	/* Nobody to tell when standard error is closed or full. */
	ssize_t ignored = write(STDERR_FILENO, line, len);
	(void)ignored;
}

bool log_allowed(struct log_limit *limit)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	/* Two threads that race here may log a line too many: no harm, and no lock. */
	int64_t window = now.tv_sec / LOG_PERIOD_S + 1;
	if (READ_ONCE(limit->window) != window) {
		WRITE_ONCE(limit->window, window);
		WRITE_ONCE(limit->used, 0);
	}
	return __atomic_fetch_add(&limit->used, 1, __ATOMIC_RELAXED) < LOG_BURST;
}
