/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu_pause: barrier at which vCPU threads sleep while the VM is paused.
 *
 * Each vCPU thread checks for a pause before each KVM_RUN, which costs one load.
 */
#ifndef VMM_KVM_VCPU_PAUSE_H
#define VMM_KVM_VCPU_PAUSE_H

#include <pthread.h>
#include <stdbool.h>

struct vcpu_pause {
	bool closed; /* a pause is requested; atomic, and changed only under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* signalled when `closed` changes, and when `running` becomes 0 */
	unsigned int running;	/* vCPU threads that are neither parked nor ended */
};

void vcpu_pause_init(struct vcpu_pause *vcpu_pause);
void vcpu_pause_destroy(struct vcpu_pause *vcpu_pause);

/* Registers a vCPU thread; called before the thread is created. */
void vcpu_pause_add(struct vcpu_pause *vcpu_pause);

/* Removes a vCPU thread that ends or could not be created. */
void vcpu_pause_remove(struct vcpu_pause *vcpu_pause);

/* Returns true if the calling vCPU thread must park. The load is sequentially consistent and
 * pairs with the store in vcpu_pause_request: after a kick, the thread sees the request that
 * preceded it. */
static inline bool vcpu_pause_requested(const struct vcpu_pause *vcpu_pause)
{
	return __atomic_load_n(&vcpu_pause->closed, __ATOMIC_SEQ_CST);
}

/* Blocks the calling vCPU thread until the pause is released. */
void vcpu_pause_park(struct vcpu_pause *vcpu_pause);

/* Requests a pause; does not wait. Any thread but a vCPU thread, one at a time. */
void vcpu_pause_request(struct vcpu_pause *vcpu_pause);

/* Ends the pause and wakes the parked threads. Any thread but a vCPU thread, one at a time. */
void vcpu_pause_release(struct vcpu_pause *vcpu_pause);

/* Returns when every vCPU thread is parked or has ended. The caller must kick the threads first
 * (vcpu_kick). Any thread but a vCPU thread, one at a time. */
void vcpu_pause_wait_all(struct vcpu_pause *vcpu_pause);

#endif
