/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/cases.h"

#include <stdio.h>
#include <stdlib.h>

/* A test with the name of one case. Check refers to it until the process ends; the list keeps leak
 * sanitizers from reporting it. */
struct named {
	struct named *next;
	TTest test;
	char name[160];
};

static struct named *all;

static void add(TCase *t, const TTest *test, int i, const char *name)
{
	struct named *named = malloc(sizeof(*named));

	if (!named)
		abort();
	snprintf(named->name, sizeof(named->name), "%s[%s]", test->name, name);
	named->test = *test;
	named->test.name = named->name;
	named->next = all;
	all = named;
	tcase_add_loop_test(t, &named->test, i, i + 1);
}

void tcase_add_named_test(TCase *t, const TTest *test, int count, const char *(*name)(int i))
{
	for (int i = 0; i < count; i++)
		add(t, test, i, name(i));
}

void cases_add(TCase *t, const TTest *test, int count, const char *const *first, size_t stride)
{
	for (int i = 0; i < count; i++)
		add(t, test, i,
		    *(const char *const *)(const void *)((const char *)first + (size_t)i * stride));
}
