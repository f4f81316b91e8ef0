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

#define THREAD_STACK (128u << 10)

struct list {
	struct errand *head;
	struct errand **tail;
};

struct errands {
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

static void list_put(struct list *list, struct errand *errand)
{
	errand->next = NULL;
	*list->tail = errand;
	list->tail = &errand->next;
}

static struct errand *list_take(struct list *list)
{
	struct errand *errand = list->head;

	if (!errand)
		return NULL;
	list->head = errand->next;
	if (!list->head)
		list->tail = &list->head;
	return errand;
}

/* The next one; NULL: it is time to end. */
static struct errand *next_given(struct errands *e)
{
	struct errand *errand = NULL;

	pthread_mutex_lock(&e->lock);
	while (!e->quit && !e->given.head)
		pthread_cond_wait(&e->wanted, &e->lock);
	if (!e->quit)
		errand = list_take(&e->given);
	pthread_mutex_unlock(&e->lock);
	return errand;
}

static void *errands_main(void *arg)
{
	struct errands *e = arg;
	struct errand *errand;
	uint64_t one = 1;

	while ((errand = next_given(e))) {
		errand->run(errand);
		pthread_mutex_lock(&e->lock);
		list_put(&e->done, errand);
		pthread_mutex_unlock(&e->lock);
		ssize_t ignored = write(e->done_fd, &one, sizeof(one));
		(void)ignored;
	}
	return NULL;
}

static int start_thread(struct errands *e)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	err = pthread_create(&e->thread, &attr, errands_main, e);
	pthread_attr_destroy(&attr);
	return -err;
}

static void release(struct errands *e)
{
	pthread_cond_destroy(&e->wanted);
	pthread_mutex_destroy(&e->lock);
	if (e->done_fd >= 0)
		close(e->done_fd);
	free(e);
}

int errands_create(struct errands **errands)
{
	struct errands *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->wanted, NULL);
	list_clear(&e->given);
	list_clear(&e->done);
	e->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = e->done_fd < 0 ? -errno : start_thread(e);
	if (err) {
		release(e);
		return err;
	}
	*errands = e;
	return 0;
}

void errands_destroy(struct errands *e)
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

void errands_give(struct errands *e, struct errand *errand)
{
	pthread_mutex_lock(&e->lock);
	list_put(&e->given, errand);
	pthread_cond_signal(&e->wanted);
	pthread_mutex_unlock(&e->lock);
}

int errands_fd(const struct errands *e)
{
	return e->done_fd;
}

void errands_collect(struct errands *e)
{
	struct errand *errand, *next;
	uint64_t count;

	if (read(e->done_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&e->lock);
	errand = e->done.head;
	list_clear(&e->done);
	pthread_mutex_unlock(&e->lock);
	for (; errand; errand = next) {
		next = errand->next;
		errand->done(errand);
	}
}
