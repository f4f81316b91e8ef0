/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/mockdrv.h"

#include <check.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const struct {
	uint64_t gpa;
	uint64_t size;
} regions[] = {
	{ MOCK_LOW, MOCK_LOW_SIZE },
	{ MOCK_HIGH, MOCK_HIGH_SIZE },
	{ MOCK_FAR, MOCK_FAR_SIZE },
};

/* Maps one region for the device, between two guard pages. */
static uint8_t *map_guarded(int memfd, uint64_t offset, uint64_t size)
{
	uint8_t *at = mmap(NULL, size + 2 * MOCK_PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	at += MOCK_PAGE;
	ck_assert_ptr_eq(mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd,
			      (off_t)offset),
			 at);
	return at;
}

void mock_init(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect)
{
	*m = (struct mockdrv){ .base = MOCK_LOW + MOCK_PAGE };
	m->memfd = memfd_create("guest", MFD_CLOEXEC);
	m->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(m->memfd, 0);
	ck_assert_int_ge(m->kick_fd, 0);
	ck_assert_int_ge(m->irq_fd, 0);
	ck_assert_int_eq(ftruncate(m->memfd, MOCK_TOP - MOCK_LOW), 0);

	m->mem = mmap(NULL, MOCK_TOP - MOCK_LOW, PROT_READ | PROT_WRITE, MAP_SHARED, m->memfd, 0);
	ck_assert_ptr_ne(m->mem, MAP_FAILED);
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		m->device[i] = map_guarded(m->memfd, regions[i].gpa - MOCK_LOW, regions[i].size);
		ck_assert_int_eq(hostmem_add(&m->hostmem, regions[i].gpa, regions[i].size,
					     m->device[i], false),
				 0);
	}
	mock_ring(m, size, event_idx, indirect);
}

void mock_fini(struct mockdrv *m)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++)
		munmap(m->device[i] - MOCK_PAGE, regions[i].size + 2 * MOCK_PAGE);
	munmap(m->mem, MOCK_TOP - MOCK_LOW);
	close(m->memfd);
	close(m->kick_fd);
	close(m->irq_fd);
}

void mock_ring(struct mockdrv *m, uint16_t size, bool event_idx, bool indirect)
{
	uint64_t desc = m->base, avail = desc + 0x8000, used = avail + 0x2000;

	m->ring = (struct vring_config){
		.size = size,
		.desc = desc,
		.avail = avail,
		.used = used,
		.event_idx = event_idx,
		.indirect = indirect,
	};
	m->desc = mock_ptr(m, desc);
	m->packed = NULL;
	m->avail = mock_ptr(m, avail);
	m->used = mock_ptr(m, used);
	m->heap = used + 0x6000;
	m->avail_idx = m->used_idx = m->next_desc = 0;
	memset(m->desc, 0, m->heap - desc);
}

void mock_beside(struct mockdrv *m, const struct mockdrv *first, unsigned int place)
{
	must(place >= 1 && place <= MOCK_PLACES);
	*m = *first;
	m->base = MOCK_LOW + MOCK_LOW_SIZE / 2 + (place - 1) * (160ul << 10);
}

const char *mock_format_name(int packed)
{
	return packed ? "packed" : "split";
}

void *mock_ptr(const struct mockdrv *m, uint64_t gpa)
{
	must(gpa >= MOCK_LOW && gpa < MOCK_TOP);
	return m->mem + (gpa - MOCK_LOW);
}

uint64_t mock_alloc(struct mockdrv *m, uint64_t bytes, uint64_t align)
{
	uint64_t gpa = (m->heap + align - 1) / align * align;

	m->heap = gpa + bytes;
	must(m->heap <= MOCK_LOW + MOCK_LOW_SIZE);
	memset(mock_ptr(m, gpa), 0xee, bytes);
	return gpa;
}

void mock_desc(struct mockdrv *m, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next)
{
	m->desc[i] = (struct vring_desc){ .addr = gpa, .len = len, .flags = flags, .next = next };
}

uint16_t mock_chain(struct mockdrv *m, const struct mock_piece *piece, unsigned int count)
{
	uint16_t head = m->next_desc;

	must(head + count <= m->ring.size);
	for (unsigned int i = 0; i < count; i++) {
		uint16_t at = m->next_desc++;

		mock_desc(m, at, piece[i].gpa, piece[i].len,
			  (uint16_t)((piece[i].write ? WRITE : 0) | (i + 1 < count ? NEXT : 0)),
			  (uint16_t)(at + 1));
	}
	return head;
}

uint16_t mock_chain_indirect(struct mockdrv *m, uint64_t table, const struct mock_piece *piece,
			     unsigned int count)
{
	uint32_t bytes = count * (uint32_t)sizeof(struct vring_desc);
	uint16_t head = m->next_desc++;

	if (!table)
		table = mock_alloc(m, bytes, 16);
	for (unsigned int i = 0; i < count; i++) {
		uint16_t write = piece[i].write ? WRITE : 0;
		struct vring_desc d = {
			.addr = piece[i].gpa,
			.len = piece[i].len,
			.flags = (uint16_t)(write | (i + 1 < count ? NEXT : 0)),
			.next = (uint16_t)(i + 1),
		};
		struct vring_packed_desc packed = { piece[i].gpa, piece[i].len, 0, write };

		memcpy((char *)mock_ptr(m, table) + i * sizeof(d),
		       m->ring.packed ? (void *)&packed : &d, sizeof(d));
	}
	mock_desc(m, head, table, bytes, INDIRECT, 0);
	return head;
}

