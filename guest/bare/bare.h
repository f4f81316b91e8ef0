/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare: what a freestanding test guest stands on. One image is a set of tests; it runs those that
 * the kernel command line chooses (tests=PREFIX[,PREFIX]..., default all), says a line for each
 * over the serial port, and powers the machine off; after a failure it reports a guest panic, or
 * resets a machine that has no way to be told of one.
 *
 *	ok NAME
 *	FAILED NAME: file:line: what
 *	exit CODE	0, or that of the first failed check: each has its own
 *
 * Tests run on the first CPU, interrupts off unless they ask for them. Memory is identity-mapped
 * up to 4 GiB, and on aarch64 up to 511. No test trusts the state an earlier one left the device in.
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

/* End the running test as failed, with the exit code that belongs to this check. */
_Noreturn void bare_fail(const char *file, int line, const char *what);

#define check(cond)                                           \
	do {                                                  \
		if (!(cond))                                  \
			bare_fail(__FILE__, __LINE__, #cond); \
	} while (0)

/* End the running test as one that cannot run in this machine. */
_Noreturn void bare_skip(const char *why);

/* ---- text ---- */

/* %s %c %d %u %x, with l, a width and leading zeros. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

void *memset(void *to, int byte, size_t len);
void *memcpy(void *to, const void *from, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);
/* True if s begins with that. */
bool begins(const char *s, const char *prefix);
/* Whether [p, p + len) has this byte and no other. */
bool all_bytes(const void *p, uint8_t byte, size_t len);
uint64_t random64(void);

/* ---- memory ---- */

/* RAM the image may use, and where all RAM that is mapped ends. Set before the first test. */
extern uint64_t ram_start, ram_end;
/* More of it, from 4 GiB on; 0: none. Not mapped here. */
extern uint64_t ram_high_end;

/* Zeroed, and gone when the test has ended. */
void *page_alloc(size_t bytes);

/* ---- the command line ---- */

/* The value of `key` ("disk=") as text up to a space, its number'th occurrence; NULL: none. */
const char *option(const char *key, unsigned int number);
/* A number, decimal or 0x; *end is what follows. */
uint64_t parse_number(const char *s, const char **end);

/*
 * How often to do what is done many times: `most`, or, with few=1 on the command line, a small part
 * of that. Two CPUs that wait for each other on one processor of the host are slow.
 */
unsigned int rounds(unsigned int most);

/* ---- waiting ---- */

/* Until cond holds; the check that it does fails after a time in which anything is done. */
#define wait_until(cond)                                                          \
	do {                                                                      \
		uint64_t end_ = arch_ticks() + arch_patience;                     \
		while (!(cond)) {                                                 \
			arch_relax();                                             \
			if (arch_ticks() > end_)                                  \
				bare_fail(__FILE__, __LINE__, "in time: " #cond); \
		}                                                                 \
	} while (0)

/* ---- a second CPU beside the test ---- */

/*
 * Runs work(arg) there, until work_stopped(); the test is skipped when there is none. The end of
 * the test ends it, too. It must not check, and allocate nothing.
 */
void work_begin(void (*work)(void *), void *arg);
bool work_stopped(void);
/* Tells it to stop, and waits. */
void work_end(void);

#include "guest/bare/arch.h"

#endif
