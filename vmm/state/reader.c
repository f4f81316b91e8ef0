/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/state/state.h"

__attribute__((format(printf, 2, 3))) static int refuse(struct state_reader *r, const char *fmt,
							...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Writes the tag as text; unprintable bytes become '?'. */
static const char *tag_text(uint32_t tag, char text[5])
{
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t byte = (uint8_t)(tag >> 8 * i);

		text[i] = isprint(byte) ? (char)byte : '?';
	}
	text[4] = '\0';
	return text;
}

int state_load(struct state_reader *r, int fd, void **data)
{
	struct stat st;
	size_t done = 0;
	ssize_t n = 1;

	*r = (struct state_reader){ .data = NULL };
	*data = NULL;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return refuse(r, "is not a regular file");
	if (st.st_size < (off_t)sizeof(struct state_header) || st.st_size > STATE_SIZE_MAX)
		return refuse(r, "has %lld bytes, which no state file has", (long long)st.st_size);
	r->size = (size_t)st.st_size;
	*data = malloc(r->size);
	if (!*data)
		return -ENOMEM;
	while (done < r->size && n > 0) {
		n = pread(fd, (char *)*data + done, r->size - done, (off_t)done);
		done += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return -errno;
	return done < r->size ? refuse(r, "became shorter while it was read") : 0;
}

static int check_header(struct state_reader *r, uint32_t arch)
{
	struct state_header header;
	uint32_t crc;

	if (r->size < sizeof(header))
		return refuse(r, "is truncated");
	memcpy(&header, r->data, sizeof(header));
	if (memcmp(header.magic, STATE_MAGIC, sizeof(header.magic)) != 0)
		return refuse(r, "is not the state of a snapshot");
	if (header.version != STATE_VERSION)
		return refuse(r, "has version %u of the format; this microvm reads version %u",
			      header.version, STATE_VERSION);
	if (header.arch != arch)
		return refuse(r, "is of another architecture");
	if (header.size != r->size)
		return refuse(r, "has %zu bytes instead of %llu", r->size,
			      (unsigned long long)header.size);
	crc = header.crc;
	header.crc = 0;
	if (state_crc(state_crc(0, &header, sizeof(header)), r->data + sizeof(header),
		      r->size - sizeof(header)) != crc)
		return refuse(r, "has a wrong checksum");
	return 0;
}

/* Reads the section at *at and moves *at behind it. NULL: the file ends here, or inside it. */
static const void *next_section(const struct state_reader *r, size_t *at,
				struct state_section *section)
{
	const uint8_t *data = r->data + *at + sizeof(*section);
	size_t left = r->size - *at, padded;

	if (left < sizeof(*section))
		return NULL;
	memcpy(section, r->data + *at, sizeof(*section));
	padded = ((size_t)section->size + 7) & ~(size_t)7;
	if (left - sizeof(*section) < padded)
		return NULL;
	*at += sizeof(*section) + padded;
	return data;
}

int state_open(struct state_reader *r, const void *data, size_t size, uint32_t arch,
	       bool (*known)(uint32_t tag))
{
	size_t at = sizeof(struct state_header);
	struct state_section section;
	int err;

	*r = (struct state_reader){ .data = data, .size = size };
	err = check_header(r, arch);
	if (err)
		return err;
	while (at < r->size) {
		char text[5];

		if (!next_section(r, &at, &section))
			return refuse(r, "ends inside a section");
		if (!known(section.tag) && !(section.flags & STATE_OPTIONAL))
			return refuse(r, "has a section '%s', which this microvm does not know",
				      tag_text(section.tag, text));
	}
	return 0;
}

const void *state_find(const struct state_reader *r, uint32_t tag, unsigned int instance,
		       size_t *size)
{
	size_t at = sizeof(struct state_header);
	struct state_section section;
	const void *data;

	while ((data = next_section(r, &at, &section))) {
		if (section.tag != tag || section.instance != instance)
			continue;
		*size = section.size;
		return data;
	}
	return NULL;
}

int state_get(struct state_reader *r, uint32_t tag, unsigned int instance, void *to, size_t size)
{
	size_t found = 0;
	const void *data = state_find(r, tag, instance, &found);
	char text[5];

	if (!data)
		return refuse(r, "lacks section '%s' %u", tag_text(tag, text), instance);
	if (found != size)
		return refuse(r, "section '%s' %u has %zu bytes instead of %zu",
			      tag_text(tag, text), instance, found, size);
	memcpy(to, data, size);
	return 0;
}

int state_refuse(struct state_reader *r, uint32_t tag, unsigned int instance, const char *what)
{
	char text[5];

	return refuse(r, "section '%s' %u: %s", tag_text(tag, text), instance, what);
}
