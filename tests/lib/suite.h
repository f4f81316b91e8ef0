/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interface of a unit test program: one file that defines test_suite(), which tests/lib/main.c
 * runs. Test names start with the rule or symptom that they test.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>

Suite *test_suite(void);

#endif
