/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vubench: measures a vhost-user-blk back end with the driver of ringbench. A driver thread per
 * queue keeps `depth` random reads in flight, in memory that it shares with the back end.
 *
 * A driver polls for completions, or with --wait sleeps until the CALL descriptor is signalled. A
 * run prints a line of JSON: requests per second, the percentiles of their latency, doorbells and
 * sleeps per request, the time from connect(2) to the first completion, and with --pid the CPU time
 * of that process per request. all_requests also counts those of the warm-up, which takes 0.1 s.
 * The latency of a request ends when the driver finds it, and the clock is read once per batch.
 * With --idle, the rings stay live without requests for that time after the line is printed.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/bench/ringbench.h"
#include "tests/bench/vubench_session.h"

#define MAX_QUEUES 16
#define GPA	   0x100000ull
#define NS	   1000000000ull

/* Latencies are counted in buckets: 32 for each power of two, so that each is 3 % wide. */
#define FINE	5u
#define BUCKETS (64u << FINE)

/* vubench gives up a back end that completes nothing for this long. */
#define LIMIT_NS (10 * NS)

static struct {
	const char *socket;
	unsigned int pid, depth, queues, bytes;
	double seconds, idle;
	bool packed, indirect, wait, log, inflight;
} opt = { .depth = 32, .queues = 1, .bytes = 4096, .seconds = 1 };

enum phase { WARM_UP, COUNT, STOP };

struct queue {
	_Alignas(CACHELINE_PAIR) struct driver driver;
	struct vu_queue vu;
	pthread_t thread;
	uint8_t *status; /* of each request */
	bool failed;
	uint64_t requests, kicks, sleeps;
	uint64_t warm_up;	     /* requests before the counted ones */
	uint64_t started[RING_SIZE]; /* time at which each slot's request was offered */
	uint64_t latency[BUCKETS];
};

static struct queue queues[MAX_QUEUES];
static int phase; /* atomic; enum phase */

static void ring_doorbell(struct queue *q)
{
	uint64_t one = 1;

	WRITE_ONCE(q->kicks, q->kicks + 1);
	if (write(q->vu.kick_fd, &one, sizeof(one)) != sizeof(one))
		vu_die("kick", NULL);
}

static unsigned int bucket(uint64_t ns)
{
	unsigned int top = ns >> FINE ? 63 - (unsigned int)__builtin_clzll(ns) - FINE : 0;

	/* Below 2^FINE each bucket is 1 ns wide; above, the bits after the first select it. */
	return (top << FINE) + (unsigned int)(ns >> top);
}

static uint64_t bucket_ns(unsigned int index)
{
	unsigned int top = index >> (FINE + 1) ? (index >> FINE) - 1 : 0;

	return (uint64_t)(index - (top << FINE)) << top;
}

static void offer(struct queue *q, unsigned int slot, uint64_t now)
{
	q->status[slot] = 0xff;
	q->started[slot] = now;
	driver_stage(&q->driver, slot);
}

/* Returns the slot of the next completion, or -1 if it is time to stop. */
static int await(struct queue *q)
{
	int slot;

	while ((slot = driver_take(&q->driver)) < 0) {
		if (READ_ONCE(phase) == STOP)
			return -1;
		if (opt.wait && driver_sleep(&q->driver, q->vu.call_fd))
			WRITE_ONCE(q->sleeps, q->sleeps + 1);
	}
	return slot;
}

static void *drive(void *arg)
{
	struct queue *q = arg;
	uint64_t now = monotonic_ns();
	int current = WARM_UP;

	for (unsigned int i = 0; i < opt.depth; i++)
		offer(q, i, now);
	do {
		unsigned int done = 0;
		int slot;

		if (driver_show(&q->driver))
			ring_doorbell(q);
		slot = await(q);
		now = monotonic_ns();
		for (; slot >= 0; slot = driver_take(&q->driver)) {
			q->failed |= q->status[slot] != 0;
			done++;
			if (current == COUNT)
				q->latency[bucket(now - q->started[slot])]++;
			offer(q, (unsigned int)slot, now);
		}
		WRITE_ONCE(q->requests, q->requests + done);
		current = READ_ONCE(phase);
	} while (current != STOP);
	return NULL;
}

