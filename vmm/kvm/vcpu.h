/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu: one thread per virtual CPU: KVM_RUN, and exits handed to the buses.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/bus.h"
#include "vmm/devlist.h"
#include "vmm/kvm/exit_stats.h"
#include "vmm/kvm/vcpu_pause.h"
#include "vmm/kvm/coalesced_mmio.h"
#include "vmm/kvm/vm.h"

struct vcpu {
	unsigned int index;
	int fd;
	struct kvm_run *run;
	unsigned int run_size;
	struct coalesced_mmio coalesced_mmio;
	const struct bus *pio;
	const struct bus *mmio;
	struct vm_exit *vm_exit;
	struct vcpu_pause *vcpu_pause;
	const struct thread_init *begin;
	struct exits *exits; /* NULL: not counted */
	pthread_t thread;
	bool started;
	int start_err;	       /* the thread's, until it comes by the gate or leaves */
	uint32_t stop;	       /* atomic */
	pthread_mutex_t lock;  /* of `kicked`; held by the thread only around its wait */
	pthread_cond_t kicked; /* signalled by vcpu_kick */
};

/* Set before vcpu_create, by the machine: index, pio, mmio, ender, gate, begin, exits. Main thread.
 * 0 or -errno. */
int vcpu_create(struct vcpu *vcpu, struct vm *vm);

/*
 * Start the thread, which runs the guest when the gate is open. It inherits the caller's signal mask. -errno: there
 * is no thread. When the gate was closed before, and after vcpu_pause_wait_all, start_err says whether the
 * thread can run the guest; if not, it has ended.
 */
int vcpu_start(struct vcpu *vcpu);

/* Make the thread leave the guest, and come by the gate before it enters again; does not wait. A
 * resumed guest's clock knows that it stood still (arch_vcpu_resumed). Any thread. */
void vcpu_kick(struct vcpu *vcpu);

/* Make the thread leave the guest and end; does not wait. Any thread. */
void vcpu_stop(struct vcpu *vcpu);

/* Wait for the thread, then release everything. */
void vcpu_destroy(struct vcpu *vcpu);

/* Install the handler of the signal that takes vCPUs out of the guest. Once per process. */
void vcpu_init_signal(void);

#endif
