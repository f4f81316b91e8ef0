/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC32C in software: every processor has it, and a state file is small. */
#include "vmm/state/state.h"

#define POLYNOMIAL 0x82f63b78u /* Castagnoli, reflected */

uint32_t state_crc(uint32_t crc, const void *data, size_t size)
{
	uint32_t table[16];
	const uint8_t *at = data;

	/* Two look-ups of four bits each per byte. */
	for (uint32_t i = 0; i < 16; i++) {
		table[i] = i;
		for (int bit = 0; bit < 4; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? POLYNOMIAL : 0);
	}
	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= at[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}
