/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of rings: set-up, indices, order, notifications. test_vring_chain.c tests chains. */
#include <errno.h>
#include <string.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

static void begin(uint16_t size, bool event_idx, bool indirect)
{
	mock_init(&m, size, event_idx, indirect);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
}

static void end(void)
{
	mock_fini(&m);
}

/* Every descriptor a readable byte of its own. */
static void simple_descs(void)
{
	uint64_t buffer = mock_alloc(&m, m.ring.size, 1);

	for (uint16_t i = 0; i < m.ring.size; i++)
		mock_desc(&m, i, buffer + i, 1, 0, 0);
}

static void stage_show(uint16_t head)
{
	mock_stage(&m, head);
	mock_show(&m);
}

static void expect_broken(void)
{
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
	ck_assert_ptr_nonnull(vr.broken);
}

/* ---- set-up ---- */

START_TEST(row20_ring_size_or_alignment_is_wrong)
{
	static const uint16_t bad[] = { 0, 3, 6, 96, 1023, 1025, 2048, 4096, 32768, 65535 };
	struct vring_config good, c;

	begin(256, false, false);
	good = m.ring;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		c = good;
		c.size = bad[i];
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EINVAL);
	}
	for (unsigned int size = 1; size <= VRING_MAX_SIZE; size *= 2) {
		c = good;
		c.size = (uint16_t)size;
		ck_assert_int_eq(vring_check(&m.hostmem, &c), 0);
	}
	for (unsigned int off = 1; off < 16; off++) {
		c = good;
		c.desc += off;
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EINVAL);
	}
	c = good;
	c.avail += 1;
	ck_assert_int_eq(vring_check(&m.hostmem, &c), -EINVAL);
	for (unsigned int off = 1; off < 4; off++) {
		c = good;
		c.used += off;
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EINVAL);
	}
	end();
}
END_TEST

/* Each part may end with the last byte of RAM, and not one later. */
START_TEST(row20_ring_must_lie_in_ram_to_its_last_byte)
{
	const uint64_t desc_bytes = 16 * 8, avail_bytes = 6 + 2 * 8, used_bytes = 6 + 8 * 8;
	struct vring_config good, c;

	begin(8, false, false);
	good = m.ring;

	c = good;
	c.desc = MOCK_TOP - desc_bytes;
	ck_assert_int_eq(vring_check(&m.hostmem, &c), 0);
	c.desc += 16;
	ck_assert_int_eq(vring_check(&m.hostmem, &c), -EFAULT);

	c = good;
	c.avail = MOCK_TOP - avail_bytes;
	ck_assert_int_eq(vring_check(&m.hostmem, &c), 0);
	c.avail += 2;
	ck_assert_int_eq(vring_check(&m.hostmem, &c), -EFAULT);

	c = good;
	c.used = MOCK_TOP - (used_bytes + 3) / 4 * 4;
	ck_assert_int_eq(vring_check(&m.hostmem, &c), 0);
	c.used += 4;
	ck_assert_int_eq(vring_check(&m.hostmem, &c), -EFAULT);
	end();
}
END_TEST

START_TEST(row20_ring_in_a_hole_or_across_regions)
{
	static const uint64_t bad[] = { 0,
					0x1000,
					MOCK_LOW - 4096,
					MOCK_HOLE,
					MOCK_HOLE - 16,
					MOCK_HIGH - 16,
					MOCK_TOP,
					0xfffffffffffffff0,
					0x7ffffffffffffff0 };
	struct vring_config c;

	begin(256, false, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		c = m.ring;
		c.desc = bad[i];
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EFAULT);
		c = m.ring;
		c.avail = bad[i];
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EFAULT);
		c = m.ring;
		c.used = bad[i];
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EFAULT);
	}
	end();
}
END_TEST

START_TEST(row20_used_ring_in_read_only_memory)
{
	struct hostmem mem = { 0 };

	begin(8, false, false);
	ck_assert_int_eq(hostmem_add(&mem, MOCK_LOW, MOCK_LOW_SIZE, m.device[0], true), 0);
	ck_assert_int_eq(vring_check(&mem, &m.ring), -EFAULT);
	end();
}
END_TEST

/* ---- the available ring ---- */

START_TEST(row01_avail_index_ahead_by_more_than_the_ring)
{
	static const uint16_t jump[] = { 9, 10, 1000, 0x7fff, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(jump); i++) {
		begin(8, false, false);
		simple_descs();
		m.avail_idx = jump[i];
		mock_show(&m);
		expect_broken();
		/* It stays broken, also when the index looks sane again. */
		m.avail_idx = 1;
		mock_show(&m);
		expect_broken();
		end();
	}
}
END_TEST

START_TEST(row01_avail_index_exactly_a_ring_ahead_is_fine)
{
	begin(8, false, false);
	simple_descs();
	for (uint16_t i = 0; i < 8; i++)
		mock_stage(&m, 7 - i);
	mock_show(&m);
	for (uint16_t i = 0; i < 8; i++) {
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		ck_assert_uint_eq(chain.head, 7 - i);
	}
	ck_assert_int_eq(vring_pop(&vr, &chain), 0);
	ck_assert_ptr_null(vr.broken);
	end();
}
END_TEST

