/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aml: writes ACPI Machine Language (ACPI 6.4, chapter 20) and the resource descriptors in it
 * (6.4, section 6.4) into a buffer. Main thread, set-up only.
 *
 * What does not fit is dropped and remembered in `full`: check once, at the end. Everything nested
 * is written between aml_begin_… and aml_end, which puts the length in.
 */
#ifndef VMM_X86_AML_H
#define VMM_X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t size;
	size_t len;
	bool full;
};

void aml_byte(struct aml *aml, uint8_t byte);
void aml_bytes(struct aml *aml, const void *bytes, size_t len);
/* Little-endian, `len` bytes of it. */
void aml_uint(struct aml *aml, uint64_t value, unsigned int len);

/* `name` has four characters from A-Z, 0-9 and _. */
void aml_name_integer(struct aml *aml, const char *name, uint32_t value);
void aml_name_string(struct aml *aml, const char *name, const char *value);

/* Each returns what its aml_end wants. */
size_t aml_begin_scope_sb(struct aml *aml); /* \_SB */
size_t aml_begin_device(struct aml *aml, const char *name);
size_t aml_begin_name_package(struct aml *aml, const char *name, uint8_t elements);
size_t aml_begin_method(struct aml *aml, const char *name, uint8_t arguments); /* serialized */
void aml_end(struct aml *aml, size_t begin);

/* In a method: Notify (name, value). */
void aml_notify(struct aml *aml, const char *name, uint32_t value);

/* The value of an element of a package. */
void aml_integer(struct aml *aml, uint32_t value);

/* Name (_CRS, ResourceTemplate () { … }): descriptors go between begin and end. */
struct aml_crs {
	size_t buffer;
	size_t size_at;
};

struct aml_crs aml_begin_crs(struct aml *aml);
void aml_crs_memory(struct aml *aml, uint32_t base, uint32_t size);
void aml_crs_ports(struct aml *aml, uint16_t base, uint8_t size);
void aml_crs_interrupt(struct aml *aml, uint32_t gsi); /* edge, active high, exclusive */
void aml_end_crs(struct aml *aml, struct aml_crs crs);

#endif
