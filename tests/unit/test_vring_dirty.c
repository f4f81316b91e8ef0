/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the dirty log of a ring: each page that the device changes has its bit, also where a
 * batch of used elements passes the end of the ring. All run in both ring formats: _i is 0 for
 * split, 1 for packed.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define RAM   (MOCK_TOP - MOCK_LOW)
#define FIRST (MOCK_LOW / MOCK_PAGE) /* the page with this number is the first of the RAM */

static struct hostmem_dirty dirty;
static uint8_t *before;

/* Returns the number of pages that have changed since `before` was copied. All have their bit. */
static unsigned int changed_pages(void)
{
	unsigned int count = 0;

	for (uint64_t page = 0; page < RAM / MOCK_PAGE; page++) {
		uint64_t n = FIRST + page;

		if (!memcmp(before + page * MOCK_PAGE, m.mem + page * MOCK_PAGE, MOCK_PAGE))
			continue;
		count++;
		ck_assert_msg(dirty.bits[n / 8] >> (n % 8) & 1, "page %lu", (unsigned long)page);
	}
	return count;
}

/* Serves the staged chains in one batch. */
static void serve(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		chains_expect_pop((uint16_t)i);
	memcpy(before, m.mem, RAM);
	memset(dirty.bits, 0, dirty.bytes);
	for (unsigned int i = 0; i < count; i++)
		vring_push(&vr, (uint16_t)i, 1);
	ck_assert(vring_publish(&vr));
}

static void stage(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		mock_stage(&m, (uint16_t)i);
}

static void take(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		chains_expect_used((uint16_t)i, 1);
}

START_TEST(batch_of_used_elements_that_passes_the_end_of_the_ring)
{
	chains_begin(_i, VRING_MAX_SIZE, 0);
	chains_fill_table();
	dirty.bytes = MOCK_TOP / MOCK_PAGE / 8 + 1;
	dirty.bits = calloc(dirty.bytes, 1);
	before = malloc(RAM);
	ck_assert(dirty.bits && before);
	m.hostmem.dirty = &dirty;
	stage(1000);
	serve(1000);
	ck_assert_uint_ge(changed_pages(), 2);
	take(1000);
	/* The last 24 elements of the ring and the first ones: two pages at least. */
	stage(48);
	serve(48);
	ck_assert_uint_ge(changed_pages(), 2);
	take(48);
	vring_disable_notify(&vr);
	vring_enable_notify(&vr);
	changed_pages();
	free(dirty.bits);
	free(before);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_dirty");
	TCase *t = tcase_create("vring_dirty");

	tcase_set_timeout(t, 60);
	tcase_add_named_test(t, batch_of_used_elements_that_passes_the_end_of_the_ring, 2,
			     mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
