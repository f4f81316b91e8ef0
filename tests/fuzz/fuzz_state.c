/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of the reader of state files: any bytes, once as they are and once with a header that
 * fits them, which the fuzzer would not find. A file is refused with a printable reason, or each of
 * its sections lies inside it. A set of pages is refused, or has pages of the memory only, each once.
 */
#include <ctype.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/state/working_set.h"

#define MACHINE 62u

static bool known(uint32_t tag)
{
	return (tag & 1) != 0 || tag == TAG_PAGES;
}

static void must_be_reason(const char *why)
{
	fuzz_must(*why);
	for (; *why; why++)
		fuzz_must(isprint((unsigned char)*why));
}

static void read_pages(struct state_reader *r)
{
	const uint64_t pages = 99;
	struct page_run run = { 0 };
	struct page_set set;
	uint64_t end = 0, count = 0;

	if (page_set_get(&set, r, pages * 4096)) {
		must_be_reason(r->why);
	} else {
		for (; page_set_next(&set, &run); end = run.first + run.count) {
			fuzz_must(run.count && run.count <= pages && run.first >= end);
			fuzz_must(run.first + run.count <= pages);
			count += run.count;
		}
		fuzz_must(count == page_set_count(&set));
	}
	page_set_free(&set);
}

static void read_sections(struct state_reader *r, const uint8_t *file, size_t size)
{
	for (unsigned int tag = 0; tag < 256; tag += 51) {
		uint32_t tags = tag * 0x01010101u;
		size_t found = 0;
		const uint8_t *data = state_find(r, tags, tag & 3, &found);
		uint8_t copy[16];

		fuzz_must(!data ||
			  (data >= file && found <= size && (size_t)(data - file) <= size - found));
		if (state_get(r, tags, tag & 3, copy, sizeof(copy)))
			must_be_reason(r->why);
	}
	read_pages(r);
}

static void open_once(const uint8_t *file, size_t size)
{
	struct state_reader r;

	if (state_open(&r, file, size, MACHINE, known))
		must_be_reason(r.why);
	else
		read_sections(&r, file, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_header header = { .version = STATE_VERSION, .arch = MACHINE };
	/* The exact size: ASan finds reads beyond the end. */
	uint8_t *file = malloc(sizeof(header) + size);

	fuzz_must(file);
	memcpy(file, data, size);
	open_once(file, size);
	memcpy(header.magic, STATE_MAGIC, sizeof(header.magic));
	header.size = sizeof(header) + size;
	memcpy(file, &header, sizeof(header));
	if (size)
		memcpy(file + sizeof(header), data, size);
	header.crc = state_crc(0, file, sizeof(header) + size);
	memcpy(file, &header, sizeof(header));
	open_once(file, sizeof(header) + size);
	free(file);
	return 0;
}
