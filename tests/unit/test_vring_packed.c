/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the packed ring: set-up, wrap counters, ids, more chains than the ring holds. */
#include <errno.h>
#include <string.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

static void begin(uint16_t size)
{
	mock_init(&m, size, false, true);
	mock_ring_packed(&m, size, false, true);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
}

/* `count` descriptors of one byte as one chain with that id. */
static void put_chain(uint16_t id, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		mock_packed_put(&m, MOCK_FAR + i, 1, i + 1 < count ? 0xffff : id,
				i + 1 < count ? NEXT : 0);
	m.length[id] = (uint16_t)count;
}

static void expect_pop(uint16_t id, unsigned int pieces)
{
	must(vring_pop(&vr, &chain) == 1);
	must(chain.head == id);
	must(chain.out_count == pieces && chain.in_count == 0);
}

static void expect_used(uint16_t id, uint32_t len)
{
	struct vring_used_elem elem;

	must(mock_used(&m, &elem));
	must(elem.id == id && elem.len == len);
}

static void expect_nothing(void)
{
	struct vring_used_elem elem;

	must(!mock_used(&m, &elem));
}

static void expect_broken(void)
{
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
	ck_assert_ptr_nonnull(vr.broken);
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
}

/* ---- set-up ---- */

START_TEST(row20_packed_ring_of_any_size_up_to_the_largest)
{
	static const uint16_t bad[] = { 0, VRING_MAX_SIZE + 1, 2048, 32768, 65535 };
	struct vring_config c;

	begin(4);
	for (uint16_t size = 1; size <= VRING_MAX_SIZE; size++) {
		c = m.ring;
		c.size = size;
		ck_assert_int_eq(vring_check(&m.hostmem, &c), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		c = m.ring;
		c.size = bad[i];
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EINVAL);
	}
	mock_fini(&m);
}
END_TEST

static int check_with(uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vring_config c = m.ring;

	c.desc = desc;
	c.avail = avail;
	c.used = used;
	return vring_check(&m.hostmem, &c);
}

START_TEST(row20_packed_parts_aligned_and_in_ram)
{
	static const uint64_t bad[] = { 0, MOCK_LOW - 16, MOCK_HOLE, MOCK_TOP, ~15ull };
	uint64_t desc, avail, used;

	begin(5);
	desc = m.ring.desc;
	avail = m.ring.avail;
	used = m.ring.used;
	for (unsigned int off = 1; off < 16; off++)
		ck_assert_int_eq(check_with(desc + off, avail, used), -EINVAL);
	for (unsigned int off = 1; off < 4; off++) {
		ck_assert_int_eq(check_with(desc, avail + off, used), -EINVAL);
		ck_assert_int_eq(check_with(desc, avail, used + off), -EINVAL);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(check_with(bad[i], avail, used), -EFAULT);
		ck_assert_int_eq(check_with(desc, bad[i], used), -EFAULT);
		ck_assert_int_eq(check_with(desc, avail, bad[i]), -EFAULT);
	}
	/* Each may end with the last byte of RAM, and not one later. */
	ck_assert_int_eq(check_with(MOCK_TOP - 80, avail, used), 0);
	ck_assert_int_eq(check_with(MOCK_TOP - 64, avail, used), -EFAULT);
	ck_assert_int_eq(check_with(desc, MOCK_TOP - 4, MOCK_HOLE - 4), 0);
	mock_fini(&m);
}
END_TEST

/* The device writes into the ring and its own event structure, not into the driver's. */
START_TEST(row20_packed_ring_in_read_only_memory)
{
	begin(8);
	m.hostmem.region[2].readonly = true;
	ck_assert_int_eq(check_with(MOCK_FAR, m.ring.avail, m.ring.used), -EFAULT);
	ck_assert_int_eq(check_with(m.ring.desc, m.ring.avail, MOCK_FAR), -EFAULT);
	ck_assert_int_eq(check_with(m.ring.desc, MOCK_FAR, m.ring.used), 0);
	mock_fini(&m);
}
END_TEST

/* ---- rounds ---- */

