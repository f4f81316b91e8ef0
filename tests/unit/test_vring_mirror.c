/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the mirror of a ring: its layout, invalid contents of its memory, and chains that are
 * popped again but are not valid. The tests in test_vring_mirror_kill.c kill the device.
 */
#include "dataplane/vring_mirror.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

#define SIZE	8u
#define ENTRIES 16u

static const char *const formats[] = { "split", "packed" };

static _Alignas(VRING_MIRROR_ALIGN) char memory[1024];
static struct vring_mirror_split *const split = (struct vring_mirror_split *)memory;
static struct vring_mirror_packed *const packed = (struct vring_mirror_packed *)memory;
static struct vring_mirror mirror;
static const struct vring_base unused = { .avail_wrap = true, .used_wrap = true };

static int start(bool recover)
{
	mirror.memory = memory;
	mirror.entries = ENTRIES;
	mirror.recover = recover;
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	return vring_mirror_start(&vr, &mirror, &unused);
}

static void begin(bool packed_ring, unsigned int features)
{
	chains_begin(packed_ring, SIZE, features);
	chains_fill_table();
	memset(memory, 0x5a, sizeof(memory));
	ck_assert_int_eq(start(false), 0);
}

static void pop(uint16_t head)
{
	mock_stage(&m, head);
	chains_expect_pop(head);
}

/* Chains 5, 2 and 7 are popped; 2 is published as used. */
static void run(void)
{
	pop(5);
	pop(2);
	pop(7);
	vring_push(&vr, 2, 1);
	vring_publish(&vr);
	chains_expect_used(2, 1);
}

START_TEST(memory_has_the_layout_of_the_protocol)
{
	ck_assert_uint_eq(vring_mirror_bytes(128, false), 16 + 128 * 16 + 48);
	ck_assert_uint_eq(vring_mirror_bytes(128, true), 32 + 128 * 32 + 32);
	begin(false, 0);
	run();
	ck_assert_uint_eq(split->features, 0);
	ck_assert_uint_eq(split->version, 1);
	ck_assert_uint_eq(split->desc_num, SIZE);
	ck_assert_uint_eq(split->used_idx, 1);
	ck_assert_uint_eq(split->last_batch_head, 2);
	for (unsigned int i = 0; i < SIZE; i++)
		ck_assert_uint_eq(split->state[i].in_flight, i == 5 || i == 7);
	ck_assert_uint_lt(split->state[5].counter, split->state[7].counter);
	mock_fini(&m);
}
END_TEST

START_TEST(memory_of_a_packed_ring_has_its_descriptors)
{
	begin(true, 0);
	run();
	ck_assert_uint_eq(packed->features, 0);
	ck_assert_uint_eq(packed->version, 1);
	ck_assert_uint_eq(packed->desc_num, SIZE);
	ck_assert_uint_eq(packed->used_idx, 1);
	ck_assert_uint_eq(packed->old_used_idx, 1);
	ck_assert_uint_eq(packed->used_wrap, 1);
	ck_assert_uint_eq(packed->old_used_wrap, 1);
	/* Entries 0, 1 and 2 had the chains; 1 is free again, before those from 3 on. */
	ck_assert_uint_eq(packed->free_head, 1);
	ck_assert_uint_eq(packed->old_free_head, 1);
	ck_assert_uint_eq(packed->state[1].next, 3);
	ck_assert_uint_eq(packed->state[7].next, 8);
	for (unsigned int i = 0; i < SIZE; i++)
		ck_assert_uint_eq(packed->state[i].in_flight, i == 0 || i == 2);
	ck_assert_uint_eq(packed->state[2].id, 7);
	ck_assert_uint_eq(packed->state[2].addr, MOCK_FAR + 7);
	ck_assert_uint_eq(packed->state[2].len, 1);
	ck_assert_uint_eq(packed->state[2].num, 1);
	ck_assert_uint_eq(packed->state[2].last, 2);
	mock_fini(&m);
}
END_TEST

