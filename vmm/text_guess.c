/* SPDX-License-Identifier: BSD-3-Clause */
/* Spelling suggestions for misspelled option names and values. */
#include <stdio.h>
#include <string.h>

#include "vmm/text.h"

/* Longest word or name that is compared, in characters; it bounds the table on the stack. */
#define WORD_MAX 20

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Edit distance: number of insertions, deletions, substitutions and swaps of neighbours. */
static unsigned int distance(const char *word, size_t len, const char *name)
{
	unsigned int d[WORD_MAX + 1][WORD_MAX + 1];
	size_t name_len = strlen(name);

	for (size_t i = 0; i <= len; i++) {
		for (size_t j = 0; j <= name_len; j++) {
			d[i][j] = (unsigned int)(i + j); /* final if i or j is 0 */
			if (!i || !j)
				continue;
			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
					d[i - 1][j - 1] + (word[i - 1] != name[j - 1]));
			if (i > 1 && j > 1 && word[i - 1] == name[j - 2] &&
			    word[i - 2] == name[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[len][name_len];
}

/* Returns true if the word consists of two or more letters of the name in their order, starting
 * with the name's first letter: "ro" for "readonly". */
static bool abbreviates(const char *word, size_t len, const char *name)
{
	size_t at = 0;

	if (len < 2 || word[0] != name[0])
		return false;
	for (; *name && at < len; name++)
		at += word[at] == *name;
	return at == len;
}

void text_guess(struct text_guess *guess, const char *word, size_t len, const char *name)
{
	unsigned int cost;

	if (len > WORD_MAX || strlen(name) > WORD_MAX)
		return;
	cost = distance(word, len, name);
	/* A suggestion may have one error in three letters. An abbreviation ranks below any of
	 * these. */
	if (cost * 3 > len)
		cost = abbreviates(word, len, name) ? WORD_MAX : WORD_MAX + 1;
	if (cost > WORD_MAX || (guess->name && guess->cost <= cost))
		return;
	guess->name = name;
	guess->cost = cost;
}

const char *text_hint(const struct text_guess *guess, char hint[HINT_MAX])
{
	if (guess->name)
		snprintf(hint, HINT_MAX, "did you mean %s?", guess->name);
	return guess->name ? hint : "see --help";
}
