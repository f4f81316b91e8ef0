/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/chains.h"

#include <errno.h>

struct mockdrv m;
struct vring_dev vr;
struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
struct vring_chain chain = { .iov = iov };

void chains_begin(bool packed, uint16_t size, unsigned int features)
{
	bool event_idx = features & CHAINS_EVENT_IDX, indirect = features & CHAINS_INDIRECT;

	mock_init(&m, size, event_idx, indirect);
	if (packed)
		mock_ring_packed(&m, size, event_idx, indirect);
	m.ring.in_order = features & CHAINS_IN_ORDER;
	chain.capacity = VRING_CHAIN_CAPACITY(size);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
}

void chains_fill_table(void)
{
	for (uint16_t i = 0; i < m.ring.size; i++)
		mock_desc(&m, i, MOCK_FAR + i, 1, 0, 0);
}

int chains_pop(void)
{
	mock_show(&m);
	return vring_pop(&vr, &chain);
}

void chains_expect_pop(uint16_t head)
{
	must(chains_pop() == 1);
	must(chain.head == head);
}

void chains_expect_broken(void)
{
	uint64_t in_flight = vr.in_flight[0];

	ck_assert_int_eq(chains_pop(), -EBADMSG);
	ck_assert_ptr_nonnull(vr.broken);
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
	ck_assert_uint_eq(vr.in_flight[0], in_flight);
}

/* Returns the device's pointer to guest memory at gpa. */
static void *device_ptr(uint64_t gpa)
{
	if (gpa >= MOCK_FAR)
		return m.device[2] + (gpa - MOCK_FAR);
	if (gpa >= MOCK_HIGH)
		return m.device[1] + (gpa - MOCK_HIGH);
	return m.device[0] + (gpa - MOCK_LOW);
}

void expect_piece(unsigned int i, uint64_t gpa, uint64_t len)
{
	ck_assert_ptr_eq(iov[i].iov_base, device_ptr(gpa));
	ck_assert_uint_eq(iov[i].iov_len, len);
}

void expect_counts(unsigned int out, unsigned int in, uint32_t out_len, uint32_t in_len)
{
	ck_assert_uint_eq(chain.out_count, out);
	ck_assert_uint_eq(chain.in_count, in);
	ck_assert_uint_eq(chain.out_len, out_len);
	ck_assert_uint_eq(chain.in_len, in_len);
}

void chains_expect_used(uint16_t head, uint32_t len)
{
	struct vring_used_elem elem;

	must(mock_used(&m, &elem));
	must(elem.id == head && elem.len == len);
}

void chains_expect_no_used(void)
{
	must(!mock_has_used(&m));
}

void chains_set_event(int ahead)
{
	struct mock_place place = m.take;

	if (!m.ring.packed) {
		WRITE_ONCE(*mock_used_event(&m), (uint16_t)(m.used_idx + ahead));
		return;
	}
	/* After two rounds of the ring, position and wrap counter are the same again. */
	mock_packed_advance(&m, &place, (uint16_t)(ahead + (ahead < 0 ? 2 * m.ring.size : 0)));
	WRITE_ONCE(*m.driver_event, mock_packed_event(place));
}
