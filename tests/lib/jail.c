/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/jail.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const jail_kind_name[JAIL_KINDS] = {
	[SANDBOX_MAIN] = "main",     [SANDBOX_VCPU] = "vcpu",	 [SANDBOX_URING] = "io_uring",
	[SANDBOX_LIBAIO] = "libaio", [SANDBOX_SYNC] = "sync",	 [SANDBOX_WORKER] = "worker",
	[SANDBOX_EXPORT] = "export", [JAIL_SPAWNER] = "spawner",
};

struct attempt {
	enum sandbox_kind kind;
	long (*run)(void);
	int error; /* 0: it worked */
};

static void run_here(struct attempt *a)
{
	if (a->kind != JAIL_SPAWNER && thread_init(sandbox_thread(a->kind)))
		_exit(255);
	errno = 0;
	a->error = a->run() < 0 ? errno + !errno : 0;
}

static void *thread_main(void *arg)
{
	run_here(arg);
	return NULL;
}

static void run_in_thread(struct attempt *a)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_main, a))
		_exit(254);
	pthread_join(thread, NULL);
}

/* The helper thread is created by a dataplane thread, as in the product. */
static void *plane_main(void *arg)
{
	if (thread_init(sandbox_thread(SANDBOX_SYNC)))
		_exit(255);
	run_in_thread(arg);
	return NULL;
}

static void child(enum sandbox_mode mode, void (*before)(void), struct attempt *a)
{
	const struct sandbox_config config = { .mode = mode };
	pthread_t plane;

	if (before)
		before();
	if (sandbox_enter(&config))
		_exit(253);
	if (a->kind == SANDBOX_MAIN) {
		run_here(a);
	} else if (a->kind == SANDBOX_WORKER) {
		if (pthread_create(&plane, NULL, plane_main, a))
			_exit(254);
		pthread_join(plane, NULL);
	} else {
		run_in_thread(a);
	}
	_exit(a->error);
}

int jail_attempt(enum sandbox_mode mode, enum sandbox_kind kind, void (*before)(void),
		 long (*run)(void))
{
	struct attempt a = { .kind = kind, .run = run };
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid)
		child(mode, before, &a);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? JAIL_KILLED : -WTERMSIG(status);
	ck_assert_int_lt(WEXITSTATUS(status), 250);
	return WEXITSTATUS(status);
}
