/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of a device tree, read by libfdt. The running test fails if a node or property is missing
 * or is not as expected.
 */
#ifndef TESTS_TREEVIEW_H
#define TESTS_TREEVIEW_H

#include <stdbool.h>
#include <stdint.h>

bool tree_has(const void *tree, const char *path);
/* Returns a property of `want` bytes; -1: of any length. */
const void *tree_property(const void *tree, const char *path, const char *name, int want);
bool tree_has_property(const void *tree, const char *path, const char *name);
void tree_check_text(const void *tree, const char *path, const char *name, const char *want);
/* Returns cell `index`, from 0, of a property that consists of `of` cells. */
uint32_t tree_cell(const void *tree, const char *path, const char *name, unsigned int index,
		   unsigned int of);
/* Returns number `index`, from 0, of a property that consists of `of` 64-bit numbers. */
uint64_t tree_wide(const void *tree, const char *path, const char *name, unsigned int index,
		   unsigned int of);

/* Checks that the tree is well-formed, and that dtc accepts it without a warning. */
void tree_check(const void *tree);

#endif
