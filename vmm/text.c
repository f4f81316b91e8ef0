/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "vmm/text.h"

/* isprint() is not used because its result depends on the locale. */
bool text_printable(char c)
{
	return c >= ' ' && c <= '~';
}

size_t text_show(char *to, size_t size, const char *text)
{
	static const char more[] = "...";
	size_t len = strlen(text);
	bool cut = len >= size;

	if (cut)
		len = size - sizeof(more);
	for (size_t i = 0; i < len; i++)
		to[i] = text_printable(text[i]) ? text[i] : '?';
	strcpy(to + len, cut ? more : "");
	return strlen(to);
}

/* Parses the decimal number at the start of text. Returns a pointer to the rest; NULL: text does
 * not start with a digit, or the number exceeds 64 bits. */
static const char *take_number(const char *text, uint64_t *number)
{
	const char *digit = text;
	uint64_t n = 0;

	for (; *digit >= '0' && *digit <= '9'; digit++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *digit - '0', &n))
			return NULL;
	}
	*number = n;
	return digit != text ? digit : NULL;
}

bool text_number(const char *text, uint64_t *number)
{
	const char *rest = take_number(text, number);

	return rest && !*rest;
}

bool text_switch(const char *text, bool *on)
{
	*on = !strcmp(text, "on");
	return *on || !strcmp(text, "off");
}

bool text_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kKmMgGtT";
	const char *rest, *suffix;
	unsigned int shift = 20;
	uint64_t n;

	rest = take_number(text, &n);
	if (!rest)
		return false;
	if (*rest) {
		suffix = strchr(suffixes, *rest);
		if (!suffix || rest[1])
			return false;
		shift = 10 * ((suffix - suffixes) / 2 + 1);
	}
	return !__builtin_mul_overflow(n, UINT64_C(1) << shift, bytes);
}
