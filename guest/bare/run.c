/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/bare/bare.h"

uint64_t ram_start, ram_end, ram_high_end;

extern const struct bare_test bare_tests[], bare_tests_end[];

static const char *command_line;
static uint64_t heap;
/* State of the running test: where to continue when it fails, its outcome, and its entry. */
static void *test_end[5];
static enum { PASSED, FAILED, SKIPPED } outcome;
static const struct bare_test *running;

/* The exit code of a check is its test's number times this, plus its line. */
#define EXIT_TEST 10000u
/* rounds() divides by this number with few=1. */
#define FEW 20u
static unsigned int exit_code;

_Noreturn void bare_fail(const char *file, int line, const char *what)
{
	say("FAILED %s: %s:%d: %s\n", running->name, file, line, what);
	if (!exit_code)
		exit_code =
			(unsigned int)(running - bare_tests + 1) * EXIT_TEST + (unsigned int)line;
	outcome = FAILED;
	__builtin_longjmp(test_end, 1);
}

_Noreturn void bare_skip(const char *why)
{
	say("skip %s: %s\n", running->name, why);
	outcome = SKIPPED;
	__builtin_longjmp(test_end, 1);
}

void *page_alloc(size_t bytes)
{
	uint64_t at = heap;

	bytes = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
	check(bytes <= ram_end - at);
	heap += bytes;
	return memset((void *)at, 0, bytes);
}

const char *option(const char *key, unsigned int number)
{
	for (const char *p = command_line; *p; p++) {
		if ((p != command_line && p[-1] != ' ') || !begins(p, key))
			continue;
		if (!number--)
			return p + strlen(key);
	}
	return NULL;
}

unsigned int rounds(unsigned int most)
{
	return option("few=1", 0) ? most / FEW + 1 : most;
}

static bool work_stop;

void work_begin(void (*work)(void *), void *arg)
{
	if (!cpu_start())
		bare_skip("one CPU");
	__atomic_store_n(&work_stop, false, __ATOMIC_RELEASE);
	cpu_work(work, arg);
}

bool work_stopped(void)
{
	return __atomic_load_n(&work_stop, __ATOMIC_ACQUIRE);
}

void work_end(void)
{
	__atomic_store_n(&work_stop, true, __ATOMIC_RELEASE);
	wait_until(cpu_idle());
}

static bool chosen(const char *name)
{
	const char *prefix = option("tests=", 0);

	while (prefix) {
		size_t i = 0;

		while (prefix[i] && prefix[i] == name[i])
			i++;
		if (!prefix[i] || prefix[i] == ',' || prefix[i] == ' ')
			return true;
		while (*prefix && *prefix != ' ' && *prefix != ',')
			prefix++;
		if (*prefix++ != ',')
			return false;
	}
	return true;
}

static __attribute__((noinline)) void run_one(const struct bare_test *test)
{
	running = test;
	outcome = PASSED;
	heap = ram_start;
	if (!__builtin_setjmp(test_end))
		test->run();
	__atomic_store_n(&work_stop, true, __ATOMIC_RELEASE);
	irqs_off();
	if (outcome == PASSED)
		say("ok %s\n", test->name);
}

_Noreturn void bare_main(const char *text)
{
	command_line = text;
	for (const struct bare_test *test = bare_tests; test != bare_tests_end; test++)
		if (chosen(test->name))
			run_one(test);
	say("exit %u\n", exit_code);
	if (exit_code)
		arch_panic();
	arch_power_off();
}