/* Rings of odd sizes, chains of different lengths across their end, completed in another order. */
START_TEST(row18_packed_rounds_nothing_lost_nothing_twice)
{
	static const uint16_t sizes[] = { 1, 2, 3, 5, 7, 64, 100, 1023, 1024 };

	for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint16_t size = sizes[s];

		begin(size);
		for (uint32_t round = 0; round < 3000; round++) {
			uint16_t first = 1 + round % size, second = (size - first + 1) / 2;
			uint16_t a = round % size, b = (uint16_t)((a + 1) % size);

			put_chain(a, first);
			if (second)
				put_chain(b, second);
			must(vring_pop(&vr, &chain) == 0);
			mock_show(&m);
			expect_pop(a, first);
			if (second)
				expect_pop(b, second);
			must(vring_pop(&vr, &chain) == 0 && !vring_has_avail(&vr));
			if (second)
				vring_push(&vr, b, round);
			vring_push(&vr, a, 0);
			expect_nothing();
			must(vring_publish(&vr) && !vring_publish(&vr));
			if (second)
				expect_used(b, round);
			expect_used(a, 0);
			expect_nothing();
			must(vr.ring.desc_in_flight == 0 && !vr.in_flight[0]);
		}
		mock_fini(&m);
	}
}
END_TEST

/* Every combination of AVAIL and USED, in both rounds: one of the four is an available descriptor. */
START_TEST(row01_packed_flags_of_another_round_are_not_available)
{
	for (unsigned int wrap = 0; wrap < 2; wrap++) {
		for (unsigned int bits = 0; bits < 4; bits++) {
			uint16_t flags = (uint16_t)((bits & 1) << VRING_PACKED_DESC_F_AVAIL |
						    (bits >> 1) << VRING_PACKED_DESC_F_USED);
			bool available = bits == (wrap ? 1 : 2);

			begin(1);
			if (!wrap) {
				put_chain(0, 1);
				mock_show(&m);
				expect_pop(0, 1);
				vring_push(&vr, 0, 1);
				vring_publish(&vr);
			}
			m.packed[0] = (struct vring_packed_desc){ MOCK_FAR, 1, 0, flags };
			ck_assert_int_eq(vring_has_avail(&vr), available);
			ck_assert_int_eq(vring_enable_notify(&vr), available);
			ck_assert_int_eq(vring_pop(&vr, &chain), available);
			mock_fini(&m);
		}
	}
}
END_TEST

/* As a driver that makes descriptors available a second time before the device is through. */
START_TEST(row01_packed_more_descriptors_than_the_ring_has)
{
	/* Read, and not pushed. */
	begin(3);
	put_chain(0, 2);
	put_chain(1, 1);
	mock_show(&m);
	expect_pop(0, 2);
	expect_pop(1, 1);
	put_chain(2, 1);
	mock_show(&m);
	expect_broken();
	mock_fini(&m);

	/* Pushed, and not published: it is not the driver's yet. */
	begin(3);
	put_chain(0, 3);
	mock_show(&m);
	expect_pop(0, 3);
	vring_push(&vr, 0, 0);
	put_chain(0, 1);
	mock_show(&m);
	expect_broken();
	mock_fini(&m);

	/* A chain that runs into descriptors in flight. */
	begin(3);
	put_chain(0, 1);
	put_chain(1, 3);
	mock_show(&m);
	m.packed[0].flags = NEXT | mock_packed_avail(true);
	m.packed[1].flags = NEXT | mock_packed_avail(true);
	m.packed[2].flags = NEXT | mock_packed_avail(true);
	expect_broken();
	mock_fini(&m);
}
END_TEST

START_TEST(row01_packed_ring_exactly_full_is_fine)
{
	begin(5);
	for (unsigned int round = 0; round < 10; round++) {
		for (uint16_t id = 0; id < 5; id++)
			put_chain(4 - id, 1);
		mock_show(&m);
		for (uint16_t id = 0; id < 5; id++)
			expect_pop(4 - id, 1);
		ck_assert_int_eq(vring_pop(&vr, &chain), 0);
		for (uint16_t id = 0; id < 5; id++) {
			vring_push(&vr, id, id);
			vring_publish(&vr);
			expect_used(id, id);
		}
	}
	mock_fini(&m);
}
END_TEST

/* ---- ids ---- */

