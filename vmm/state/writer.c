/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/state/state.h"

#define CAPACITY_MIN 65536u

/* Appends zeroed bytes, a multiple of 8. NULL: there is no memory. */
static void *append(struct state_writer *w, size_t size)
{
	void *at;

	if (!w->failed && w->capacity - w->size < size) {
		size_t capacity = 2 * w->capacity + size;
		uint8_t *data = realloc(w->data, capacity);

		w->failed = !data;
		if (data) {
			w->data = data;
			w->capacity = capacity;
		}
	}
	if (w->failed)
		return NULL;
	at = w->data + w->size;
	w->size += size;
	return memset(at, 0, size);
}

void state_begin(struct state_writer *w, uint32_t arch)
{
	struct state_header *header;

	*w = (struct state_writer){ .data = malloc(CAPACITY_MIN), .capacity = CAPACITY_MIN };
	w->failed = !w->data;
	header = append(w, sizeof(*header));
	if (!header)
		return;
	memcpy(header->magic, STATE_MAGIC, sizeof(header->magic));
	header->version = STATE_VERSION;
	header->arch = arch;
}

void *state_reserve(struct state_writer *w, uint32_t tag, unsigned int instance, size_t size)
{
	struct state_section *section = append(w, sizeof(*section) + ((size + 7) & ~(size_t)7));

	if (!section)
		return NULL;
	section->tag = tag;
	section->instance = (uint16_t)instance;
	section->size = (uint32_t)size;
	return section + 1;
}

void state_put(struct state_writer *w, uint32_t tag, unsigned int instance, const void *data,
	       size_t size)
{
	void *to = state_reserve(w, tag, instance, size);

	if (to && size)
		memcpy(to, data, size);
}

int state_end(struct state_writer *w)
{
	struct state_header *header = (void *)w->data;

	if (w->failed)
		return -ENOMEM;
	header->size = w->size;
	header->crc = 0;
	header->crc = state_crc(0, w->data, w->size);
	return 0;
}

void state_free(struct state_writer *w)
{
	free(w->data);
	*w = (struct state_writer){ .failed = true };
}
