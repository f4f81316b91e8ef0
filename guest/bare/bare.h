/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runtime and test framework of the freestanding test guests. One image is a set of tests. It runs
 * the tests that the kernel command line selects (tests=PREFIX[,PREFIX]..., default all), prints a
 * line for each on the serial port, and powers the machine off; after a failure it reports a guest
 * panic, or resets a machine without pvpanic.
 *
 *	ok NAME
 *	FAILED NAME: file:line: what
 *	exit CODE	0, or the code of the first failed check: each check has its own
 *
 * Tests run on the first CPU, with interrupts off unless a test enables them. Memory is
 * identity-mapped up to 4 GiB, on aarch64 up to 511 GiB. No test relies on the state in which an
 * earlier one left the device.
 */
#ifndef BARE_H
#define BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u

/* ---- tests ---- */

struct bare_test {
	const char *name;
	void (*run)(void);
};

/* Tests run in the order of their names. */
#define TEST(name_)                                                                           \
	static void name_(void);                                                              \
	__attribute__((section(".tests." #name_),                                             \
		       used)) static const struct bare_test test_##name_ = { #name_, name_ }; \
	static void name_(void)

/* Ends the running test as failed, with the exit code of this check. */
_Noreturn void bare_fail(const char *file, int line, const char *what);

#define check(cond)                                           \
	do {                                                  \
		if (!(cond))                                  \
			bare_fail(__FILE__, __LINE__, #cond); \
	} while (0)

/* Ends the running test as skipped, because it cannot run on this machine. */
_Noreturn void bare_skip(const char *why);

/* ---- text ---- */

/* Prints to the serial port. Formats: %s %c %d %u %x, with l, a width and leading zeros. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

void *memset(void *to, int byte, size_t len);
void *memcpy(void *to, const void *from, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);
/* Returns whether s begins with prefix. */
bool begins(const char *s, const char *prefix);
/* Returns whether all bytes of [p, p + len) are equal to byte. */
bool all_bytes(const void *p, uint8_t byte, size_t len);
uint64_t random64(void);

/* ---- memory ---- */

/* RAM that tests may use, and the end of the mapped RAM. Both are set before the first test. */
extern uint64_t ram_start, ram_end;
/* End of the RAM above 4 GiB, which is not mapped; 0: there is none. */
extern uint64_t ram_high_end;

/* Allocates zeroed memory, which is freed at the end of the test. */
void *page_alloc(size_t bytes);

/* ---- the command line ---- */

/*
 * Returns the value of the number'th occurrence of `key` ("disk="), ended by a space; NULL: none.
 */
const char *option(const char *key, unsigned int number);
/* Parses a number, decimal or with 0x; *end is the first character after it. */
uint64_t parse_number(const char *s, const char **end);

/*
 * Returns the number of repetitions of a long test: `most`, or a small part of it with few=1 on the
 * command line. Two vCPUs that wait for each other on one host CPU are slow.
 */
unsigned int rounds(unsigned int most);

/* ---- waiting ---- */

/* Waits until cond holds; the check fails after arch_timeout ticks. */
#define wait_until(cond)                                                          \
	do {                                                                      \
		uint64_t end_ = arch_ticks() + arch_timeout;                      \
		while (!(cond)) {                                                 \
			arch_relax();                                             \
			if (arch_ticks() > end_)                                  \
				bare_fail(__FILE__, __LINE__, "in time: " #cond); \
		}                                                                 \
	} while (0)

/* ---- a second CPU beside the test ---- */

/*
 * Starts work(arg) on the second CPU, which runs until work_stopped() returns true; the test is
 * skipped without a second CPU. The end of the test stops it, too. work must not check, and not
 * allocate.
 */
void work_begin(void (*work)(void *), void *arg);
bool work_stopped(void);
/* Asks the second CPU to stop, and waits until it has. */
void work_end(void);

#include "guest/bare/arch.h"

#endif