/* The front end has the position itself, and its driver may begin anew. */
START_TEST(forgotten_memory_lets_the_ring_start_at_the_given_position)
{
	begin(_i, 0);
	run();
	vring_push(&vr, 5, 0);
	vring_push(&vr, 7, 0);
	vring_publish(&vr);
	vring_mirror_forget(&mirror);
	mock_fini(&m);
	chains_begin(_i, SIZE, 0);
	chains_fill_table();
	ck_assert_int_eq(start(true), 0);
	pop(0);
	mock_fini(&m);
}
END_TEST

START_TEST(doorbell_is_not_awaited_while_chains_are_to_be_popped_again)
{
	begin(_i, 0);
	run();
	ck_assert_int_eq(start(true), 0);
	ck_assert(vring_has_avail(&vr));
	ck_assert(vring_enable_notify(&vr));
	chains_expect_pop(5);
	chains_expect_pop(7);
	ck_assert(!vring_has_avail(&vr));
	ck_assert(!vring_enable_notify(&vr));
	mock_fini(&m);
}
END_TEST

START_TEST(position_after_recovery_counts_all_chains)
{
	struct vring_base at;

	begin(_i, 0);
	run();
	ck_assert_int_eq(start(true), 0);
	chains_expect_pop(5);
	chains_expect_pop(7);
	vring_push(&vr, 7, 0);
	vring_push(&vr, 5, 0);
	vring_publish(&vr);
	vring_position(&vr, &at);
	ck_assert_uint_eq(at.avail, 3);
	ck_assert_uint_eq(at.used, 3);
	mock_fini(&m);
}
END_TEST

START_TEST(ring_that_is_larger_than_its_memory_is_refused)
{
	begin(_i, 0);
	mirror.entries = SIZE - 1;
	ck_assert_int_eq(vring_mirror_start(&vr, &mirror, &unused), -EINVAL);
	mock_fini(&m);
}
END_TEST

/* A value in the memory, which the front end can write, and that no device has written. */
static const struct bad {
	const char *name;
	bool packed;
	size_t at;
	unsigned int bytes;
	uint64_t value;
} bad[] = {
#define IN_SPLIT(field)	 false, offsetof(struct vring_mirror_split, field), sizeof(split->field)
#define IN_PACKED(field) true, offsetof(struct vring_mirror_packed, field), sizeof(packed->field)
	{ "split: version", IN_SPLIT(version), 2 },
	{ "split: fewer entries than the ring", IN_SPLIT(desc_num), SIZE - 1 },
	{ "split: more entries than the memory", IN_SPLIT(desc_num), ENTRIES + 1 },
	{ "split: last batch longer than the ring", IN_SPLIT(used_idx), 1000 },
	{ "split: last batch with a head beyond the ring", IN_SPLIT(used_idx), 0xfffe },
	{ "packed: version", IN_PACKED(version), 2 },
	{ "packed: fewer entries than the ring", IN_PACKED(desc_num), SIZE - 1 },
	{ "packed: more entries than the memory", IN_PACKED(desc_num), ENTRIES + 1 },
	{ "packed: entries without a list", IN_PACKED(desc_num), SIZE + 1 },
	{ "packed: used position beyond the ring", IN_PACKED(used_idx), SIZE },
	{ "packed: old position beyond the ring", IN_PACKED(old_used_idx), SIZE },
	{ "packed: wrap counter 2", IN_PACKED(used_wrap), 2 },
	{ "packed: old wrap counter 2", IN_PACKED(old_used_wrap), 2 },
	{ "packed: free list beyond the entries", IN_PACKED(old_free_head), SIZE + 1 },
	{ "packed: free list is empty", IN_PACKED(old_free_head), SIZE },
	{ "packed: entry in neither list nor chain", IN_PACKED(old_free_head), 2 },
	{ "packed: free list is a circle", IN_PACKED(state[4].next), 3 },
	{ "packed: free entry in flight", IN_PACKED(state[0].next), 3 },
	{ "packed: chain of another length", IN_PACKED(state[0].num), 2 },
	{ "packed: chain that ends elsewhere", IN_PACKED(state[0].last), 1 },
	{ "packed: chain that ends beyond the entries", IN_PACKED(state[0].last), SIZE },
	{ "packed: chain that is not in flight", IN_PACKED(state[0].in_flight), 0 },
};

