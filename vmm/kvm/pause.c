/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/kvm/pause.h"

void gate_init(struct gate *gate)
{
	*gate = (struct gate){ .closed = false };
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->changed, NULL);
}

void gate_destroy(struct gate *gate)
{
	pthread_cond_destroy(&gate->changed);
	pthread_mutex_destroy(&gate->lock);
}

/* With the lock held. */
static void one_less(struct gate *gate)
{
	if (--gate->on_their_way == 0)
		pthread_cond_broadcast(&gate->changed);
}

void gate_expect(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->on_their_way++;
	pthread_mutex_unlock(&gate->lock);
}

void gate_leave(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	one_less(gate);
	pthread_mutex_unlock(&gate->lock);
}

void gate_wait(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	one_less(gate);
	while (gate->closed)
		pthread_cond_wait(&gate->changed, &gate->lock);
	gate->on_their_way++;
	pthread_mutex_unlock(&gate->lock);
}

static void set_closed(struct gate *gate, bool closed)
{
	pthread_mutex_lock(&gate->lock);
	__atomic_store_n(&gate->closed, closed, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

void gate_close(struct gate *gate)
{
	set_closed(gate, true);
}

void gate_open(struct gate *gate)
{
	set_closed(gate, false);
}

void gate_await(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->on_their_way)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}
