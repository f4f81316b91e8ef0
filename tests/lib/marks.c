/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/marks.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

/*
 * The address of the path and, above it, the line are one word, because threads assert
 * concurrently.
 */
#define LINE_SHIFT 48
#define FILE_MASK  ((UINT64_C(1) << LINE_SHIFT) - 1)

static uint64_t *last; /* shared; atomic; 0: none */
static bool runs_tests;

void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

static void set_last(uint64_t place)
{
	__atomic_store_n(last, place, __ATOMIC_RELAXED);
}

static void forked(void)
{
	runs_tests = false;
}

void marks_begin(void)
{
	if (!last) {
		last = mmap(NULL, sizeof(*last), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
		if (last == MAP_FAILED || pthread_atfork(NULL, NULL, forked))
			abort();
	}
	set_last(0);
	runs_tests = true;
}

void __wrap__mark_point(const char *file, int line)
{
	set_last((uintptr_t)file | (uint64_t)line << LINE_SHIFT);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	pid_t ended = __real_waitpid(pid, status, options);
	uint64_t place;

	if (!runs_tests || ended <= 0)
		return ended;
	place = __atomic_load_n(last, __ATOMIC_RELAXED);
	if (place && *status)
		__real__mark_point((const char *)(uintptr_t)(place & FILE_MASK),
				   (int)(place >> LINE_SHIFT));
	set_last(0);
	return ended;
}
