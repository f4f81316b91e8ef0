/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/control/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"

#define THREAD_STACK (128u << 10)

struct list {
	struct job *head;
	struct job **tail;
};

struct jobs {
	int done_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct list given;
	struct list done;
	bool quit;
};

static void list_clear(struct list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void list_put(struct list *list, struct job *job)
{
	job->next = NULL;
	*list->tail = job;
	list->tail = &job->next;
}

static struct job *list_take(struct list *list)
{
	struct job *job = list->head;

	if (!job)
		return NULL;
	list->head = job->next;
	if (!list->head)
		list->tail = &list->head;
	return job;
}

/* Waits for the next job and returns it; NULL: the thread has to end. */
static struct job *next_given(struct jobs *e)
{
	struct job *job = NULL;

	pthread_mutex_lock(&e->lock);
	while (!e->quit && !e->given.head)
		pthread_cond_wait(&e->wanted, &e->lock);
	if (!e->quit)
		job = list_take(&e->given);
	pthread_mutex_unlock(&e->lock);
	return job;
}

static void *jobs_main(void *arg)
{
	struct jobs *e = arg;
	struct job *job;

	while ((job = next_given(e))) {
		job->run(job);
		pthread_mutex_lock(&e->lock);
		list_put(&e->done, job);
		pthread_mutex_unlock(&e->lock);
		eventfd_signal(e->done_fd);
	}
	return NULL;
}

static void release(struct jobs *e)
{
	pthread_cond_destroy(&e->wanted);
	pthread_mutex_destroy(&e->lock);
	if (e->done_fd >= 0)
		close(e->done_fd);
	free(e);
}

int jobs_create(struct jobs **jobs)
{
	struct jobs *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->wanted, NULL);
	list_clear(&e->given);
	list_clear(&e->done);
	e->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = e->done_fd < 0
		      ? -errno
		      : thread_create(&e->thread, THREAD_STACK, THREAD_ANY_CPU, jobs_main, e);
	if (err) {
		release(e);
		return err;
	}
	*jobs = e;
	return 0;
}

void jobs_destroy(struct jobs *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->quit = true;
	pthread_cond_signal(&e->wanted);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	release(e);
}

void jobs_queue(struct jobs *e, struct job *job)
{
	pthread_mutex_lock(&e->lock);
	list_put(&e->given, job);
	pthread_cond_signal(&e->wanted);
	pthread_mutex_unlock(&e->lock);
}

int jobs_fd(const struct jobs *e)
{
	return e->done_fd;
}

void jobs_reap(struct jobs *e)
{
	struct job *job, *next;
	uint64_t count;

	if (read(e->done_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&e->lock);
	job = e->done.head;
	list_clear(&e->done);
	pthread_mutex_unlock(&e->lock);
	for (; job; job = next) {
		next = job->next;
		job->done(job);
	}
}
