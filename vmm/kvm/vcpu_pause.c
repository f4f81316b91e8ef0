/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/kvm/vcpu_pause.h"

void vcpu_pause_init(struct vcpu_pause *vcpu_pause)
{
	*vcpu_pause = (struct vcpu_pause){ .closed = false };
	pthread_mutex_init(&vcpu_pause->lock, NULL);
	pthread_cond_init(&vcpu_pause->changed, NULL);
}

void vcpu_pause_destroy(struct vcpu_pause *vcpu_pause)
{
	pthread_cond_destroy(&vcpu_pause->changed);
	pthread_mutex_destroy(&vcpu_pause->lock);
}

/* Counts a thread that parks or ends. The caller holds the lock. */
static void one_less(struct vcpu_pause *vcpu_pause)
{
	if (--vcpu_pause->running == 0)
		pthread_cond_broadcast(&vcpu_pause->changed);
}

void vcpu_pause_add(struct vcpu_pause *vcpu_pause)
{
	pthread_mutex_lock(&vcpu_pause->lock);
	vcpu_pause->running++;
	pthread_mutex_unlock(&vcpu_pause->lock);
}

void vcpu_pause_remove(struct vcpu_pause *vcpu_pause)
{
	pthread_mutex_lock(&vcpu_pause->lock);
	one_less(vcpu_pause);
	pthread_mutex_unlock(&vcpu_pause->lock);
}

void vcpu_pause_park(struct vcpu_pause *vcpu_pause)
{
	pthread_mutex_lock(&vcpu_pause->lock);
	one_less(vcpu_pause);
	while (vcpu_pause->closed)
		pthread_cond_wait(&vcpu_pause->changed, &vcpu_pause->lock);
	vcpu_pause->running++;
	pthread_mutex_unlock(&vcpu_pause->lock);
}

static void set_closed(struct vcpu_pause *vcpu_pause, bool closed)
{
	pthread_mutex_lock(&vcpu_pause->lock);
	__atomic_store_n(&vcpu_pause->closed, closed, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&vcpu_pause->changed);
	pthread_mutex_unlock(&vcpu_pause->lock);
}

void vcpu_pause_request(struct vcpu_pause *vcpu_pause)
{
	set_closed(vcpu_pause, true);
}

void vcpu_pause_release(struct vcpu_pause *vcpu_pause)
{
	set_closed(vcpu_pause, false);
}

void vcpu_pause_wait_all(struct vcpu_pause *vcpu_pause)
{
	pthread_mutex_lock(&vcpu_pause->lock);
	while (vcpu_pause->running)
		pthread_cond_wait(&vcpu_pause->changed, &vcpu_pause->lock);
	pthread_mutex_unlock(&vcpu_pause->lock);
}
