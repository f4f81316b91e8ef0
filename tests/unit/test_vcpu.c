/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the vCPU thread, of coalesced MMIO, and of a KVM_RUN that returns at once. Linked with
 * --wrap=ioctl, open and pthread_cond_clockwait: the test simulates KVM and a guest that writes
 * increasing numbers until the vCPU is kicked.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/guestram.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"
#include "vmm/kvm/vcpu.h"

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap___open_2(const char *path, int flags);
int __wrap_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock, clockid_t clock,
				  const struct timespec *until);

#define PAGE	  4096u
#define RUN_PAGES 3u
#define RING_PAGE 2
#define DEVICE	  0xd0000000u

static int coalesced_mmio_page = RING_PAGE; /* result of KVM_CAP_COALESCED_MMIO */
static unsigned int run_pages = RUN_PAGES;
static unsigned int zones;
static struct vm vm;
static struct vcpu vcpu;
static uint32_t written, entered; /* atomic; changed by the vCPU thread */
static int try_error = EINTR;	  /* error of the first KVM_RUN */
static bool exits;		  /* the guest causes exits when the ring is full */
static uint32_t again;		  /* number of KVM_RUN calls that still return EAGAIN at once */
static uint32_t more;		  /* exits in which an instruction completes */
static uint32_t waits;		  /* atomic; waits of the thread outside of KVM_RUN */
static bool timeouts; /* such a wait times out at once; otherwise it ends only by a signal */

/* Queues a write in the ring. Returns false if the ring is full. */
static bool queue_write(struct kvm_coalesced_mmio_ring *ring, uint32_t number)
{
	uint32_t last = ring->last, next = (last + 1) % coalesced_mmio_entries(PAGE);
	struct kvm_coalesced_mmio *write = &ring->coalesced_mmio[last];

	if (next == LOAD_ACQUIRE(ring->first))
		return false;
	write->phys_addr = DEVICE;
	write->len = sizeof(number);
	memcpy(write->data, &number, sizeof(number));
	STORE_RELEASE(ring->last, next);
	return true;
}

static bool kicked(const struct kvm_run *run)
{
	return READ_ONCE(run->immediate_exit);
}

static int exit_by_write(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = DEVICE;
	run->mmio.len = sizeof(written);
	run->mmio.is_write = 1;
	memcpy(run->mmio.data, &written, sizeof(written));
	written++;
	return 0;
}

/* The last writes are queued after the kick, and before KVM_RUN returns. */
static int run_guest(struct kvm_run *run)
{
	void *ring = (uint8_t *)run + RING_PAGE * PAGE;

	if (kicked(run)) {
		/* The guest is not entered, but an instruction may have another exit. */
		if (more) {
			more--;
			return exit_by_write(run);
		}
		errno = EINTR;
		return -1;
	}
	__atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST);
	if (again) {
		again -= again != UINT32_MAX;
		errno = EAGAIN;
		return -1;
	}
	while (!exits && !kicked(run))
		sched_yield();
	for (unsigned int i = 0; (exits || i < 7) && vcpu.coalesced_mmio.ring; i++) {
		if (!queue_write(ring, written))
			break;
		written++;
	}
	if (kicked(run) || !exits) {
		errno = EINTR;
		return -1;
	}
	return exit_by_write(run);
}

/* The first KVM_RUN has immediate_exit set: it tests for errors without entering the guest. */
static int first_run(const struct kvm_run *run)
{
	ck_assert(kicked(run));
	errno = try_error;
	try_error = 0;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	unsigned long arg;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);
	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CHECK_EXTENSION:
		return arg == KVM_CAP_COALESCED_MMIO ? coalesced_mmio_page : 1;
	case KVM_GET_VCPU_MMAP_SIZE:
		return (int)(run_pages * PAGE);
	case KVM_CREATE_VM:
		return memfile(NULL, 0);
	case KVM_CREATE_VCPU:
		return memfile(NULL, RUN_PAGES * PAGE);
	case KVM_REGISTER_COALESCED_MMIO:
		zones++;
		return 0;
	case KVM_KVMCLOCK_CTRL:
		return 0;
	case KVM_RUN:
		return try_error ? first_run(vcpu.run) : run_guest(vcpu.run);
	default:
		ck_abort_msg("ioctl %#lx on %d", request, fd);
	}
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock, clockid_t clock,
				  const struct timespec *until)
{
	(void)clock;
	(void)until;
	__atomic_fetch_add(&waits, 1, __ATOMIC_SEQ_CST);
	return timeouts ? ETIMEDOUT : pthread_cond_wait(cond, lock);
}

