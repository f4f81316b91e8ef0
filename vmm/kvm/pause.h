/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gate: where vCPU threads wait while the VM is paused. They pass it before each KVM_RUN, which costs
 * one load; who waits there sleeps.
 */
#ifndef VMM_GATE_H
#define VMM_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct gate {
	bool closed; /* atomic; changed under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int on_their_way; /* threads that neither wait here nor are gone */
};

void gate_init(struct gate *gate);
void gate_destroy(struct gate *gate);

/* One more thread will pass; called before it is started. */
void gate_expect(struct gate *gate);
/* That thread has ended, or could not be started. */
void gate_leave(struct gate *gate);

/* The thread itself: must it wait? Sequentially consistent: whoever closes the gate and then makes
 * the thread come by is seen. */
static inline bool gate_closed(const struct gate *gate)
{
	return __atomic_load_n(&gate->closed, __ATOMIC_SEQ_CST);
}

/* Wait until it is open. */
void gate_wait(struct gate *gate);

/* Any other thread, one at a time. */
void gate_close(struct gate *gate);
void gate_open(struct gate *gate);
/* Returns when all threads wait or are gone. They have to be made to come by. */
void gate_await(struct gate *gate);

#endif
