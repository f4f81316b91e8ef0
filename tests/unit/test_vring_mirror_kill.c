/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the mirror of a ring after a kill of the device at each of its stores.
 *
 * The device runs in a child process, one instruction at a time. After each instruction that has
 * changed the ring or the mirror, the parent continues the ring from a copy: each chain that the
 * driver has offered, and that it does not see as used, must be popped exactly once, in order.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/vring_mirror.h"
#include "tests/lib/cases.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

#define SLOTS		 5u /* chains that the driver has */
#define SLOT_DESC	 3u /* descriptors of a slot */
#define ROUNDS_OF_DEVICE ROUNDS(10u, 4u, 4u)

static const struct format {
	const char *name;
	uint16_t size;
	bool packed, in_order, indirect;
} formats[] = {
	{ "split", 16, false, false, false },
	{ "split, in order", 16, false, true, false },
	{ "split, indirect", 16, false, false, true },
	{ "packed", 16, true, false, false },
	{ "packed, all chains fill the ring", 15, true, false, false },
	{ "packed, in order", 15, true, true, false },
	{ "packed, indirect", 5, true, false, true },
};

/* Shared by both processes. */
static struct world {
	struct mockdrv m;
	bool stepping; /* the device is at work */
	unsigned int offered;
	uint16_t head[SLOTS];				/* offered and not taken, in order */
	uint32_t table[SLOTS];				/* offsets of indirect tables in LOW */
	_Alignas(VRING_MIRROR_ALIGN) char memory[4096]; /* the mirror */
} * w;

static const struct format *format;
static uint32_t seed;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * limit >> 24);
}

/* ---- the driver ---- */

static uint16_t head_of(unsigned int slot)
{
	return (uint16_t)(format->indirect ? slot : slot * SLOT_DESC);
}

static bool is_offered(uint16_t head)
{
	for (unsigned int i = 0; i < w->offered; i++)
		if (w->head[i] == head)
			return true;
	return false;
}

/* Builds the chain of a slot; the number of its descriptors says how often it was built. */
static void build(struct mockdrv *m, unsigned int slot, unsigned int length)
{
	struct mock_piece piece[SLOT_DESC];

	for (unsigned int i = 0; i < length; i++)
		piece[i] = (struct mock_piece){ MOCK_FAR + slot * 512, 100 + slot, true };
	m->next_desc = head_of(slot);
	if (format->indirect)
		mock_chain_indirect(m, MOCK_LOW + w->table[slot], piece, length);
	else
		mock_chain(m, piece, length);
}

static void offer(struct mockdrv *m, unsigned int slot, unsigned int length)
{
	build(m, slot, length);
	mock_stage(m, head_of(slot));
	mock_show(m);
}

static void offer_some(void)
{
	for (unsigned int slot = 0; slot < SLOTS; slot++) {
		if (is_offered(head_of(slot)) || !random_below(3))
			continue;
		offer(&w->m, slot, format->size == 15 ? SLOT_DESC : 1 + random_below(SLOT_DESC));
		w->head[w->offered++] = head_of(slot);
	}
}

/* Takes all used elements, each of which must be that of an offered chain. */
static void take(struct mockdrv *m, uint16_t *head, unsigned int *count)
{
	struct vring_used_elem elem;

	while (mock_used(m, &elem)) {
		unsigned int i = 0;

		while (i < *count && head[i] != elem.id)
			i++;
		must(i < *count);
		for (--*count; i < *count; i++)
			head[i] = head[i + 1];
	}
}

/* ---- the device ---- */

static struct iovec iov[VRING_CHAIN_CAPACITY(16)];
static struct vring_chain chain = { .iov = iov, .capacity = VRING_CHAIN_CAPACITY(16) };

static void start(struct vring_dev *vr, struct vring_mirror *mirror, struct mockdrv *m,
		  char *memory, bool recover)
{
	const struct vring_base unused = { .avail_wrap = true, .used_wrap = true };

	mirror->memory = memory;
	mirror->entries = 16;
	mirror->recover = recover;
	must(!vring_setup(vr, &m->hostmem, &m->ring));
	must(!vring_mirror_start(vr, mirror, &unused));
}

static void step(bool on)
{
	w->stepping = on;
	if (on)
		raise(SIGSTOP);
}

/* Runs on the child. The order of completions is random; some are published together. */
static void run_device(void)
{
	static struct vring_dev vr;
	static struct vring_mirror mirror;
	uint16_t popped[SLOTS], count = 0;

	start(&vr, &mirror, &w->m, w->memory, false);
	for (unsigned int round = 0; round < ROUNDS_OF_DEVICE; round++) {
		offer_some();
		step(true);
		while (vring_pop(&vr, &chain) > 0) {
			popped[count++] = chain.head;
			/* Some are done at once, before the next is popped. */
			if (!random_below(4))
				vring_push(&vr, popped[--count], 1);
		}
		while (count && random_below(5)) {
			unsigned int i = random_below(count);

			vring_push(&vr, popped[i], random_below(2));
			popped[i] = popped[--count];
		}
		vring_publish(&vr);
		step(false);
		take(&w->m, w->head, &w->offered);
	}
	_exit(0);
}

/* ---- the next device, on a copy ---- */

static struct mockdrv s; /* with guest memory of its own */

