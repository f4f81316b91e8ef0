/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base.h"

#define KICK_SIGNAL   SIGRTMIN
#define THREAD_STACK  (256u << 10)
#define START_POLL_NS 10000000 /* retry interval of wait_for_start: 10 ms */
/* Most exits in which an instruction completes: above the 1024 elements of a string. */
#define COMPLETING_EXITS 2048

/* The handler does nothing: the signal only has to interrupt KVM_RUN. */
static void on_kick(int signo)
{
	(void)signo;
}

void vcpu_init_signal(void)
{
	struct sigaction action = { .sa_handler = on_kick };

	sigaction(KICK_SIGNAL, &action, NULL);
}

/* Sets up access to KVM's coalesced MMIO ring, which is one of the pages behind struct kvm_run. */
static void find_coalesced_ring(struct vcpu *vcpu, struct vm *vm)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	vcpu->coalesced_mmio = (struct coalesced_mmio){ .lock = &vm->coalesced_mmio_lock };
	if (!vm->coalesced_mmio_page)
		return;
	vcpu->coalesced_mmio.ring = (void *)((uint8_t *)vcpu->run + vm->coalesced_mmio_page * page);
	vcpu->coalesced_mmio.entries = coalesced_mmio_entries(page);
}

int vcpu_create(struct vcpu *vcpu, struct vm *vm)
{
	vcpu->run_size = vm->run_size;
	vcpu->run = NULL;
	vcpu->started = false;
	vcpu->stop = 0;
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->kicked, NULL);
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)vcpu->index);
	if (vcpu->fd < 0)
		return -errno;

	void *run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vcpu->run = run;
	find_coalesced_ring(vcpu, vm);
	return 0;
}

/* Writes the event of an exit from which the guest cannot continue. */
static void describe_exit(const struct kvm_run *run, char *buf, size_t size)
{
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		snprintf(buf, size, "triple fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(buf, size, "KVM internal error (suberror %u)", run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(buf, size, "VM entry failed (hardware reason %#llx)",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		snprintf(buf, size, "unhandled KVM exit %u", run->exit_reason);
		break;
	}
}

/* Ends the VM with VM_END_CRASH after an exit from which the guest cannot continue. The disks are
 * still drained and flushed. */
static void crashed(struct vcpu *vcpu)
{
	struct vm_exit *vm_exit = vcpu->vm_exit;
	char event[64], where[32] = "";
	uint64_t pc;

	/* Of several vCPUs that crash, the first one describes it. */
	if (!__atomic_exchange_n(&vm_exit->crashed, 1, __ATOMIC_RELAXED)) {
		describe_exit(vcpu->run, event, sizeof(event));
		if (arch_vcpu_pc(vcpu->fd, &pc))
			snprintf(where, sizeof(where), " at %#llx", (unsigned long long)pc);
		snprintf(vm_exit->crash, sizeof(vm_exit->crash), "%s on CPU %u%s", event,
			 vcpu->index, where);
	}
	vm_exit->end(vm_exit, VM_END_CRASH);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_MMIO) {
		/* len is trusted to be 1 to 8, because KVM sets it and not the guest. */
		if (run->mmio.is_write)
			bus_write(vcpu->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
		else
			bus_read(vcpu->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
		return;
	}
	if (run->exit_reason == KVM_EXIT_INTR || arch_vcpu_exit(run, vcpu->pio, vcpu->vm_exit))
		return;
	crashed(vcpu);
}

/* Clears immediate_exit, so that KVM_RUN enters the guest again. The caller must afterwards check
 * the conditions for which a vCPU is kicked. */
static void accept_kick(struct vcpu *vcpu)
{
	WRITE_ONCE(vcpu->run->immediate_exit, 0);
	/* Pairs with the barrier in vcpu_kick: a later kick interrupts KVM_RUN, and the conditions
	 * that earlier kicks announced are visible from here on. */
	full_barrier();
}

/*
 * Waits before the next KVM_RUN, after two that returned EAGAIN in a row. KVM_RUN returns a single
 * EAGAIN when a vCPU that was never started receives its INIT. A second one means that KVM does not
 * wait for the INIT: an NMI or an SMI is pending for this vCPU, which it can neither take nor drop
 * before the INIT, and KVM_RUN returns at once until then. KVM keeps INIT and SIPI but signals them
 * only inside KVM_RUN, so that this thread has to retry from time to time. A kick ends the wait at
 * once.
 */
static void wait_for_start(struct vcpu *vcpu)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += START_POLL_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&vcpu->lock);
	if (!READ_ONCE(vcpu->run->immediate_exit))
		pthread_cond_clockwait(&vcpu->kicked, &vcpu->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&vcpu->lock);
}

/* Executes coalesced writes, handles the exit if there is one, and counts it. `left` is false if a
 * signal interrupted KVM_RUN, in which case *run describes no exit to handle. */
