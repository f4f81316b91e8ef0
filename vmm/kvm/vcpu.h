/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu: vCPU threads, which call KVM_RUN and dispatch exits to the buses.
 */
#ifndef VMM_KVM_VCPU_H
#define VMM_KVM_VCPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/bus.h"
#include "vmm/kvm/exit_stats.h"
#include "vmm/kvm/vcpu_pause.h"
#include "vmm/kvm/coalesced_mmio.h"
#include "vmm/kvm/vm.h"
#include "vmm/vm_exit.h"

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
	const struct thread_init *begin; /* installs the thread's seccomp filter */
	struct exits *exits;		 /* NULL: exits are not counted */
	pthread_t thread;
	bool started;	/* the thread exists and vcpu_destroy has to join it */
	int start_err;	/* written by the thread before it parks or ends */
	int parked_err; /* 0: the parked vCPU has completed its exits; written before it parks */
	uint32_t stop;	/* atomic; see vcpu_stop */
	pthread_mutex_t lock;  /* lock of `kicked`; the thread holds it only around its wait */
	pthread_cond_t kicked; /* signalled by vcpu_kick */
};

/* Creates the vCPU in KVM; main thread. Before the call, the machine sets index, pio, mmio,
 * vm_exit, vcpu_pause, begin and exits. 0 or -errno; the caller calls vcpu_destroy in either
 * case. */
int vcpu_create(struct vcpu *vcpu, struct vm *vm);

/*
 * Starts the thread, which enters the guest unless a pause is requested. The thread inherits the
 * caller's signal mask. -errno: the thread could not be created.
 *
 * If the caller requests a pause before and then calls vcpu_pause_wait_all, start_err is valid: 0,
 * or the -errno for which the thread has ended without running the guest.
 */
int vcpu_start(struct vcpu *vcpu);

/* Makes the thread leave the guest and check for a pause or stop before it enters again; does not
 * wait. After a pause the guest is told that it was stopped (arch_vcpu_resumed). Any thread. */
void vcpu_kick(struct vcpu *vcpu);

/* Makes the thread leave the guest and end; does not wait for it. Any thread. */
void vcpu_stop(struct vcpu *vcpu);

/* Joins the thread, if it was started, and releases the vCPU. */
void vcpu_destroy(struct vcpu *vcpu);

/* Installs the handler of the signal that vcpu_kick sends. Once per process. */
void vcpu_init_signal(void);

#endif
