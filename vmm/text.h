/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text: parsing of option values, spelling suggestions, quoting in messages.
 *
 * Every function may be called from any thread; none allocates or logs.
 */
#ifndef VMM_TEXT_H
#define VMM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Size of a buffer for a user's value that is quoted in a message, in bytes. */
#define SHOWN_MAX 120

/* Returns true for printable ASCII. */
bool text_printable(char c);

/* Copies text for a message into the `size` bytes at `to`: unprintable bytes become '?', text that
 * is too long ends in "...". Returns the length of the copy. */
size_t text_show(char *to, size_t size, const char *text);

/* Parses a decimal number that takes up all of `text`. False: invalid. */
bool text_number(const char *text, uint64_t *number);

/* Parses "on" or "off". False: neither of them. */
bool text_switch(const char *text, bool *on);

/* Parses a size with a suffix K, M, G or T (powers of 1024; MiB without a suffix) that takes up all
 * of `text`. False: invalid. */
bool text_size(const char *text, uint64_t *bytes);

/* Best suggestion so far for a misspelled word; the caller zeroes it first. */
struct text_guess {
	const char *name; /* NULL: no similar name yet */
	unsigned int cost;
};

/* Records `name` in *guess if it resembles the first `len` characters of `word` more closely than
 * the names offered before. */
void text_guess(struct text_guess *guess, const char *word, size_t len, const char *name);

/* Size of text_hint's buffer, in bytes. */
#define HINT_MAX 40

/* Returns "did you mean NAME?" in `hint`, or the static string "see --help" without a
 * suggestion. */
const char *text_hint(const struct text_guess *guess, char hint[HINT_MAX]);

/* Size of a buffer for the reason why a value is invalid, in bytes. */
#define WHY_MAX 60

#endif
