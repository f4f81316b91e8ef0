/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text that users type and read: numbers, sizes, switches, names that were misspelled, and values as
 * they are quoted in messages. Any thread; no function here allocates or logs.
 */
#ifndef VMM_TEXT_H
#define VMM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for a user's value in a message. */
#define SHOWN_MAX 120

/* Printable ASCII. */
bool text_printable(char c);

/* Copies text for use in a message: unprintable bytes as '?', the end of what is too long as "...".
 * Returns the length. */
size_t text_show(char *to, size_t size, const char *text);

/*
 * Each parses the whole of `text` and returns false if it does not fit: a decimal number; "on" or "off";
 * a size with a suffix K, M, G or T, or in MiB without one, which becomes a number of bytes.
 */
bool text_number(const char *text, uint64_t *number);
bool text_switch(const char *text, bool *on);
bool text_size(const char *text, uint64_t *bytes);

/* The best name so far for a word that is none; zeroed at first. */
struct text_guess {
	const char *name; /* NULL: none is like it */
	unsigned int cost;
};

/* Is `name` more like the first `len` characters of `word` than those before it? */
void text_guess(struct text_guess *guess, const char *word, size_t len, const char *name);

/* "did you mean NAME?" in `hint`, or a static string that says where the names are. */
#define HINT_MAX 40
const char *text_hint(const struct text_guess *guess, char hint[HINT_MAX]);

/* Room for what is wrong with a value. */
#define WHY_MAX 60

#endif