START_TEST(invalid_memory_is_refused)
{
	begin(bad[_i].packed, 0);
	run();
	if (bad[_i].at == offsetof(struct vring_mirror_packed, state[0].next) && bad[_i].packed)
		packed->state[0].last = 3;
	if (bad[_i].value == 0xfffe)
		split->last_batch_head = SIZE;
	memcpy(memory + bad[_i].at, &bad[_i].value, bad[_i].bytes);
	ck_assert_int_eq(start(true), -EINVAL);
	mock_fini(&m);
}
END_TEST

/* The memory of another back end has more entries than the ring. */
START_TEST(more_descriptors_in_flight_than_the_ring_has_are_refused)
{
	begin(true, 0);
	run();
	packed->desc_num = ENTRIES;
	packed->old_free_head = SIZE + 1;
	for (uint16_t i = 0; i < ENTRIES; i++)
		packed->state[i] = (struct vring_mirror_packed_state){ .next = (uint16_t)(i + 1) };
	packed->state[0].in_flight = 1;
	packed->state[0].last = SIZE;
	packed->state[0].num = SIZE + 1;
	ck_assert_int_eq(start(true), -EINVAL);
	mock_fini(&m);
}
END_TEST

START_TEST(unused_memory_needs_a_position_that_the_ring_has)
{
	const struct vring_base beyond = { .avail = SIZE, .avail_wrap = true, .used_wrap = true };

	begin(true, 0);
	mirror.recover = false;
	ck_assert_int_eq(vring_mirror_start(&vr, &mirror, &beyond), -EINVAL);
	mock_fini(&m);
}
END_TEST

