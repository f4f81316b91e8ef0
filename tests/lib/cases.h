/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loop tests whose cases have names.
 *
 * Each macro or function tcase_add_... adds a test to a TCase of Check, once for each case. Reports
 * call the test TEST[NAME], with the name of the case, whether it fails, dies or exceeds its time
 * limit. Inside the test, _i is the index of the case.
 */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <check.h>
#include <stddef.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"

/* Adds `test` for each element of `table`, an array of structs with a member `const char *name`. */
#define tcase_add_table_test(t, test, table) tcase_add_member_test(t, test, table, name)

/* Adds `test` for each element of `table`, an array of structs, with another member as the name. */
#define tcase_add_member_test(t, test, table, member) \
	cases_add((t), (test), (int)ARRAY_SIZE(table), &(table)[0].member, sizeof((table)[0]))

/* Adds `test` for each element of `names`, an array of const char *. */
#define tcase_add_names_test(t, test, names) \
	cases_add((t), (test), (int)ARRAY_SIZE(names), &(names)[0], sizeof((names)[0]))

/* Adds `test` for the cases 0 to count - 1. name(i) returns the name of case i, valid until the
 * next call. */
void tcase_add_named_test(TCase *t, const TTest *test, int count, const char *(*name)(int i));

/* Returns a name for a combination of bits: names[k][0] or names[k][1] for bit k of i, from bit 0
 * on, separated by commas. Empty names are left out. Valid until the next call. */
const char *case_bits(int i, const char *const (*names)[2], unsigned int bits);

/* Implements the macros: the names are `count` pointers that lie `stride` bytes apart. */
void cases_add(TCase *t, const TTest *test, int count, const char *const *first, size_t stride);

#endif