static void handle_and_count(struct vcpu *vcpu, bool left)
{
	uint64_t began = vcpu->exits ? monotonic_ns() : 0;

	coalesced_mmio_flush(&vcpu->coalesced_mmio, vcpu->mmio);
	if (left)
		handle_exit(vcpu);
	if (vcpu->exits)
		exits_count(vcpu->exits, vcpu->run, vcpu->pio, vcpu->mmio, monotonic_ns() - began);
}

/*
 * Lets KVM complete the instruction whose exit was handled last: the vCPU's state in KVM has the
 * result only after another KVM_RUN, which immediate_exit keeps from entering the guest. The
 * instruction may access devices again, for example as a part of a string. KVM checks immediate_exit
 * after each 1024 elements of one, so that the loop ends. Returns 0 or -errno.
 */
static int complete_exit(struct vcpu *vcpu)
{
	for (unsigned int i = 0; i < COMPLETING_EXITS; i++) {
		WRITE_ONCE(vcpu->run->immediate_exit, 1);
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			handle_and_count(vcpu, true);
			continue;
		}
		coalesced_mmio_flush(&vcpu->coalesced_mmio, vcpu->mmio);
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	}
	return -ELOOP;
}

static void vcpu_wait_while_paused(struct vcpu *vcpu)
{
	vcpu->parked_err = complete_exit(vcpu);
	vcpu_pause_park(vcpu->vcpu_pause);
	arch_vcpu_resumed(vcpu->fd);
	accept_kick(vcpu);
}

/* Calls KVM_RUN once and handles the exit. Returns 0 or the (positive) error number of KVM_RUN;
 * EINTR is handled here and returned as 0. */
static int run_once(struct vcpu *vcpu)
{
	if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
		handle_and_count(vcpu, true);
		return 0;
	}
	if (errno != EINTR)
		return errno;
	/* The kick is accepted before the caller checks for a pause: if that pause has been
	 * released meanwhile, immediate_exit would otherwise stay set and each KVM_RUN return at
	 * once. */
	accept_kick(vcpu);
	handle_and_count(vcpu, false);
	return 0;
}

/*
 * Does everything that can fail before the first guest instruction: installs the thread's seccomp
 * filter, and calls KVM_RUN once with immediate_exit set, which does not enter the guest. The first
 * KVM_RUN of a vCPU may allocate resources such as a kernel thread (Linux 6.14 and later).
 */
static int begin(struct vcpu *vcpu)
{
	int err = thread_init(vcpu->begin);

	if (err)
		return err;
	WRITE_ONCE(vcpu->run->immediate_exit, 1);
	if (ioctl(vcpu->fd, KVM_RUN, 0) && errno != EINTR)
		err = -errno;
	WRITE_ONCE(vcpu->run->immediate_exit, 0);
	/* Pairs with the barrier in vcpu_kick, as the one in accept_kick does. */
	full_barrier();
	return err;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *vcpu = arg;
	int last, err = 0;

	vcpu->start_err = begin(vcpu);
	if (vcpu->start_err) {
		vcpu_pause_remove(vcpu->vcpu_pause);
		return NULL;
	}
	/* The acquire of `stop` pairs with the release in vcpu_stop. */
	while (!LOAD_ACQUIRE(vcpu->stop) && !LOAD_ACQUIRE(vcpu->vm_exit->why)) {
		if (vcpu_pause_requested(vcpu->vcpu_pause)) {
			vcpu_wait_while_paused(vcpu);
			continue;
		}
		last = err;
		err = run_once(vcpu);
		if (err == EAGAIN && last == EAGAIN) {
			wait_for_start(vcpu);
		} else if (err && err != EAGAIN) {
			log_error("vCPU %u: KVM_RUN: %s", vcpu->index, strerror(err));
			vcpu->vm_exit->end(vcpu->vm_exit, VM_END_ERROR);
		}
	}
	vcpu_pause_remove(vcpu->vcpu_pause);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	int err;

	vcpu_pause_add(vcpu->vcpu_pause);
	err = thread_create(&vcpu->thread, THREAD_STACK, THREAD_ANY_CPU, vcpu_main, vcpu);
	vcpu->started = !err;
	if (err)
		vcpu_pause_remove(vcpu->vcpu_pause);
	return err;
}

void vcpu_kick(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	/* Pairs with the barrier in accept_kick: the condition that the caller has set is visible
	 * to the vCPU thread before immediate_exit is. */
	full_barrier();
	/* With immediate_exit set, KVM_RUN returns even if the signal arrives just before it. */
	WRITE_ONCE(vcpu->run->immediate_exit, 1);
	/* The lock closes the gap between wait_for_start's check of immediate_exit and its wait, in
	 * which the signal would be lost. */
	pthread_mutex_lock(&vcpu->lock);
	pthread_cond_signal(&vcpu->kicked);
	pthread_mutex_unlock(&vcpu->lock);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void vcpu_stop(struct vcpu *vcpu)
{
	STORE_RELEASE(vcpu->stop, 1);
	vcpu_kick(vcpu);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->started)
		pthread_join(vcpu->thread, NULL);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	pthread_cond_destroy(&vcpu->kicked);
	pthread_mutex_destroy(&vcpu->lock);
}
