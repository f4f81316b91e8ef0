/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>

#include "guest/bare/bare.h"

void *memset(void *to, int byte, size_t len)
{
	uint8_t *p = to;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t len)
{
	const uint8_t *q = from;
	uint8_t *p = to;

	for (size_t i = 0; i < len; i++)
		p[i] = q[i];
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *p = a, *q = b;

	for (size_t i = 0; i < len; i++)
		if (p[i] != q[i])
			return p[i] < q[i] ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t len = 0;

	while (s[len])
		len++;
	return len;
}

bool begins(const char *s, const char *prefix)
{
	for (; *prefix; s++, prefix++)
		if (*s != *prefix)
			return false;
	return true;
}

bool all_bytes(const void *p, uint8_t byte, size_t len)
{
	const uint8_t *q = p;

	for (size_t i = 0; i < len; i++)
		if (q[i] != byte)
			return false;
	return true;
}

/* xorshift64: the same sequence in each run. */
uint64_t random64(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

uint64_t parse_number(const char *s, const char **end)
{
	unsigned int base = 10;
	uint64_t value = 0;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (;; s++) {
		unsigned int digit = 16;

		if (*s >= '0' && *s <= '9')
			digit = (unsigned int)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			digit = (unsigned int)(*s - 'a') + 10;
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	*end = s;
	return value;
}

static void put_text(const char *s, unsigned int width)
{
	size_t len = strlen(s);

	for (; width > len; width--)
		arch_putc(' ');
	while (*s)
		arch_putc(*s++);
}

static void put_number(uint64_t value, unsigned int base, unsigned int width, char fill, bool minus)
{
	char text[24];
	char *p = text + sizeof(text);

	*--p = 0;
	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (minus)
		*--p = '-';
	while (fill == '0' && p > text && (size_t)(text + sizeof(text) - 1 - p) < width)
		*--p = '0';
	put_text(p, width);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (const char *p = format; *p; p++) {
		unsigned int width = 0;
		char fill = ' ';
		bool is_long = false;
		int64_t number;

		if (*p != '%') {
			arch_putc(*p);
			continue;
		}
		p++;
		if (*p == '0')
			fill = *p++;
		for (; *p >= '0' && *p <= '9'; p++)
			width = width * 10 + (unsigned int)(*p - '0');
		for (; *p == 'l'; p++)
			is_long = true;
		switch (*p) {
		case 's':
			put_text(va_arg(args, const char *), width);
			break;
		case 'c':
			arch_putc((char)va_arg(args, int));
			break;
		case 'd':
			number = is_long ? va_arg(args, int64_t) : va_arg(args, int);
			put_number(number < 0 ? -(uint64_t)number : (uint64_t)number, 10, width,
				   fill, number < 0);
			break;
		default:
			put_number(is_long ? va_arg(args, uint64_t) : va_arg(args, unsigned int),
				   *p == 'x' ? 16 : 10, width, fill, false);
		}
	}
	va_end(args);
}
