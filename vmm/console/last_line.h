/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * last_line: the last line that the guest wrote to its console, and signs of a panic in it.
 *
 * The caller serializes the calls. Nothing is allocated or logged.
 */
#ifndef VMM_CONSOLE_LAST_LINE_H
#define VMM_CONSOLE_LAST_LINE_H

#include <stdbool.h>
#include <stdint.h>

#define LAST_LINE_MAX 160 /* bytes of a line with its NUL; the rest of a longer line is left out */

/* State of an escape sequence, which is no part of a line. */
enum last_line_escape { LAST_LINE_TEXT, LAST_LINE_ESCAPED, LAST_LINE_SEQUENCE };

/* The caller initialises the struct with zeros. */
struct last_line {
	char now[LAST_LINE_MAX];  /* the line that is being written */
	char last[LAST_LINE_MAX]; /* the last complete line that is not blank */
	uint8_t len;		  /* of `now`, without a NUL */
	uint8_t escape;		  /* enum last_line_escape */
	bool returned;		  /* the cursor is back at the start of `now` */
	bool panicked;		  /* `last` is the kernel's message about its panic, and stays */
	bool rootless;		  /* the kernel has not been able to mount its root */
};

/* Adds a byte of output. */
void last_line_add(struct last_line *l, uint8_t byte);

/* Returns the kernel's message about its panic, or else the last line that is not blank, which may
 * be incomplete and contain unprintable bytes; "" if there is none. The text is inside *l. */
const char *last_line_text(struct last_line *l);

#endif
