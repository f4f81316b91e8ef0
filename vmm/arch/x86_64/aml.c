/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/arch/x86_64/aml.h"

#include <string.h>

/* Opcodes (ACPI 6.4, 20.3) */
#define OP_NAME	      0x08
#define OP_BYTE	      0x0a
#define OP_WORD	      0x0b
#define OP_DWORD      0x0c
#define OP_STRING     0x0d
#define OP_SCOPE      0x10
#define OP_BUFFER     0x11
#define OP_PACKAGE    0x12
#define OP_METHOD     0x14
#define OP_NOTIFY     0x86
#define OP_EXT_PREFIX 0x5b
#define OP_EXT_DEVICE 0x82

/* Resource descriptors (ACPI 6.4, 6.4.2 and 6.4.3) */
#define RES_IO		  0x47
#define RES_END		  0x79
#define RES_MEMORY32	  0x86
#define RES_EXT_IRQ	  0x89
#define IO_DECODE_16	  0x01
#define MEMORY_RW	  0x01
#define IRQ_CONSUMER	  0x01
#define IRQ_EDGE	  0x02

#define METHOD_SERIALIZED 0x08

#define NAME_LEN	  4
#define LENGTH_LEN	  3 /* every PkgLength is encoded in this many bytes: 20 bits */

void aml_bytes(struct aml *aml, const void *bytes, size_t len)
{
	if (aml->full || len > aml->size - aml->len) {
		aml->full = true;
		return;
	}
	memcpy(aml->buf + aml->len, bytes, len);
	aml->len += len;
}

void aml_byte(struct aml *aml, uint8_t byte)
{
	aml_bytes(aml, &byte, 1);
}

void aml_uint(struct aml *aml, uint64_t value, unsigned int len)
{
	aml_bytes(aml, &value, len);
}

static void name_op(struct aml *aml, const char *name)
{
	aml_byte(aml, OP_NAME);
	aml_bytes(aml, name, NAME_LEN);
}

void aml_integer(struct aml *aml, uint32_t value)
{
	if (value <= 1) { /* ZeroOp is 0 and OneOp is 1 */
		aml_uint(aml, value, 1);
	} else if (value <= UINT8_MAX) {
		aml_byte(aml, OP_BYTE);
		aml_uint(aml, value, 1);
	} else {
		aml_byte(aml, OP_DWORD);
		aml_uint(aml, value, 4);
	}
}

void aml_name_integer(struct aml *aml, const char *name, uint32_t value)
{
	name_op(aml, name);
	aml_integer(aml, value);
}

void aml_name_string(struct aml *aml, const char *name, const char *value)
{
	name_op(aml, name);
	aml_byte(aml, OP_STRING);
	aml_bytes(aml, value, strlen(value) + 1);
}

static size_t begin(struct aml *aml)
{
	static const uint8_t unknown[LENGTH_LEN];
	size_t at = aml->len;

	aml_bytes(aml, unknown, sizeof(unknown));
	return at;
}

size_t aml_begin_scope_sb(struct aml *aml)
{
	size_t at;

	aml_byte(aml, OP_SCOPE);
	at = begin(aml);
	aml_bytes(aml, "_SB_", NAME_LEN);
	return at;
}

size_t aml_begin_device(struct aml *aml, const char *name)
{
	size_t at;

	aml_byte(aml, OP_EXT_PREFIX);
	aml_byte(aml, OP_EXT_DEVICE);
	at = begin(aml);
	aml_bytes(aml, name, NAME_LEN);
	return at;
}

size_t aml_begin_name_package(struct aml *aml, const char *name, uint8_t elements)
{
	size_t at;

	name_op(aml, name);
	aml_byte(aml, OP_PACKAGE);
	at = begin(aml);
	aml_byte(aml, elements);
	return at;
}

size_t aml_begin_method(struct aml *aml, const char *name, uint8_t arguments)
{
	size_t at;

	aml_byte(aml, OP_METHOD);
	at = begin(aml);
	aml_bytes(aml, name, NAME_LEN);
	aml_byte(aml, arguments | METHOD_SERIALIZED);
	return at;
}

void aml_notify(struct aml *aml, const char *name, uint32_t value)
{
	aml_byte(aml, OP_NOTIFY);
	aml_bytes(aml, name, NAME_LEN);
	aml_integer(aml, value);
}

/* Fill in the PkgLength at `at`, which includes its own bytes. The lead byte has the number of
 * following bytes and the lowest four bits of the length. */
void aml_end(struct aml *aml, size_t at)
{
	size_t len = aml->len - at;

	if (aml->full)
		return;
	if (len >= 1u << 20) {
		aml->full = true;
		return;
	}
	aml->buf[at] = (uint8_t)((LENGTH_LEN - 1) << 6 | (len & 0xf));
	aml->buf[at + 1] = (uint8_t)(len >> 4);
	aml->buf[at + 2] = (uint8_t)(len >> 12);
}

struct aml_crs aml_begin_crs(struct aml *aml)
{
	struct aml_crs crs;

	name_op(aml, "_CRS");
	aml_byte(aml, OP_BUFFER);
	crs.buffer = begin(aml);
	aml_byte(aml, OP_WORD);
	crs.size_at = aml->len;
	aml_uint(aml, 0, 2);
	return crs;
}

void aml_crs_memory(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_byte(aml, RES_MEMORY32);
	aml_uint(aml, 9, 2);
	aml_byte(aml, MEMORY_RW);
	aml_uint(aml, base, 4);
	aml_uint(aml, size, 4);
}

void aml_crs_ports(struct aml *aml, uint16_t base, uint8_t size)
{
	aml_byte(aml, RES_IO);
	aml_byte(aml, IO_DECODE_16);
	aml_uint(aml, base, 2); /* minimum and maximum base */
	aml_uint(aml, base, 2);
	aml_byte(aml, 1); /* alignment */
	aml_byte(aml, size);
}

void aml_crs_interrupt(struct aml *aml, uint32_t gsi)
{
	aml_byte(aml, RES_EXT_IRQ);
	aml_uint(aml, 6, 2);
	aml_byte(aml, IRQ_CONSUMER | IRQ_EDGE);
	aml_byte(aml, 1); /* interrupts in this descriptor */
	aml_uint(aml, gsi, 4);
}

void aml_end_crs(struct aml *aml, struct aml_crs crs)
{
	size_t size;

	aml_byte(aml, RES_END);
	aml_byte(aml, 0); /* no checksum */
	if (aml->full)
		return;
	size = aml->len - crs.size_at - 2;
	aml->buf[crs.size_at] = (uint8_t)size;
	aml->buf[crs.size_at + 1] = (uint8_t)(size >> 8);
	aml_end(aml, crs.buffer);
}