void mock_forget(struct mockdrv *m)
{
	m->next_desc = 0;
}

void mock_stage(struct mockdrv *m, uint16_t head)
{
	if (m->ring.packed) {
		mock_packed_stage(m, head);
		return;
	}
	WRITE_ONCE(m->avail->ring[m->avail_idx % m->ring.size], head);
	m->avail_idx++;
}

void mock_show(struct mockdrv *m)
{
	if (m->ring.packed)
		mock_packed_show(m);
	else
		STORE_RELEASE(m->avail->idx, m->avail_idx);
	full_barrier();
}

void mock_kick(struct mockdrv *m)
{
	uint64_t one = 1;

	must(write(m->kick_fd, &one, sizeof(one)) == sizeof(one));
}

void mock_offer(struct mockdrv *m, uint16_t head)
{
	mock_stage(m, head);
	mock_show(m);
	mock_kick(m);
}

uint16_t *mock_used_event(const struct mockdrv *m)
{
	return &m->avail->ring[m->ring.size];
}

uint16_t mock_avail_event(const struct mockdrv *m)
{
	return READ_ONCE(*(uint16_t *)&m->used->ring[m->ring.size]);
}

uint16_t mock_used_index(const struct mockdrv *m)
{
	return LOAD_ACQUIRE(m->used->idx);
}

bool mock_has_used(const struct mockdrv *m)
{
	return m->ring.packed ? mock_packed_has_used(m) : mock_used_index(m) != m->used_idx;
}

bool mock_used(struct mockdrv *m, struct vring_used_elem *elem)
{
	const struct vring_used_elem *at = &m->used->ring[m->used_idx % m->ring.size];

	if (!mock_has_used(m))
		return false;
	if (m->ring.packed) {
		mock_packed_take(m, elem);
		return true;
	}
	elem->id = READ_ONCE(at->id);
	elem->len = READ_ONCE(at->len);
	m->used_idx++;
	return true;
}

void mock_wait_used(struct mockdrv *m, struct vring_used_elem *elem)
{
	mock_wait_until(mock_used(m, elem));
}

void mock_wait_index(struct mockdrv *m, uint16_t idx)
{
	mock_wait_until(mock_used_index(m) == idx);
}

uint64_t mock_irqs(struct mockdrv *m)
{
	uint64_t n;

	return read(m->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

uint64_t mock_wait_irq(struct mockdrv *m)
{
	struct pollfd p = { .fd = m->irq_fd, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, MOCK_DEADLINE_S * 1000), 1);
	return mock_irqs(m);
}

uint64_t mock_header(struct mockdrv *m, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	uint64_t gpa = mock_alloc(m, sizeof(header), 1);

	memcpy(mock_ptr(m, gpa), &header, sizeof(header));
	return gpa;
}

void mock_blk(struct mockdrv *m, struct mock_blk *req, uint32_t type, uint64_t sector, uint32_t len)
{
	bool write = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	req->header = mock_header(m, type, sector);
	req->status = mock_alloc(m, 1, 1);
	*(uint8_t *)mock_ptr(m, req->status) = 0xff;
	req->data = mock_alloc(m, len, 512);
	req->len = len;
	if (len)
		req->head = mock_chain(m,
				       (struct mock_piece[]){ { req->header, 16, false },
							      { req->data, len, write },
							      { req->status, 1, true } },
				       3);
	else
		req->head = mock_chain(m,
				       (struct mock_piece[]){ { req->header, 16, false },
							      { req->status, 1, true } },
				       2);
}

uint8_t mock_status(const struct mockdrv *m, const struct mock_blk *req)
{
	return READ_ONCE(*(uint8_t *)mock_ptr(m, req->status));
}

uint8_t mock_do(struct mockdrv *m, struct mock_blk *req, uint32_t *len)
{
	struct vring_used_elem elem;

	mock_offer(m, req->head);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, req->head);
	if (len)
		*len = elem.len;
	return mock_status(m, req);
}

int64_t mock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Number of sched_yield() calls in a wait before mock_yield sleeps instead. */
#define YIELDS 8u
/* Length of a sleep of mock_yield and mock_pester. */
#define NAP_NS 20000
/* mock_pester sleeps once in this many calls. */
#define BURST 64u

/* Calls of mock_yield in the current wait of this thread. */
static __thread unsigned int yields;

static void nap(void)
{
	clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = NAP_NS }, NULL);
}

int64_t mock_deadline(void)
{
	yields = 0;
	return mock_seconds() + MOCK_DEADLINE_S;
}

void mock_yield(int64_t deadline)
{
	if (mock_seconds() > deadline)
		ck_abort_msg("nothing came within %d s", MOCK_DEADLINE_S);
	if (yields++ < YIELDS)
		sched_yield();
	else
		nap();
}

void mock_pester(void)
{
	static __thread unsigned int calls;

	if (++calls % BURST)
		sched_yield();
	else
		nap();
}
