/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aml: writer of ACPI Machine Language (AML) and resource descriptors.
 *
 * The formats are in ACPI 6.4, chapter 20 and section 6.4. Main thread, set-up only.
 *
 * Output that does not fit in the buffer is dropped, and `full` is set, so the caller checks only
 * once, at the end. Nested objects are written between an aml_begin_* call and aml_end, which fills
 * in the length.
 */
#ifndef VMM_ARCH_X86_64_AML_H
#define VMM_ARCH_X86_64_AML_H

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
/* Append the lowest `len` bytes of `value`, little-endian. */
void aml_uint(struct aml *aml, uint64_t value, unsigned int len);

/* Append Name (name, value). A `name` has four characters from A-Z, 0-9 and _. */
void aml_name_integer(struct aml *aml, const char *name, uint32_t value);
void aml_name_string(struct aml *aml, const char *name, const char *value);

/* Begin a nested object. Each function returns the value to pass to aml_end. */
size_t aml_begin_scope_sb(struct aml *aml); /* \_SB */
size_t aml_begin_device(struct aml *aml, const char *name);
size_t aml_begin_name_package(struct aml *aml, const char *name, uint8_t elements);
size_t aml_begin_method(struct aml *aml, const char *name, uint8_t arguments); /* serialized */
void aml_end(struct aml *aml, size_t begin);

/* Append Notify (name, value) to a method. */
void aml_notify(struct aml *aml, const char *name, uint32_t value);

/* Append an integer, for example as an element of a package. */
void aml_integer(struct aml *aml, uint32_t value);

/* An open Name (_CRS, ResourceTemplate () { … }): resource descriptors are appended between
 * aml_begin_crs and aml_end_crs. */
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