START_TEST(row01_avail_index_goes_backwards)
{
	begin(8, false, false);
	simple_descs();
	for (uint16_t i = 0; i < 3; i++)
		mock_stage(&m, i);
	mock_show(&m);
	for (uint16_t i = 0; i < 3; i++)
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	m.avail_idx = 2;
	mock_show(&m);
	expect_broken();
	end();
}
END_TEST

START_TEST(row02_head_outside_the_table)
{
	static const uint16_t bad[] = { 8, 9, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(8, false, false);
		simple_descs();
		stage_show(bad[i]);
		expect_broken();
		end();
	}
}
END_TEST

START_TEST(row04_head_offered_again_while_in_flight_breaks_the_queue)
{
	/* One at each end of each word of the in-flight bits. */
	static const uint16_t heads[] = { 0, 1, 63, 64, 127, 128, 1023 };

	for (unsigned int i = 0; i < ARRAY_SIZE(heads); i++) {
		begin(1024, false, false);
		simple_descs();
		mock_stage(&m, heads[i]);
		mock_stage(&m, 5);
		mock_stage(&m, heads[i]);
		mock_show(&m);
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		expect_broken();
		end();
	}
}
END_TEST

START_TEST(row04_head_offered_again_after_its_completion_is_fine)
{
	begin(128, false, false);
	simple_descs();
	for (unsigned int i = 0; i < 300; i++) {
		stage_show(64);
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		vring_push(&vr, 64, i);
		vring_publish(&vr);
	}
	ck_assert_ptr_null(vr.broken);
	end();
}
END_TEST

/* All heads of the ring in flight, completed in another order, more than once around 65536. */
START_TEST(row18_indices_wrap_nothing_lost_nothing_twice)
{
	struct vring_used_elem elem;
	uint32_t popped = 0, taken = 0;

	begin(256, false, false);
	simple_descs();
	while (popped < 3 * 65536) {
		for (uint16_t i = 0; i < 256; i++)
			mock_stage(&m, (uint16_t)(i * 37 + popped / 256) % 256);
		mock_show(&m);
		for (unsigned int i = 0; i < 256; i++) {
			uint16_t head = (uint16_t)(i * 37 + popped / 256) % 256;

			must(vring_pop(&vr, &chain) == 1);
			must(chain.head == head);
		}
		must(vring_pop(&vr, &chain) == 0);
		popped += 256;
		for (uint16_t i = 0; i < 256; i++)
			vring_push(&vr, 255 - i, taken + i);
		must(vring_publish(&vr));
		for (uint16_t i = 0; i < 256; i++) {
			must(mock_used(&m, &elem));
			must(elem.id == 255u - i);
			must(elem.len == taken + i);
		}
		must(!mock_used(&m, &elem));
		taken += 256;
	}
	end();
}
END_TEST

/* ---- the used ring ---- */

START_TEST(nothing_is_published_before_vring_publish)
{
	struct vring_used_elem elem;

	begin(8, false, false);
	simple_descs();
	mock_stage(&m, 3);
	mock_stage(&m, 4);
	mock_show(&m);
	ck_assert(!vring_publish(&vr));
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	vring_push(&vr, 4, 77);
	vring_push(&vr, 3, 0xffffffff);
	ck_assert(!mock_used(&m, &elem));
	ck_assert(vring_publish(&vr));
	ck_assert(!vring_publish(&vr));
	ck_assert(mock_used(&m, &elem));
	ck_assert_uint_eq(elem.id, 4);
	ck_assert_uint_eq(elem.len, 77);
	ck_assert(mock_used(&m, &elem));
	ck_assert_uint_eq(elem.id, 3);
	ck_assert_uint_eq(elem.len, 0xffffffff);
	ck_assert(!mock_used(&m, &elem));
	end();
}
END_TEST

/* Row 21: size and addresses are those of set-up, whatever the driver's registers say later. */
START_TEST(row21_ring_is_a_frozen_copy)
{
	struct vring_config config;

	begin(8, false, false);
	simple_descs();
	config = m.ring;
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &config), 0);
	memset(&config, 0xff, sizeof(config));
	for (uint16_t i = 0; i < 20; i++) {
		stage_show(i % 8);
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		ck_assert_uint_eq(chain.head, i % 8);
		vring_push(&vr, i % 8, 0);
	}
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring");
	TCase *t = tcase_create("vring");

	tcase_add_test(t, row20_ring_size_or_alignment_is_wrong);
	tcase_add_test(t, row20_ring_must_lie_in_ram_to_its_last_byte);
	tcase_add_test(t, row20_ring_in_a_hole_or_across_regions);
	tcase_add_test(t, row20_used_ring_in_read_only_memory);
	tcase_add_test(t, row01_avail_index_ahead_by_more_than_the_ring);
	tcase_add_test(t, row01_avail_index_exactly_a_ring_ahead_is_fine);
	tcase_add_test(t, row01_avail_index_goes_backwards);
	tcase_add_test(t, row02_head_outside_the_table);
	tcase_add_test(t, row04_head_offered_again_while_in_flight_breaks_the_queue);
	tcase_add_test(t, row04_head_offered_again_after_its_completion_is_fine);
	tcase_add_test(t, row18_indices_wrap_nothing_lost_nothing_twice);
	tcase_add_test(t, nothing_is_published_before_vring_publish);
	tcase_add_test(t, row21_ring_is_a_frozen_copy);
	suite_add_tcase(s, t);
	return s;
}
