/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parser of a flattened device tree (Devicetree Specification 0.4, chapter 5) as microvm writes it:
 * addresses and sizes of devices have two cells, interrupts three.
 */
#include "guest/bare/aarch64/machine.h"

#define MAGIC	   0xd00dfeedu
#define BEGIN_NODE 1u
#define END_NODE   2u
#define PROPERTY   3u
#define NOP	   4u

/* Offsets in the header, in words. */
#define HEADER_STRUCT  2u
#define HEADER_STRINGS 3u

/* Properties of a node, complete when the node ends. */
struct node {
	const char *name;
	const char *compatible;
	const uint32_t *reg, *interrupts; /* cells, big-endian */
};

static uint32_t cell(const uint32_t *at)
{
	return __builtin_bswap32(*at);
}

static uint64_t two_cells(const uint32_t *at)
{
	return (uint64_t)cell(at) << 32 | cell(at + 1);
}

static bool same(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && begins(a, b);
}

static void read_property(struct machine *m, struct node *node, const char *name, const void *value,
			  uint32_t len)
{
	if (same(name, "compatible"))
		node->compatible = value;
	else if (same(name, "reg"))
		node->reg = value;
	else if (same(name, "interrupts"))
		node->interrupts = value;
	else if (same(name, "bootargs") && len <= sizeof(m->command_line))
		memcpy(m->command_line, value, len);
}

static void end_node(struct machine *m, const struct node *node)
{
	const char *is = node->compatible ? node->compatible : "";

	if (!node->reg)
		return;
	if (begins(node->name, "memory@"))
		m->ram_end = two_cells(node->reg) + two_cells(node->reg + 2);
	if (same(is, "ns16550a"))
		m->serial = two_cells(node->reg);
	if (same(is, "arm,gic-v3") || same(is, "arm,cortex-a15-gic")) {
		m->gic_v3 = same(is, "arm,gic-v3");
		m->gic = two_cells(node->reg);
		m->gic_other = two_cells(node->reg + 4);
	}
	if (same(is, "virtio,mmio") && node->interrupts && m->devices < MACHINE_DEVICES) {
		m->device[m->devices].base = two_cells(node->reg);
		m->device[m->devices].gsi = cell(node->interrupts + 1);
		m->devices++;
	}
}

/* Nodes with children have no properties that matter here, so only the innermost node is kept. */
void tree_read(struct machine *m, const void *tree)
{
	const uint32_t *header = tree;
	const uint32_t *at = header + cell(header + HEADER_STRUCT) / 4;
	const char *strings = (const char *)tree + cell(header + HEADER_STRINGS);
	struct node node = { 0 };

	if (cell(header) != MAGIC)
		return;
	for (;;) {
		uint32_t token = cell(at++);

		if (token == BEGIN_NODE) {
			node = (struct node){ .name = (const char *)at };
			at += strlen(node.name) / 4 + 1;
		} else if (token == PROPERTY) {
			uint32_t len = cell(at);

			read_property(m, &node, strings + cell(at + 1), at + 2, len);
			at += 2 + (len + 3) / 4;
		} else if (token == END_NODE) {
			end_node(m, &node);
			node = (struct node){ 0 };
		} else if (token != NOP) {
			return;
		}
	}
}
