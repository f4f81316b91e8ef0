/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of system calls that libraries make only rarely or on errors: a thread of each kind that
 * may make them does so inside its filter. None may end in SIGSYS.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libaio.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "dataplane/evloop.h"
#include "tests/lib/cases.h"
#include "tests/lib/jail.h"
#include "tests/lib/refuse.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

/* The filter of the supervisor, numbered behind those of threads. */
#define SUPERVISOR JAIL_KINDS
#define ALL_KINDS  (JAIL_EVERYONE | JAIL_KIND(SUPERVISOR))
/* Dataplane threads and the spawner. */
#define DATAPLANE JAIL_THREADS
/* The main thread, and the job thread, which has the spawner's filter. */
#define JSON	     (JAIL_KIND(SANDBOX_MAIN) | JAIL_KIND(JAIL_SPAWNER))
#define SPAWNER_ONLY JAIL_KIND(JAIL_SPAWNER)

/* The compiler must not optimize these allocations away. */
static void *volatile hidden;

/* ---- memory ---- */

/* glibc resizes a block that has its own mapping by mremap. */
static long realloc_of_a_large_block(void)
{
	static const size_t size[] = { 1 << 20, 64 << 20, 2 << 20, 100 };
	char *block = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
		block = realloc(block, size[i]);
		if (!block || (i && block[50] != 'x'))
			return -1;
		block[50] = 'x';
	}
	free(block);
	return 0;
}

static void little_memory(void)
{
	const struct rlimit limit = { 40 << 20, 40 << 20 };

	if (setrlimit(RLIMIT_DATA, &limit))
		_exit(252);
}

/*
 * Allocates until memory is exhausted, in small blocks and in one large block, and frees all of it.
 */
static long no_memory_left(void)
{
	void **last = NULL, **block;

	hidden = malloc((size_t)1 << 40);
	if (hidden)
		return -1;
	while ((block = malloc(4000))) {
		block[0] = last;
		last = block;
	}
	while ((block = last)) {
		last = block[0];
		free(block);
	}
	malloc_trim(0);
	return 0;
}

static long freed_twice(void)
{
	/*
	 * The block is too large for the thread's cache, which detects a double free in another
	 * way.
	 */
	hidden = malloc(3000);
	free(hidden);
	free(hidden);
	return 0;
}

static long not_allocated(void)
{
	static char block[64];

	hidden = block + 8;
	free(hidden);
	return 0;
}

/* ---- abnormal termination ---- */

void __stack_chk_fail(void) __attribute__((noreturn));
void __chk_fail(void) __attribute__((noreturn));

static long failed_assertion(void)
{
	__assert_fail("what holds", __FILE__, __LINE__, __func__);
}

static long smashed_stack(void)
{
	__stack_chk_fail();
}

static long overrun_that_fortify_finds(void)
{
	__chk_fail();
}

static long aborted(void)
{
	abort();
}

/* ---- text ---- */

static void log_file(void)
{
	log_to_file(memfd_create("log", MFD_CLOEXEC));
}

/* Logs an unknown error number, with time stamps. */
static long logged(void)
{
	log_error("%s", strerror(123456));
	return 0;
}

static long written_to_standard_error(void)
{
	return fprintf(stderr, "a library's own message, a long one: %200d\n", 1) < 0 ? -1 : 0;
}

/* ---- threads ---- */

static void *nothing(void *arg)
{
	return arg;
}

/* The thread's stack is larger than the address space. */
static long thread_without_memory(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)1 << 50);
	return pthread_create(&thread, &attr, nothing, NULL) == EAGAIN ? 0 : -1;
}

/* The C library creates the thread, fails to set its affinity, and ends it again. */
static long thread_for_an_absent_cpu(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(CPU_SETSIZE - 1, &cpu);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpu), &cpu);
	return pthread_create(&thread, &attr, nothing, NULL) == EINVAL ? 0 : -1;
}