/* Coverage builds write their measurements to other files. */
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	if (!strcmp(path, "/dev/kvm"))
		return memfile(NULL, 0);
	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	return __real_open(path, flags, mode);
}

int __wrap___open_2(const char *path, int flags)
{
	return __wrap_open(path, flags);
}

static void end(struct vm_exit *vm_exit, enum vm_end why)
{
	(void)vm_exit;
	ck_abort_msg("ended: %d", why);
}

static struct vm_exit vm_exit = { .end = end, .why = VM_RUNNING };
static struct bus pio, mmio;
static struct vcpu_pause vcpu_pause;
static bool paused;	     /* the pause is requested before the vCPU starts */
static uint32_t done, wrong; /* atomic */

static void count(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	uint32_t number = 0;

	(void)dev;
	memcpy(&number, data, sizeof(number));
	if (offset || len != sizeof(number) || number != done)
		__atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
}

static const struct bus_ops ops = { .name = "count", .write = count };

static void start(void)
{
	const char *why;

	ck_assert_int_eq(vm_create(&vm, 64 << 20, &why), 0);
	ck_assert_int_eq(vm_coalesce_mmio(&vm, DEVICE, 4), 0);
	ck_assert_int_eq(bus_add(&mmio, DEVICE, PAGE, &ops, NULL), 0);
	vcpu_init_signal();
	vcpu_pause_init(&vcpu_pause);
	if (paused)
		vcpu_pause_request(&vcpu_pause);
	vcpu = (struct vcpu){
		.pio = &pio, .mmio = &mmio, .vm_exit = &vm_exit, .vcpu_pause = &vcpu_pause
	};
	ck_assert_int_eq(vcpu_create(&vcpu, &vm), 0);
	ck_assert_int_eq(vcpu_start(&vcpu), 0);
}

static uint32_t times_entered(void)
{
	return __atomic_load_n(&entered, __ATOMIC_SEQ_CST);
}

static uint32_t times_waited(void)
{
	return __atomic_load_n(&waits, __ATOMIC_SEQ_CST);
}

static void stop(void)
{
	vcpu_stop(&vcpu);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
	vcpu_pause_destroy(&vcpu_pause);
	ck_assert_uint_eq(done, written);
	ck_assert_uint_eq(wrong, 0);
}

START_TEST(paused_vcpu_has_executed_its_queued_writes)
{
	start();
	ck_assert_uint_eq(zones, 1);
	for (uint32_t i = 1; i <= 100; i++) {
		mock_wait_until(times_entered() >= i);
		vcpu_pause_request(&vcpu_pause);
		vcpu_kick(&vcpu);
		vcpu_pause_wait_all(&vcpu_pause);
		ck_assert_uint_eq(written, 7 * i);
		ck_assert_uint_eq(done, written);
		vcpu_pause_release(&vcpu_pause);
	}
	mock_wait_until(times_entered() > 100);
	stop();
	ck_assert_uint_eq(written, 707);
}
END_TEST

/* A snapshot reads the vCPU's state, which an instruction in the middle of its exits is no part
 * of. */
START_TEST(paused_vcpu_has_completed_its_instruction)
{
	start();
	mock_wait_until(times_entered() >= 1);
	more = 1024;
	vcpu_pause_request(&vcpu_pause);
	vcpu_kick(&vcpu);
	vcpu_pause_wait_all(&vcpu_pause);
	ck_assert_int_eq(vcpu.parked_err, 0);
	ck_assert_uint_eq(more, 0);
	ck_assert_uint_eq(done, 7 + 1024);
	vcpu_pause_release(&vcpu_pause);
	mock_wait_until(times_entered() >= 2);
	stop();
}
END_TEST

START_TEST(instruction_without_an_end_does_not_keep_a_pause_waiting)
{
	start();
	mock_wait_until(times_entered() >= 1);
	more = UINT32_MAX;
	vcpu_pause_request(&vcpu_pause);
	vcpu_kick(&vcpu);
	vcpu_pause_wait_all(&vcpu_pause);
	ck_assert_int_eq(vcpu.parked_err, -ELOOP);
	more = 0;
	vcpu_pause_release(&vcpu_pause);
	mock_wait_until(times_entered() >= 2);
	stop();
}
END_TEST

START_TEST(exit_with_a_full_ring_comes_after_the_queued_writes)
{
	exits = true;
	start();
	mock_wait_until(times_entered() >= 100);
	stop();
	ck_assert_uint_ge(done, 99 * coalesced_mmio_entries(PAGE));
}
END_TEST

static const struct {
	const char *name;
	int page;
	unsigned int run_pages;
} ringless[] = {
	{ "error of the capability", -1, RUN_PAGES },
	{ "no capability", 0, RUN_PAGES },
	{ "ring outside the mapping", RING_PAGE, RUN_PAGES - 1 },
};

