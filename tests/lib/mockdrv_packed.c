/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed ring of the mock driver. */
#include <string.h>

#include "tests/lib/mockdrv.h"

void mock_ring_packed(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect)
{
	mock_ring(m, size, event_idx, indirect);
	m->ring.packed = true;
	m->packed = mock_ptr(m, m->ring.desc);
	m->driver_event = mock_ptr(m, m->ring.avail);
	m->device_event = mock_ptr(m, m->ring.used);
	m->desc = m->table;
	memset(m->table, 0, sizeof(m->table));
	memset(m->length, 0, sizeof(m->length));
	m->put = m->take = (struct mock_place){ .at = 0, .wrap = true };
	m->first = NULL;
}

uint16_t mock_packed_avail(bool wrap)
{
	return 1u << (wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED);
}

uint16_t mock_packed_used_flags(bool wrap)
{
	return wrap ? MOCK_BOTH : 0;
}

void mock_packed_advance(const struct mockdrv *m, struct mock_place *place, uint16_t count)
{
	place->at += count;
	while (place->at >= m->ring.size) {
		place->at -= m->ring.size;
		place->wrap = !place->wrap;
	}
}

void mock_packed_put(struct mockdrv *m, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags)
{
	struct vring_packed_desc *d = &m->packed[m->put.at];

	flags |= mock_packed_avail(m->put.wrap);
	WRITE_ONCE(d->addr, gpa);
	WRITE_ONCE(d->len, len);
	WRITE_ONCE(d->id, id);
	if (m->first) {
		WRITE_ONCE(d->flags, flags);
	} else {
		m->first = d;
		m->first_flags = flags;
	}
	mock_packed_advance(m, &m->put, 1);
}

uint32_t mock_packed_event(struct mock_place place)
{
	return place.at | (uint32_t)place.wrap << VRING_PACKED_EVENT_F_WRAP_CTR |
	       (uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16;
}

void mock_packed_stage(struct mockdrv *m, uint16_t head)
{
	uint16_t i = head, count = 0;
	bool next;

	do {
		const struct vring_desc *d = &m->desc[i % m->ring.size];

		next = d->flags & NEXT;
		/* The device uses only the id of the last descriptor; 0x5a5a is no valid id. */
		mock_packed_put(m, d->addr, d->len, next ? 0x5a5a : head, d->flags);
		i = d->next;
	} while (++count < m->ring.size && next);
	if (head < m->ring.size)
		m->length[head] = count;
}

void mock_packed_show(struct mockdrv *m)
{
	/* Pairs with the acquire of the flags in vring_pop. */
	if (m->first)
		STORE_RELEASE(m->first->flags, m->first_flags);
	m->first = NULL;
}

bool mock_packed_has_used(const struct mockdrv *m)
{
	/* Pairs with the release of the flags in vring_publish. */
	uint16_t flags = LOAD_ACQUIRE(m->packed[m->take.at].flags);

	return (flags & MOCK_BOTH) == mock_packed_used_flags(m->take.wrap);
}

void mock_packed_take(struct mockdrv *m, struct vring_used_elem *elem)
{
	const struct vring_packed_desc *d = &m->packed[m->take.at];

	elem->id = READ_ONCE(d->id);
	elem->len = READ_ONCE(d->len);
	/* WRITE in a used element says whether its length is valid (2.8.5). */
	must(!(READ_ONCE(d->flags) & WRITE) == !elem->len);
	must(elem->id < m->ring.size && m->length[elem->id]);
	mock_packed_advance(m, &m->take, m->length[elem->id]);
}
