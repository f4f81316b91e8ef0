/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A unit test program is one file that defines test_suite(); tests/lib/main.c runs it.
 * Test names start with the rule or symptom they stand for.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>

Suite *test_suite(void);

#endif
