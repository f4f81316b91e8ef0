/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * treeview: a device tree read back by libfdt, for tests of who writes one. What is not there as it is
 * asked for fails the running test.
 */
#ifndef TESTS_TREEVIEW_H
#define TESTS_TREEVIEW_H

#include <stdbool.h>
#include <stdint.h>

bool tree_has(const void *tree, const char *path);
/* Of `want` bytes; -1: of any length. */
const void *tree_property(const void *tree, const char *path, const char *name, int want);
bool tree_has_property(const void *tree, const char *path, const char *name);
void tree_check_text(const void *tree, const char *path, const char *name, const char *want);
/* Number `index` of `of` that are all there is; of one cell, or of two. */
uint32_t tree_cell(const void *tree, const char *path, const char *name, unsigned int index,
		   unsigned int of);
uint64_t tree_wide(const void *tree, const char *path, const char *name, unsigned int index,
		   unsigned int of);

/* It is whole, and dtc accepts it without a word. */
void tree_check(const void *tree);

#endif