/* ---- the back end's process ---- */

/* Returns the CPU time of all threads of --pid, ended ones included. */
static uint64_t server_ns(void)
{
	struct timespec t;
	clockid_t clock;

	if (!opt.pid)
		return 0;
	if (clock_getcpuclockid((pid_t)opt.pid, &clock) || clock_gettime(clock, &t))
		vu_die("--pid", "there is no such process");
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* ---- a run ---- */

/* Connects and starts the queues. Returns the time from connect(2) to the first completion. */
static uint64_t start(struct vu_session *s)
{
	struct queue *first = &queues[0];
	uint64_t began;

	s->gpa = GPA;
	s->size = DRIVER_BYTES * opt.queues;
	s->memory = driver_memfd(s->size, &s->memory_fd);
	if (!s->memory)
		vu_die("memory", NULL);
	began = monotonic_ns();
	vu_open(s, opt.socket);
	if (s->capacity < opt.bytes)
		vu_die("disk", "is smaller than a request");
	for (unsigned int i = 0; i < opt.queues; i++) {
		struct queue *q = &queues[i];
		char *base = (char *)s->memory + DRIVER_BYTES * i;

		driver_init(&q->driver, base, GPA + DRIVER_BYTES * i, opt.packed, opt.indirect,
			    s->capacity, opt.bytes);
		driver_disarm(&q->driver);
		q->status = (uint8_t *)base + AT_STATUS;
		q->vu = (struct vu_queue){ q->driver.ring, eventfd(0, EFD_CLOEXEC),
					   eventfd(0, EFD_CLOEXEC) };
		vu_start(s, i, &q->vu);
	}
	offer(first, 0, 0);
	if (driver_show(&first->driver))
		ring_doorbell(first);
	while (driver_take(&first->driver) < 0)
		if (monotonic_ns() - began > LIMIT_NS)
			vu_die("first request", "is not completed");
	return monotonic_ns() - began;
}

static void stop_threads(void)
{
	uint64_t one = 1;

	WRITE_ONCE(phase, STOP);
	for (unsigned int i = 0; i < opt.queues; i++)
		if (write(queues[i].vu.call_fd, &one, sizeof(one)) < 0)
			vu_die("call", NULL);
	for (unsigned int i = 0; i < opt.queues; i++)
		pthread_join(queues[i].thread, NULL);
}

/* A reading of all counters. */
struct sample {
	uint64_t ns, cpu, requests, kicks, sleeps;
};

static struct sample take_sample(void)
{
	struct sample sample = { .ns = monotonic_ns(), .cpu = server_ns() };

	for (unsigned int i = 0; i < opt.queues; i++) {
		sample.requests += READ_ONCE(queues[i].requests);
		sample.kicks += READ_ONCE(queues[i].kicks);
		sample.sleeps += READ_ONCE(queues[i].sleeps);
	}
	return sample;
}

/* Returns a percentile of the latencies of all queues, in microseconds. */
static double percentile(double share)
{
	uint64_t count[BUCKETS] = { 0 }, sum = 0, all = 0;
	unsigned int b;

	for (b = 0; b < BUCKETS; b++) {
		for (unsigned int i = 0; i < opt.queues; i++)
			count[b] += queues[i].latency[b];
		all += count[b];
	}
	for (b = 0; b < BUCKETS - 1; b++) {
		sum += count[b];
		if (sum >= share * (double)all)
			break;
	}
	return (double)bucket_ns(b) / 1000;
}

static void print(const struct sample *from, const struct sample *to, uint64_t connect_ns)
{
	double n = (double)(to->requests - from->requests);

	for (unsigned int i = 0; i < opt.queues; i++)
		if (queues[i].failed)
			vu_die("requests", "failed");
	if (to->requests == from->requests)
		vu_die("requests", "none was completed");
	printf("{\"iops\": %.0f, \"cpu_ns\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
	       "\"kicks\": %.4f, \"sleeps\": %.4f, \"connect_us\": %.0f, \"all_requests\": %lu}\n",
	       n * 1e9 / (double)(to->ns - from->ns), (double)(to->cpu - from->cpu) / n,
	       percentile(0.5), percentile(0.99), (double)(to->kicks - from->kicks) / n,
	       (double)(to->sleeps - from->sleeps) / n, (double)connect_ns / 1000,
	       (unsigned long)take_sample().requests);
	fflush(stdout);
}

static void run(void)
{
	struct vu_session session = {
		.packed = opt.packed,
		.indirect = opt.indirect,
		.log = opt.log,
		.inflight = opt.inflight,
		.queues = opt.queues,
	};
	uint64_t connect_ns = start(&session);
	struct sample from, to;

	for (unsigned int i = 0; i < opt.queues; i++)
		if (pthread_create(&queues[i].thread, NULL, drive, &queues[i]))
			vu_die("thread", "cannot be created");
	usleep(100000);
	WRITE_ONCE(phase, COUNT);
	from = take_sample();
	do {
		usleep((useconds_t)(opt.seconds * 1e6));
		to = take_sample();
		/* On a busy machine a short run may have passed without a completion. */
	} while (to.requests == from.requests && to.ns - from.ns < LIMIT_NS);
	stop_threads();
	print(&from, &to, connect_ns);
	usleep((useconds_t)(opt.idle * 1e6));
	for (unsigned int i = 0; i < opt.queues; i++)
		vu_stop(&session, i);
}

/* ---- options ---- */

static const struct option long_options[] = {
	{ "socket", 1, NULL, 's' }, { "pid", 1, NULL, 'p' },	{ "depth", 1, NULL, 'd' },
	{ "queues", 1, NULL, 'q' }, { "bytes", 1, NULL, 'b' },	{ "seconds", 1, NULL, 't' },
	{ "idle", 1, NULL, 'I' },   { "packed", 0, NULL, 'k' }, { "indirect", 0, NULL, 'i' },
	{ "wait", 0, NULL, 'w' },   { "log", 0, NULL, 'l' },	{ "inflight", 0, NULL, 'f' },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void usage(const char *option, const char *why)
{
	fprintf(stderr, "vubench: %s: %s\n", option, why);
	exit(2);
}

static double number(const char *option, double least, double most)
{
	char *end;
	double value = strtod(optarg, &end);

	if (*end || end == optarg || !(value >= least && value <= most))
		usage(option, "is not a number in its range");
	return value;
}

static void set(int c)
{
	switch (c) {
	case 's':
		opt.socket = optarg;
		break;
	case 'p':
		opt.pid = (unsigned int)number("--pid", 1, 1 << 22);
		break;
	case 'd':
		opt.depth = (unsigned int)number("--depth", 1, RING_SIZE);
		break;
	case 'q':
		opt.queues = (unsigned int)number("--queues", 1, MAX_QUEUES);
		break;
	case 'b':
		opt.bytes = (unsigned int)number("--bytes", 512, DATA_BYTES);
		break;
	case 't':
		opt.seconds = number("--seconds", 0.01, 1000);
		break;
	case 'I':
		opt.idle = number("--idle", 0, 1000);
		break;
	case 'k':
		opt.packed = true;
		break;
	case 'i':
		opt.indirect = true;
		break;
	case 'w':
		opt.wait = true;
		break;
	case 'l':
		opt.log = true;
		break;
	case 'f':
		opt.inflight = true;
		break;
	default:
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
		set(c);
	if (optind < argc)
		usage(argv[optind], "no such option");
	if (!opt.socket)
		usage("--socket", "is missing");
	if (opt.bytes % 512)
		usage("--bytes", "is not a multiple of 512");
	if (!opt.indirect && opt.depth > RING_SIZE / 3)
		usage("--depth", "more than 85 need --indirect");
	run();
	return 0;
}