/* The device was killed between two elements of a batch, and its memory is being migrated. */
START_TEST(used_elements_that_are_taken_back_are_in_the_dirty_log)
{
	static struct hostmem_dirty dirty;

	begin(true, 0);
	pop(5);
	pop(2);
	vring_push(&vr, 5, 1);
	vring_push(&vr, 2, 1);
	dirty.bytes = MOCK_TOP / MOCK_PAGE / 8;
	dirty.bits = mmap(NULL, dirty.bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(dirty.bits, MAP_FAILED);
	m.hostmem.dirty = &dirty;
	ck_assert_int_eq(start(true), 0);
	ck_assert_uint_ne(dirty.bits[m.ring.desc / MOCK_PAGE / 8], 0);
	munmap(dirty.bits, dirty.bytes);
	mock_fini(&m);
}
END_TEST

START_TEST(circle_in_the_last_batch_is_refused)
{
	begin(false, 0);
	run();
	split->used_idx = 0xffff;
	split->state[2].next = 2;
	ck_assert_int_eq(start(true), -EINVAL);
	mock_fini(&m);
}
END_TEST

/* A hostile front end puts chains in flight into the memory that the driver never offered. */
static const struct {
	const char *name;
	uint16_t id, flags;
	uint64_t addr;
} bad_chains[] = {
	{ "buffer outside RAM", 5, 0, MOCK_HOLE },
	{ "id beyond the ring", SIZE, 0, MOCK_FAR },
	{ "id of another chain", 7, 0, MOCK_FAR },
	{ "indirect table without the feature", 5, INDIRECT, MOCK_FAR },
};

START_TEST(invalid_chain_of_a_packed_ring_breaks_it)
{
	int got;

	begin(true, 0);
	run();
	packed->state[0].id = bad_chains[_i].id;
	packed->state[0].flags = bad_chains[_i].flags;
	packed->state[0].addr = bad_chains[_i].addr;
	ck_assert_int_eq(start(true), 0);
	got = chains_pop();
	ck_assert_int_eq(got > 0 ? chains_pop() : got, -EBADMSG);
	ck_assert_int_eq(chains_pop(), -EBADMSG);
	ck_assert(!vring_mirror_replays(&vr));
	ck_assert(!vring_enable_notify(&vr));
	mock_fini(&m);
}
END_TEST

START_TEST(indirect_table_in_a_chain_of_others_breaks_the_ring)
{
	struct mock_piece piece[] = { { MOCK_FAR, 16, false }, { MOCK_FAR, 16, true } };

	begin(true, CHAINS_INDIRECT);
	m.next_desc = 3;
	pop(mock_chain(&m, piece, 2));
	packed->state[0].flags |= INDIRECT;
	ck_assert_int_eq(start(true), 0);
	ck_assert_int_eq(chains_pop(), -EBADMSG);
	mock_fini(&m);
}
END_TEST

START_TEST(invalid_chain_of_a_split_ring_breaks_it)
{
	begin(false, 0);
	run();
	mock_desc(&m, 5, MOCK_HOLE, 16, 0, 0);
	ck_assert_int_eq(start(true), 0);
	ck_assert_int_eq(chains_pop(), -EBADMSG);
	ck_assert(!vring_mirror_replays(&vr));
	ck_assert(!vring_has_avail(&vr));
	mock_fini(&m);
}
END_TEST

/* A driver that cannot see a head as used yet offers it again, so that a batch has it twice. */
START_TEST(head_in_a_batch_many_times_changes_no_other_memory)
{
	begin(_i, 0);
	for (unsigned int i = 0; i < 2 * VRING_MAX_SIZE; i++) {
		mock_stage(&m, 3);
		mock_show(&m);
		if (vring_pop(&vr, &chain) <= 0)
			break;
		vring_push(&vr, 3, 0);
	}
	vring_publish(&vr);
	ck_assert_uint_le(mirror.batched, VRING_MAX_SIZE);
	for (unsigned int i = _i ? sizeof(*packed) + SIZE * sizeof(packed->state[0])
				 : sizeof(*split) + SIZE * sizeof(split->state[0]);
	     i < sizeof(memory); i++)
		ck_assert_int_eq(memory[i], 0x5a);
	mock_fini(&m);
}
END_TEST

/* Whatever the memory has, the ring starts or is refused, and a ring that starts ends its pops. */
START_TEST(random_memory_is_harmless)
{
	static char valid[sizeof(memory)];
	uint32_t seed = 1;

	begin(_i, 0);
	run();
	memcpy(valid, memory, sizeof(memory));
	for (unsigned int round = 0; round < ROUNDS(20000u, 5000u, 2000u); round++) {
		memcpy(memory, valid, sizeof(memory));
		for (unsigned int i = 0; i <= round % 3; i++) {
			seed = seed * 1664525 + 1013904223;
			memory[(seed >> 8) % 300] = (char)((seed >> 24) % 11);
		}
		if (start(true))
			continue;
		for (unsigned int i = 0; i <= SIZE; i++)
			if (vring_pop(&vr, &chain) > 0)
				vring_push(&vr, chain.head, 0);
		must(!vring_mirror_replays(&vr));
		vring_publish(&vr);
	}
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_mirror");
	TCase *t = tcase_create("vring_mirror");

	tcase_add_test(t, memory_has_the_layout_of_the_protocol);
	tcase_add_test(t, memory_of_a_packed_ring_has_its_descriptors);
	tcase_add_names_test(t, forgotten_memory_lets_the_ring_start_at_the_given_position,
			     formats);
	tcase_add_names_test(t, doorbell_is_not_awaited_while_chains_are_to_be_popped_again,
			     formats);
	tcase_add_names_test(t, position_after_recovery_counts_all_chains, formats);
	tcase_add_names_test(t, ring_that_is_larger_than_its_memory_is_refused, formats);
	tcase_add_table_test(t, invalid_memory_is_refused, bad);
	tcase_add_test(t, more_descriptors_in_flight_than_the_ring_has_are_refused);
	tcase_add_test(t, unused_memory_needs_a_position_that_the_ring_has);
	tcase_add_test(t, used_elements_that_are_taken_back_are_in_the_dirty_log);
	tcase_add_test(t, circle_in_the_last_batch_is_refused);
	tcase_add_table_test(t, invalid_chain_of_a_packed_ring_breaks_it, bad_chains);
	tcase_add_test(t, indirect_table_in_a_chain_of_others_breaks_the_ring);
	tcase_add_test(t, invalid_chain_of_a_split_ring_breaks_it);
	tcase_add_names_test(t, head_in_a_batch_many_times_changes_no_other_memory, formats);
	tcase_add_names_test(t, random_memory_is_harmless, formats);
	suite_add_tcase(s, t);
	return s;
}