/* When the ring is missing or outside the mapping, no writes may be queued. */
START_TEST(host_without_a_ring)
{
	exits = true;
	coalesced_mmio_page = ringless[_i].page;
	run_pages = ringless[_i].run_pages;
	start();
	ck_assert_ptr_null(vcpu.coalesced_mmio.ring);
	ck_assert_uint_eq(zones, 0);
	mock_wait_until(times_entered() >= 100);
	stop();
	ck_assert_uint_ge(done, 99);
}
END_TEST

/* The waits have no time limit here: pause and stop must wake the thread. */
START_TEST(nmi_before_init_does_not_make_the_thread_spin)
{
	again = UINT32_MAX;
	start();
	for (uint32_t i = 1; i <= 100; i++) {
		mock_wait_until(times_waited() >= i || times_entered() > 1000);
		/* One call follows each wait, and a kick may interrupt another one. */
		ck_assert_uint_le(times_entered(), 2 + 2 * i);
		vcpu_pause_request(&vcpu_pause);
		vcpu_kick(&vcpu);
		vcpu_pause_wait_all(&vcpu_pause);
		vcpu_pause_release(&vcpu_pause);
	}
	mock_wait_until(times_waited() > 100);
	stop();
}
END_TEST

/* The thread retries until KVM_RUN no longer returns EAGAIN, and then stays in the guest. */
START_TEST(vcpu_started_after_an_nmi_runs)
{
	again = 100;
	timeouts = true;
	start();
	mock_wait_until(times_entered() == 101);
	ck_assert_uint_eq(times_waited(), 99);
	stop();
}
END_TEST

/* A vCPU that has never run makes KVM_RUN fail, for example when the host has no more threads. */
START_TEST(failing_first_run_is_reported_before_the_guest_runs)
{
	for (unsigned int i = 0; i < 2; i++) {
		try_error = i ? EINVAL : EAGAIN;
		paused = true;
		start();
		vcpu_pause_wait_all(&vcpu_pause);
		ck_assert_int_eq(vcpu.start_err, i ? -EINVAL : -EAGAIN);
		vcpu_pause_release(&vcpu_pause);
		stop();
		ck_assert_uint_eq(times_entered(), 0);
		mmio = (struct bus){ .count = 0 };
	}
}
END_TEST

START_TEST(vcpu_does_not_run_while_a_pause_is_requested)
{
	paused = true;
	start();
	vcpu_pause_wait_all(&vcpu_pause);
	ck_assert_int_eq(vcpu.start_err, 0);
	ck_assert_uint_eq(times_entered(), 0);
	vcpu_pause_release(&vcpu_pause);
	mock_wait_until(times_entered() > 0);
	stop();
}
END_TEST

/* An INIT makes KVM_RUN return EAGAIN once, and the SIPI may have arrived already. */
START_TEST(init_without_nmi_does_not_make_the_vcpu_wait)
{
	again = 1;
	start();
	mock_wait_until(times_entered() == 2);
	ck_assert_uint_eq(times_waited(), 0);
	stop();
}
END_TEST

/* The kick comes from a pause that ended before the thread noticed it. */
START_TEST(kick_without_a_pause_does_not_make_the_thread_spin)
{
	start();
	for (uint32_t i = 1; i <= 100; i++) {
		mock_wait_until(times_entered() >= i);
		vcpu_kick(&vcpu);
		mock_wait_until(!kicked(vcpu.run) || times_entered() > 10000);
		ck_assert(!kicked(vcpu.run));
	}
	stop();
	ck_assert_uint_le(entered, 202);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("vcpu");
	TCase *tc = tcase_create("vcpu");

	tcase_add_test(tc, paused_vcpu_has_executed_its_queued_writes);
	tcase_add_test(tc, paused_vcpu_has_completed_its_instruction);
	tcase_add_test(tc, instruction_without_an_end_does_not_keep_a_pause_waiting);
	tcase_add_test(tc, exit_with_a_full_ring_comes_after_the_queued_writes);
	tcase_add_table_test(tc, host_without_a_ring, ringless);
	tcase_add_test(tc, nmi_before_init_does_not_make_the_thread_spin);
	tcase_add_test(tc, vcpu_started_after_an_nmi_runs);
	tcase_add_test(tc, init_without_nmi_does_not_make_the_vcpu_wait);
	tcase_add_test(tc, kick_without_a_pause_does_not_make_the_thread_spin);
	tcase_add_test(tc, failing_first_run_is_reported_before_the_guest_runs);
	tcase_add_test(tc, vcpu_does_not_run_while_a_pause_is_requested);
	suite_add_tcase(suite, tc);
	return suite;
}
