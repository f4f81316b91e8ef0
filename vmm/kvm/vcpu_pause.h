/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gate: where vCPU threads wait while the VM is paused. They pass it before each KVM_RUN, which costs
 * one load; who waits there sleeps.
 */
#ifndef VMM_GATE_H
#define VMM_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct vcpu_pause {
	bool closed; /* atomic; changed under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int running; /* threads that neither wait here nor are gone */
};

void vcpu_pause_init(struct vcpu_pause *vcpu_pause);
void vcpu_pause_destroy(struct vcpu_pause *vcpu_pause);

/* One more thread will pass; called before it is started. */
void vcpu_pause_add(struct vcpu_pause *vcpu_pause);
/* That thread has ended, or could not be started. */
void vcpu_pause_remove(struct vcpu_pause *vcpu_pause);

/* The thread itself: must it wait? Sequentially consistent: whoever closes the gate and then makes
 * the thread come by is seen. */
static inline bool vcpu_pause_requested(const struct vcpu_pause *vcpu_pause)
{
	return __atomic_load_n(&vcpu_pause->closed, __ATOMIC_SEQ_CST);
}

/* Wait until it is open. */
void vcpu_pause_park(struct vcpu_pause *vcpu_pause);

/* Any other thread, one at a time. */
void vcpu_pause_request(struct vcpu_pause *vcpu_pause);
void vcpu_pause_release(struct vcpu_pause *vcpu_pause);
/* Returns when all threads wait or are gone. They have to be made to come by. */
void vcpu_pause_wait_all(struct vcpu_pause *vcpu_pause);

#endif
