/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile descriptor chains: rows 10, 12 and 13 (tests/rows). */
#include "guest/bare/hostile.h"

TEST(row10_indirect_that_was_not_negotiated)
{
	struct request r = request(SECTOR);
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.data, SECTOR, true },
				 { (uintptr_t)r.status, 1, true } };

	begin(8, 0);
	offer(&d, chain_indirect(&d, NULL, piece, 3));
	check_broken();
	check(*r.status == NO_STATUS);
}

/* Prepares a valid request in an indirect table, which the caller then corrupts. */
static struct vring_desc *indirect_request(void)
{
	struct vring_desc *table = page_alloc(PAGE);
	struct request r = request(SECTOR);
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.data, SECTOR, true },
				 { (uintptr_t)r.status, 1, true } };

	begin(8, INDIRECTION);
	chain_indirect(&d, table, piece, 3);
	return table;
}

TEST(row10_nested_table)
{
	struct vring_desc *table = indirect_request();

	table_set(table, 1, (uintptr_t)table, 48, INDIRECT, 0);
	offer(&d, 0);
	check_broken();
}

TEST(row10_indirect_and_next)
{
	indirect_request();
	desc(0)->flags = INDIRECT | NEXT;
	desc(0)->next = 1;
	offer(&d, 0);
	check_broken();
}

TEST(row10_length_of_the_table)
{
	static const uint32_t bad[] = { 0, 1, 15, 17, 47, 49, 0xffffffff };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		indirect_request();
		desc(0)->len = bad[i];
		offer(&d, 0);
		check_broken();
	}
}

TEST(row10_table_outside_ram)
{
	const uint64_t bad[] = { ram_end, ram_end - 16, 0xfffffffffffffff0ull, d.base };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		indirect_request();
		desc(0)->addr = bad[i];
		offer(&d, 0);
		check_broken();
	}
}

TEST(row12_no_room_for_a_status)
{
	struct request r = request(SECTOR);
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.data, SECTOR, false } };
	struct vring_used_elem elem;

	begin(8, 0);
	offer(&d, chain(&d, piece, 2));
	ring_wait_used(&d, &elem);
	check(elem.id == 0 && elem.len == 0);
	check_broken();
}

TEST(row12_header_too_short)
{
	struct request r = request(SECTOR);
	struct piece piece[] = { { (uintptr_t)r.header, 15, false },
				 { (uintptr_t)r.data, SECTOR, true },
				 { (uintptr_t)r.status, 1, true } };
	struct vring_used_elem elem;

	begin(8, 0);
	offer(&d, chain(&d, piece, 3));
	ring_wait_used(&d, &elem);
	check(elem.id == 0 && elem.len == 0);
	check_broken();
	check(*r.status == NO_STATUS);
}

TEST(row13_readable_after_writable)
{
	struct request r = request(SECTOR);
	struct piece piece[] = { { (uintptr_t)r.header, 16, false },
				 { (uintptr_t)r.data, SECTOR, true },
				 { (uintptr_t)r.data, SECTOR, false },
				 { (uintptr_t)r.status, 1, true } };

	begin(8, 0);
	offer(&d, chain(&d, piece, 4));
	check_broken();
	check(*r.status == NO_STATUS);
}