START_TEST(row02_packed_id_not_below_the_queue_size)
{
	static const uint16_t bad[] = { 7, 8, 1024, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(7);
		mock_packed_put(&m, MOCK_FAR, 1, bad[i], 0);
		mock_show(&m);
		expect_broken();
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row04_packed_id_offered_again_while_in_flight)
{
	/* One at each end of each word of the in-flight bits. */
	static const uint16_t ids[] = { 0, 1, 63, 64, 127, 128, 1022 };

	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++) {
		begin(1023);
		put_chain(ids[i], 2);
		put_chain(5, 1);
		put_chain(ids[i], 1);
		mock_show(&m);
		expect_pop(ids[i], 2);
		expect_pop(5, 1);
		expect_broken();
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row04_packed_id_offered_again_after_its_completion_is_fine)
{
	begin(128);
	for (unsigned int i = 0; i < 300; i++) {
		put_chain(64, 1 + i % 3);
		mock_show(&m);
		expect_pop(64, 1 + i % 3);
		vring_push(&vr, 64, i);
		vring_publish(&vr);
		expect_used(64, i);
	}
	mock_fini(&m);
}
END_TEST

/* Size and addresses are those of set-up, whatever the driver's registers say later. */
START_TEST(row21_packed_ring_is_a_frozen_copy)
{
	struct vring_config config;

	begin(6);
	config = m.ring;
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &config), 0);
	memset(&config, 0xff, sizeof(config));
	for (uint16_t i = 0; i < 20; i++) {
		put_chain(i % 6, 1);
		mock_show(&m);
		expect_pop(i % 6, 1);
		vring_push(&vr, i % 6, 0);
		vring_publish(&vr);
		expect_used(i % 6, 0);
	}
	mock_fini(&m);
}
END_TEST

/* Nothing but a used element's descriptor is written, and of a chain only the first. */
START_TEST(packed_used_element_goes_where_the_chain_began)
{
	static const struct vring_packed_desc mark = { 0x5a5a, 0x5a5a, 0x5a5a, 0 };

	begin(8);
	put_chain(3, 3);
	put_chain(6, 2);
	mock_show(&m);
	expect_pop(3, 3);
	expect_pop(6, 2);
	for (unsigned int i = 0; i < 8; i++)
		m.packed[i] = mark;
	vring_push(&vr, 6, 9);
	vring_push(&vr, 3, 0);
	/* All but what makes the driver look. */
	ck_assert_uint_eq(m.packed[0].flags, 0);
	ck_assert_uint_eq(m.packed[2].flags, MOCK_BOTH);
	vring_publish(&vr);
	ck_assert_uint_eq(m.packed[0].id, 6);
	ck_assert_uint_eq(m.packed[0].len, 9);
	ck_assert_uint_eq(m.packed[0].flags, MOCK_BOTH | WRITE);
	ck_assert_uint_eq(m.packed[0].addr, mark.addr);
	ck_assert_uint_eq(m.packed[2].id, 3);
	ck_assert_uint_eq(m.packed[2].len, 0);
	for (unsigned int i = 0; i < 8; i++)
		if (i != 0 && i != 2)
			ck_assert(!memcmp(&m.packed[i], &mark, sizeof(mark)));
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_packed");
	TCase *t = tcase_create("vring_packed");

	tcase_add_test(t, row20_packed_ring_of_any_size_up_to_the_largest);
	tcase_add_test(t, row20_packed_parts_aligned_and_in_ram);
	tcase_add_test(t, row20_packed_ring_in_read_only_memory);
	tcase_add_test(t, row18_packed_rounds_nothing_lost_nothing_twice);
	tcase_add_test(t, row01_packed_flags_of_another_round_are_not_available);
	tcase_add_test(t, row01_packed_more_descriptors_than_the_ring_has);
	tcase_add_test(t, row01_packed_ring_exactly_full_is_fine);
	tcase_add_test(t, row02_packed_id_not_below_the_queue_size);
	tcase_add_test(t, row04_packed_id_offered_again_while_in_flight);
	tcase_add_test(t, row04_packed_id_offered_again_after_its_completion_is_fine);
	tcase_add_test(t, row21_packed_ring_is_a_frozen_copy);
	tcase_add_test(t, packed_used_element_goes_where_the_chain_began);
	suite_add_tcase(s, t);
	return s;
}
