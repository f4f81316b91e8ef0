/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC32C in software: every processor has it, and a state file is small. */
#include "vmm/state/state.h"

#define POLYNOMIAL 0x82f63b78u /* Castagnoli, reflected */

uint32_t state_crc(uint32_t crc, const void *data, size_t size)
{
	uint32_t table[256] = { 0 };
	const uint8_t *at = data;

	/* The entry of a sum of powers of two is the sum of their entries. */
	for (uint32_t bit = 128, value = POLYNOMIAL; bit; bit >>= 1) {
		for (uint32_t i = 0; i < 256; i += 2 * bit)
			table[i + bit] = table[i] ^ value;
		value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
	}
	crc = ~crc;
	for (size_t i = 0; i < size; i++)
		crc = crc >> 8 ^ table[(crc ^ at[i]) & 255];
	return ~crc;
}