static long wait_that_times_out(void)
{
	struct timespec now;
	sem_t sem;

	sem_init(&sem, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return sem_clockwait(&sem, CLOCK_MONOTONIC, &now) && errno == ETIMEDOUT ? 0 : -1;
}

/* ---- io_uring and AIO ---- */

static void few_descriptors(rlim_t n)
{
	const struct rlimit limit = { n, n };

	if (close_range(3, ~0u, 0) || setrlimit(RLIMIT_NOFILE, &limit))
		_exit(252);
}

/*
 * Enough descriptors for a ring, but not for a table of 16 files: liburing would raise the limit.
 */
static void ten_descriptors(void)
{
	few_descriptors(10);
}

static long ring_without_room_for_files(void)
{
	struct evloop loop;
	long result = -1;

	if (evloop_init(&loop, EVLOOP_URING))
		return -1;
	if (!evloop_begin(&loop) && evloop_register_file(&loop, loop.wake_fd) == -ENFILE)
		result = 0;
	evloop_end(&loop);
	evloop_destroy(&loop);
	return result;
}

static void nine_descriptors(void)
{
	few_descriptors(9);
}

/* Frees one descriptor after another: each kind of loop fails until all of its descriptors fit. */
static long loop_without_descriptors(void)
{
	static const enum evloop_kind kinds[] = { EVLOOP_EPOLL, EVLOOP_URING };
	struct evloop loop;
	int room = 0;

	while (eventfd(0, EFD_CLOEXEC) >= 0)
		room++;
	for (int fd = 3; fd < 3 + room; fd++) {
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (fd - 3 < (int)EVLOOP_FDS && evloop_init(&loop, kinds[i]) != -EMFILE)
				return -1;
		close(fd);
	}
	return 0;
}

static long oversized_context(void)
{
	io_context_t ctx = 0;

	return io_setup(1 << 30, &ctx) < 0 ? 0 : -1;
}

static long invalid_context(void)
{
	struct iocb *one = NULL;
	struct io_event event;

	return io_submit(0, 1, &one) < 0 && io_getevents(0, 0, 1, &event, NULL) < 0 ? 0 : -1;
}

/* ---- files ---- */

static int file_fd;

static void old_kernel(void)
{
	static const int calls[] = { SYS_pwritev2, -1 };

	file_fd = memfd_create("file", MFD_CLOEXEC);
	refuse_calls(calls, ENOSYS);
}

/* The C library then calls pwritev. */
static long pwritev2_of_an_old_kernel(void)
{
	struct iovec iov = { (char[]){ "x" }, 1 };

	return pwritev2(file_fd, &iov, 1, 0, 0) == 1 ? 0 : -1;
}

/* ---- json-c ---- */

static void hashed(void)
{
	json_object_put(json_tokener_parse("{\"a\":1}"));
}

/* A text as long as the statistics of many queues, which exceeds the block that realloc copies. */
static long large_document(void)
{
	struct json_object *list = json_object_new_array(), *again;
	const char *text;
	size_t len;

	for (int i = 0; i < 30000; i++) {
		struct json_object *one = json_object_new_object();

		json_object_object_add(one, "number", json_object_new_int64(i));
		json_object_object_add(one, "half", json_object_new_double(i / 2.0));
		json_object_array_add(list, one);
	}
	text = json_object_to_json_string_length(list, JSON_C_TO_STRING_PLAIN, &len);
	again = text ? json_tokener_parse(text) : NULL;
	if (len < 500000 || json_object_array_length(again) != 30000)
		return -1;
	json_object_put(again);
	json_object_put(list);
	return 0;
}

static long bad_documents(void)
{
	static const char *const text[] = { "",
					    "{",
					    "[1,",
					    "{\"a\":1e999}",
					    "nul",
					    "\"\\ud800\"",
					    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
					    "1e",
					    "-" };

	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		json_object_put(json_tokener_parse(text[i]));
	return 0;
}

/* ---- all cases ---- */

static const struct {
	const char *name;
	void (*before)(void);
	long (*run)(void);
	unsigned int kinds;
	int end; /* result of jail_attempt */
} cases[] = {
	{ "realloc of a large block", NULL, realloc_of_a_large_block, ALL_KINDS, 0 },
	{ "no memory left", little_memory, no_memory_left, ALL_KINDS, 0 },
	{ "a block that is freed twice", NULL, freed_twice, ALL_KINDS, -SIGABRT },
	{ "a block that was not allocated", NULL, not_allocated, ALL_KINDS, -SIGABRT },
	{ "a failed assertion", NULL, failed_assertion, ALL_KINDS, -SIGABRT },
	{ "a smashed stack", NULL, smashed_stack, ALL_KINDS, -SIGABRT },
	{ "an overrun", NULL, overrun_that_fortify_finds, ALL_KINDS, -SIGABRT },
	{ "abort", NULL, aborted, ALL_KINDS, -SIGABRT },
	{ "the log", log_file, logged, ALL_KINDS, 0 },
	{ "standard error", NULL, written_to_standard_error, ALL_KINDS, 0 },
	{ "a thread without memory", NULL, thread_without_memory, DATAPLANE, 0 },
	{ "a thread for a processor that is not there", NULL, thread_for_an_absent_cpu,
	  SPAWNER_ONLY, 0 },
	{ "a wait that ends", NULL, wait_that_times_out, JAIL_EVERYONE, 0 },
	{ "a ring whose files have no place", ten_descriptors, ring_without_room_for_files,
	  SPAWNER_ONLY, 0 },
	{ "a loop without descriptors", nine_descriptors, loop_without_descriptors, SPAWNER_ONLY,
	  0 },
	{ "an AIO context that is too large", NULL, oversized_context, SPAWNER_ONLY, 0 },
	{ "an AIO context that is none", NULL, invalid_context,
	  JAIL_KIND(SANDBOX_LIBAIO) | SPAWNER_ONLY, 0 },
	{ "pwritev2 of an old kernel", old_kernel, pwritev2_of_an_old_kernel, DATAPLANE, 0 },
	{ "a large document", hashed, large_document, JSON, 0 },
	{ "bad documents", hashed, bad_documents, JSON, 0 },
};

static int supervisor_attempt(void (*before)(void), long (*run)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (before)
			before();
		sandbox_supervisor(SANDBOX_ON, getpid(), (const int[SANDBOX_DIRS]){ -1, -1, -1 });
		errno = 0;
		_exit(run() < 0 ? errno + !errno : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? JAIL_KILLED : -WTERMSIG(status);
	return WEXITSTATUS(status);
}

START_TEST(rare_call_of_a_library_is_permitted)
{
	for (unsigned int kind = 0; kind <= SUPERVISOR; kind++) {
		int end;

		if (!(cases[_i].kinds & JAIL_KIND(kind)))
			continue;
		end = kind == SUPERVISOR ? supervisor_attempt(cases[_i].before, cases[_i].run)
					 : jail_attempt(SANDBOX_ON, (enum sandbox_kind)kind,
							cases[_i].before, cases[_i].run);
		ck_assert_msg(end == cases[_i].end, "%s by %s: %d", cases[_i].name,
			      kind == SUPERVISOR ? "supervisor" : jail_kind_name[kind], end);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("sandbox_libs");
	TCase *t = tcase_create("sandbox_libs");

	/* Sanitizers need more system calls than the filters permit. */
	if (!SANITIZED)
		tcase_add_table_test(t, rare_call_of_a_library_is_permitted, cases);
	suite_add_tcase(s, t);
	return s;
}
