/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: state_open, state_find, state_get (the sections of a snapshot's state file)
 * Bounds: files of up to 88 bytes, which have up to 3 sections, with any contents; any tag
 * Properties: no access outside of the file; the loops end; what state_find returns lies inside of
 *   the file, behind a section header with the tag and the instance that were asked for, and has
 *   the size that the header says; state_get copies that section, and only if it has the size of
 *   the caller's buffer; a file whose header does not fit it is refused
 * Section: none (vmm/state/state.h)
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_COPY_IN(copy, at, len) copied_in(copy, at, len)

static void copied_in(const void *copy, const void *at, uint64_t len);

#include "tests/proof/proof.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

/* The reasons of a refusal are text, which the unit tests check. */
#undef isprint
#define isprint(byte)		       ANY(bool)
#define vsnprintf(to, size, fmt, args) ((void)(fmt))

#include "vmm/state/reader.c"

static uint64_t file_size;
static struct state_header header;
static struct state_section section; /* read last */
static const char *behind;	     /* the place behind it */
static char to[8];
static bool got;

static void copied_in(const void *copy, const void *at, uint64_t len)
{
	if (copy == (const void *)to) {
		prove(len == sizeof(to) && at == (const void *)behind,
		      "the section that was found");
		got = true;
	} else if (len == sizeof(header)) {
		prove(at == (const void *)shared[0].base, "the header");
		header = *(const struct state_header *)copy;
	} else {
		prove(len == sizeof(section) && shared_offset(at) % 8 == 0, "a section's header");
		section = *(const struct state_section *)copy;
		behind = (const char *)at + len;
	}
}

uint32_t state_crc(uint32_t crc, const void *from, size_t size)
{
	if (shared_holds(&shared[0], from))
		shared_check(&shared[0], from, size, false);
	return ANY(uint32_t);
}

static bool known(uint32_t tag)
{
	return ANY(bool);
}

int main(void)
{
	struct state_reader r;
	uint32_t arch = ANY(uint32_t), tag = ANY(uint32_t);
	uint16_t instance = ANY(uint16_t);
	const char *data;
	size_t found;

	file_size = ANY(uint64_t);
	assume(file_size <= sizeof(header) + 3 * sizeof(section) + 8);
	shared_create(0, file_size, true);
	if (state_open(&r, shared[0].base, file_size, arch, known))
		return 0;
	prove(memcmp(header.magic, STATE_MAGIC, sizeof(header.magic)) == 0, "magic");
	prove(header.version == STATE_VERSION && header.arch == arch && header.size == file_size,
	      "a header for this file");

	data = state_find(&r, tag, instance, &found);
	if (data) {
		prove(data == behind && section.tag == tag && section.instance == instance &&
			      section.size == found,
		      "the section that was asked for");
		prove(shared_offset(data) <= file_size && found <= file_size - shared_offset(data),
		      "it lies in the file");
	}
	prove((state_get(&r, tag, instance, to, sizeof(to)) == 0) == got, "copied, or refused");
	prove(!got || (section.tag == tag && section.size == sizeof(to)), "of this size");
}
