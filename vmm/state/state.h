/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state: writer and reader of the state file of a snapshot.
 *
 * The file is a header and a list of sections, all little-endian, and each a multiple of 8 bytes. A
 * section has a tag of four characters, an instance number (a vCPU, a disk) and data of its owner's
 * format. The header has the version of all formats together, the architecture, the file's size and
 * a CRC32C of everything else. There is no conversion between versions: a format that changes
 * increments STATE_VERSION.
 *
 * The reader accepts any bytes. The caller owns the data, which must not change meanwhile. No
 * function logs; each may be called by any thread.
 */
#ifndef VMM_STATE_STATE_H
#define VMM_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_VERSION 1u
#define STATE_MAGIC   "uVMstate"

/* Largest file that the reader accepts. The pages of a TiB take 32 MiB; 1024 vCPUs need less. */
#define STATE_SIZE_MAX (64u << 20)

/* The tag with the characters a, b, c and d in the file. */
#define STATE_TAG(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

struct state_header {
	char magic[8]; /* STATE_MAGIC */
	uint32_t version;
	uint32_t arch; /* EM_* of the ELF format */
	uint64_t size; /* bytes of the file */
	uint32_t crc;  /* CRC32C of the file with 0 in this field */
	uint32_t zero;
};

/* A reader may skip a section that it does not know if this bit is set in its flags. */
#define STATE_OPTIONAL 1u

struct state_section {
	uint32_t tag;
	uint16_t instance;
	uint16_t flags;
	uint32_t size; /* bytes of data, without the padding up to a multiple of 8 */
	uint32_t zero;
};

/* Continues a CRC32C (Castagnoli) over `size` more bytes; the first call passes crc 0. */
uint32_t state_crc(uint32_t crc, const void *data, size_t size);

/* ---- writing ---- */

struct state_writer {
	uint8_t *data; /* the file, allocated */
	size_t size, capacity;
	bool failed; /* memory was exhausted; state_end reports it */
};

/* Begins a file for the architecture. The caller calls state_free in any case. */
void state_begin(struct state_writer *writer, uint32_t arch);

/* Appends a section with `size` zeroed bytes of data. Returns the data, which the caller fills
 * before its next call; NULL: there is no memory. */
void *state_reserve(struct state_writer *writer, uint32_t tag, unsigned int instance, size_t size);

/* Appends a section with a copy of the data. */
void state_put(struct state_writer *writer, uint32_t tag, unsigned int instance, const void *data,
	       size_t size);

/* Completes the header. Returns 0, or -ENOMEM if a section is missing. */
int state_end(struct state_writer *writer);

void state_free(struct state_writer *writer);

/* ---- reading ---- */

#define STATE_WHY_MAX 100

struct state_reader {
	const uint8_t *data;
	size_t size;
	char why[STATE_WHY_MAX]; /* why a function has failed, for the user */
};

/*
 * Reads a whole file into allocated memory, which the caller frees. `fd` may be anything that can
 * be opened. Returns 0; -EINVAL with reader->why: not a regular file, or too large or too small for
 * a state file; or another -errno, with reader->why empty.
 */
int state_load(struct state_reader *reader, int fd, void **data);

/*
 * Checks header, checksum and sections of a file of `size` bytes. known() returns whether the
 * caller understands a tag. Returns 0, or -EINVAL with reader->why.
 */
int state_open(struct state_reader *reader, const void *data, size_t size, uint32_t arch,
	       bool (*known)(uint32_t tag));

/* Returns the data of a section and stores its size in *size; NULL: there is no such section. */
const void *state_find(const struct state_reader *reader, uint32_t tag, unsigned int instance,
		       size_t *size);

/* Copies the data of a section, whose size must be `size`. Returns 0, or -EINVAL with
 * reader->why. */
int state_get(struct state_reader *reader, uint32_t tag, unsigned int instance, void *to,
	      size_t size);

/* Stores in reader->why that a value in the section is invalid. Returns -EINVAL. */
int state_refuse(struct state_reader *reader, uint32_t tag, unsigned int instance,
		 const char *what);

#endif
