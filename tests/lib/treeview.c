/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/treeview.h"

#include <check.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tree_has(const void *tree, const char *path)
{
	return fdt_path_offset(tree, path) >= 0;
}

const void *tree_property(const void *tree, const char *path, const char *name, int want)
{
	int len, node = fdt_path_offset(tree, path);
	const void *data;

	ck_assert_msg(node >= 0, "no %s", path);
	data = fdt_getprop(tree, node, name, &len);
	ck_assert_msg(data != NULL, "no %s in %s", name, path);
	ck_assert_msg(want < 0 || len == want, "%s in %s: %d bytes", name, path, len);
	return data;
}

bool tree_has_property(const void *tree, const char *path, const char *name)
{
	int node = fdt_path_offset(tree, path);

	ck_assert_msg(node >= 0, "no %s", path);
	return fdt_getprop(tree, node, name, NULL);
}

void tree_check_text(const void *tree, const char *path, const char *name, const char *want)
{
	ck_assert_str_eq(tree_property(tree, path, name, (int)strlen(want) + 1), want);
}

uint32_t tree_cell(const void *tree, const char *path, const char *name, unsigned int index,
		   unsigned int of)
{
	const fdt32_t *data = tree_property(tree, path, name, (int)(of * sizeof(*data)));

	return fdt32_to_cpu(data[index]);
}

uint64_t tree_wide(const void *tree, const char *path, const char *name, unsigned int index,
		   unsigned int of)
{
	uint64_t high = tree_cell(tree, path, name, 2 * index, 2 * of);

	return high << 32 | tree_cell(tree, path, name, 2 * index + 1, 2 * of);
}

void tree_check(const void *tree)
{
	char path[] = "/tmp/treeXXXXXX", line[256] = "", command[128];
	int fd = mkstemp(path), size = (int)fdt_totalsize(tree);
	FILE *dtc;

	ck_assert_int_eq(fdt_check_full(tree, (size_t)size), 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, tree, (size_t)size), size);
	close(fd);
	snprintf(command, sizeof(command), "dtc -I dtb -O dts -o /dev/null %s 2>&1", path);
	dtc = popen(command, "r");
	ck_assert_ptr_nonnull(dtc);
	ck_assert_msg(!fgets(line, sizeof(line), dtc), "dtc: %s", line);
	ck_assert_int_eq(pclose(dtc), 0);
	unlink(path);
}