/* Copies the driver, the ring and the mirror. */
static void copy_world(char *memory)
{
	struct mockdrv own = s;

	s = w->m;
	s.memfd = own.memfd;
	s.kick_fd = own.kick_fd;
	s.irq_fd = own.irq_fd;
	s.mem = own.mem;
	s.hostmem = own.hostmem;
	memcpy(s.device, own.device, sizeof(s.device));
	memcpy(s.mem, w->m.mem, w->m.heap - MOCK_LOW);
	s.avail = mock_ptr(&s, s.ring.avail);
	s.used = mock_ptr(&s, s.ring.used);
	s.driver_event = mock_ptr(&s, s.ring.avail);
	s.device_event = mock_ptr(&s, s.ring.used);
	s.packed = s.ring.packed ? mock_ptr(&s, s.ring.desc) : NULL;
	s.desc = s.ring.packed ? s.table : mock_ptr(&s, s.ring.desc);
	memcpy(memory, w->memory, sizeof(w->memory));
}

static void expect_pop(struct vring_dev *vr, uint16_t head)
{
	unsigned int slot = format->indirect ? head : head / SLOT_DESC;

	must(vring_pop(vr, &chain) == 1);
	must(chain.head == head);
	must(chain.in_count >= 1 && chain.in_len == chain.in_count * (100 + slot));
	must(iov[0].iov_base == s.device[2] + slot * 512);
}

static void continue_copy(unsigned int number)
{
	static _Alignas(VRING_MIRROR_ALIGN) char memory[sizeof(w->memory)];
	static struct vring_dev vr;
	static struct vring_mirror mirror;
	uint16_t head[SLOTS], order[SLOTS];
	unsigned int count = w->offered, left;

	copy_world(memory);
	memcpy(head, w->head, sizeof(head));
	take(&s, head, &count);
	/* A device that is killed while it starts changes nothing. */
	start(&vr, &mirror, &s, memory, true);
	start(&vr, &mirror, &s, memory, true);
	for (unsigned int i = 0; i < count; i++) {
		must(vring_has_avail(&vr));
		expect_pop(&vr, head[i]);
	}
	must(!vring_mirror_replays(&vr) && vring_pop(&vr, &chain) == 0);
	if (number & 8 && count) {
		/* The next device is killed, too, after it has completed one chain. */
		vring_push(&vr, head[count / 2], 1);
		vring_publish(&vr);
		take(&s, head, &count);
		start(&vr, &mirror, &s, memory, true);
		for (unsigned int i = 0; i < count; i++)
			expect_pop(&vr, head[i]);
	}
	/* Used elements come in another order, and one by one or together. */
	for (unsigned int i = 0; i < count; i++)
		order[i] = head[(number * 3 + (number & 4 ? count - 1 - i : i)) % count];
	left = count;
	for (unsigned int i = 0; i < count; i++) {
		vring_push(&vr, order[i], number & 1);
		if (number & 2) {
			vring_publish(&vr);
			take(&s, head, &left);
			must(format->in_order || left == count - 1 - i);
		}
	}
	vring_publish(&vr);
	take(&s, head, &left);
	must(!left);
	/* All entries are free again. */
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		offer(&s, slot, SLOT_DESC);
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		expect_pop(&vr, head_of(slot));
	start(&vr, &mirror, &s, memory, true);
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		expect_pop(&vr, head_of(slot));
	for (unsigned int slot = SLOTS; slot-- > 0;) {
		head[left++] = head_of(slot);
		vring_push(&vr, head_of(slot), 1);
	}
	vring_publish(&vr);
	take(&s, head, &left);
	must(!left);
}

/* ---- the steps ---- */

struct seen {
	char ring[sizeof(struct vring_desc) * 16];
	char used[256];
	char memory[1024];
};

static void look(struct seen *seen)
{
	memcpy(seen->ring, mock_ptr(&w->m, w->m.ring.desc), sizeof(seen->ring));
	memcpy(seen->used, mock_ptr(&w->m, w->m.ring.used), sizeof(seen->used));
	memcpy(seen->memory, w->memory, sizeof(seen->memory));
}

/* Returns the number of states in which the device was killed. */
static unsigned int follow(pid_t child)
{
	struct seen before = { { 0 }, { 0 }, { 0 } }, now;
	unsigned int states = 0;
	int status;

	for (;;) {
		must(waitpid(child, &status, 0) == child);
		if (WIFEXITED(status))
			break;
		must(WIFSTOPPED(status) &&
		     (WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP));
		if (w->stepping) {
			look(&now);
			if (memcmp(&before, &now, sizeof(now)))
				continue_copy(states++);
			before = now;
		}
		must(!ptrace(w->stepping ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL, NULL));
	}
	must(WEXITSTATUS(status) == 0);
	return states;
}

static void lay_out(void)
{
	struct mockdrv *m = &w->m;

	mock_init(m, 16, false, true);
	mock_init(&s, 16, false, true);
	if (format->packed)
		mock_ring_packed(m, format->size, false, true);
	m->ring.in_order = format->in_order;
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		w->table[slot] = (uint32_t)(mock_alloc(m, 64, 16) - MOCK_LOW);
}

START_TEST(kill_at_each_store_loses_and_repeats_nothing)
{
	pid_t child;

	format = &formats[_i];
	w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(w, MAP_FAILED);
	lay_out();
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		run_device();
	}
	ck_assert_uint_gt(follow(child), 20);
	mock_fini(&s);
	mock_fini(&w->m);
	munmap(w, sizeof(*w));
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("vring_mirror_kill");
	TCase *t = tcase_create("vring_mirror_kill");

	tcase_set_timeout(t, 300);
	tcase_add_table_test(t, kill_at_each_store_loses_and_repeats_nothing, formats);
	suite_add_tcase(suite, t);
	return suite;
}
