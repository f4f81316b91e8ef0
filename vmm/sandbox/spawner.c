/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/sandbox/spawner.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "dataplane/base.h"

#define THREAD_STACK (128u << 10)

struct spawner {
	pthread_mutex_t callers;
	/* The caller owns work, arg and result, except from its post of `wanted` until the
	 * spawner's post of `done`, when the spawner owns them. */
	int (*work)(void *arg); /* NULL: the thread ends */
	void *arg;
	int result;
	sem_t wanted;
	sem_t done;
	pthread_t thread;
};

static void *make(void *arg)
{
	struct spawner *m = arg;

	for (;;) {
		semaphore_wait(&m->wanted);
		if (!m->work)
			return NULL;
		m->result = m->work(m->arg);
		sem_post(&m->done);
	}
}

static void release(struct spawner *m)
{
	sem_destroy(&m->done);
	sem_destroy(&m->wanted);
	pthread_mutex_destroy(&m->callers);
	free(m);
}

int spawner_start(struct spawner **spawner)
{
	struct spawner *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->callers, NULL);
	sem_init(&m->wanted, 0, 0);
	sem_init(&m->done, 0, 0);
	err = thread_create(&m->thread, THREAD_STACK, THREAD_ANY_CPU, make, m);
	if (err) {
		release(m);
		return err;
	}
	*spawner = m;
	return 0;
}

void spawner_stop(struct spawner *m)
{
	if (!m)
		return;
	m->work = NULL;
	sem_post(&m->wanted);
	pthread_join(m->thread, NULL);
	release(m);
}

int spawner_run(void *spawner, int (*work)(void *arg), void *arg)
{
	struct spawner *m = spawner;
	int result;

	pthread_mutex_lock(&m->callers);
	m->work = work;
	m->arg = arg;
	sem_post(&m->wanted);
	semaphore_wait(&m->done);
	result = m->result;
	pthread_mutex_unlock(&m->callers);
	return result;
}
