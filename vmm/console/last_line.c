/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/console/last_line.h"

#include <string.h>

#define PANIC	 "Kernel panic - not syncing"
#define ROOTLESS "VFS: Unable to mount root fs"
#define BLANK	 " \t"

_Static_assert(LAST_LINE_MAX <= UINT8_MAX, "the length of a line fits its field");

/* Returns the text of a line after the kernel's time stamp, "[    0.123456] ", and other
 * brackets. */
static const char *message_of(const char *line)
{
	const char *end;

	while (*line == '[' && (end = strchr(line, ']')))
		line = end + 1 + strspn(end + 1, BLANK);
	return line;
}

static bool blank(const char *line)
{
	return !line[strspn(line, BLANK)];
}

static void end_line(struct last_line *l)
{
	const char *message;

	l->now[l->len] = '\0';
	l->len = 0;
	l->returned = false;
	if (l->panicked || blank(l->now))
		return;
	message = message_of(l->now);
	l->rootless = l->rootless || strstr(message, ROOTLESS);
	/* Only a message of the kernel counts, not a line that quotes one. */
	l->panicked = !strncmp(message, PANIC, strlen(PANIC));
	memmove(l->last, l->panicked ? message : l->now,
		strlen(l->panicked ? message : l->now) + 1);
}

/* Returns true if the byte belongs to an escape sequence: ESC and one byte, or ESC [ and the bytes
 * up to the final byte, which is 0x40 or more. */
static bool escapes(struct last_line *l, uint8_t byte)
{
	switch (l->escape) {
	case LAST_LINE_ESCAPED:
		l->escape = byte == '[' ? LAST_LINE_SEQUENCE : LAST_LINE_TEXT;
		return true;
	case LAST_LINE_SEQUENCE:
		if (byte >= '@')
			l->escape = LAST_LINE_TEXT;
		return byte >= ' ';
	default:
		l->escape = byte == '\033' ? LAST_LINE_ESCAPED : LAST_LINE_TEXT;
		return l->escape;
	}
}

void last_line_add(struct last_line *l, uint8_t byte)
{
	if (escapes(l, byte))
		return;
	if (byte == '\n') {
		end_line(l);
	} else if (byte == '\r') {
		l->returned = true;
	} else {
		if (l->returned)
			l->len = 0;
		l->returned = false;
		if (byte && l->len < LAST_LINE_MAX - 1)
			l->now[l->len++] = (char)byte;
	}
}

const char *last_line_text(struct last_line *l)
{
	l->now[l->len] = '\0';
	return l->panicked || blank(l->now) ? l->last : l->now;
}
