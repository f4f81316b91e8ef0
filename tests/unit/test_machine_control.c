/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of operator commands that are incomplete when the VM ends. Linked with --wrap: the test
 * simulates the disks.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"
#include "vmm/machine/internal.h"

void __wrap_blk_set_listener(struct blk *blk, struct blkplane_listener *listener);
int __wrap_blk_flush(struct blk *blk);
void __wrap_blk_hold(struct blk *blk);
void __wrap_blk_pause(struct blk *blk);

#define DISKS 3u

static struct machine m;
static struct machine_config config;
static struct vcpu vcpu;
static sem_t arrived, go;
static unsigned int holds, waits; /* atomic; calls of blk_hold, and calls that wait for the host */

void __wrap_blk_set_listener(struct blk *blk, struct blkplane_listener *listener)
{
	(void)blk;
	(void)listener;
}

static void wait_for_host(void)
{
	__atomic_fetch_add(&waits, 1, __ATOMIC_SEQ_CST);
	sem_post(&arrived);
	sem_wait(&go);
}

int __wrap_blk_flush(struct blk *blk)
{
	(void)blk;
	wait_for_host();
	return 0;
}

void __wrap_blk_hold(struct blk *blk)
{
	(void)blk;
	__atomic_fetch_add(&holds, 1, __ATOMIC_SEQ_CST);
}

void __wrap_blk_pause(struct blk *blk)
{
	(void)blk;
	wait_for_host();
}

static void *end_vm(void *arg)
{
	machine_control_end(&m);
	return arg;
}

static const char *const commands[] = { "flush", "pause" };

/* The command has begun on the first disk. It may leave out the others. */
START_TEST(command_is_cancelled_by_the_end_of_the_vm)
{
	struct control_request request = { .command = _i ? CONTROL_PAUSE : CONTROL_FLUSH };
	struct control_answer answer = { .result = NULL };
	pthread_t main_thread;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/microvm-test-control-%d", (int)getpid());
	config.control = path;
	m.config = &config;
	m.disk_count = DISKS;
	m.vcpu = &vcpu;
	m.vcpu_count = 1;
	vcpu_pause_init(&m.vcpu_pause);
	sem_init(&arrived, 0, 0);
	sem_init(&go, 0, 0);
	ck_assert_int_eq(machine_control_open(&m), 0);
	ck_assert_int_eq(commands_start(&m.commands), 0);
	ck_assert(!m.commands.handler.run(&m.commands.handler, 0, &request, &answer));
	sem_wait(&arrived);
	/* All disks are held before the first one is waited for. */
	ck_assert_uint_eq(__atomic_load_n(&holds, __ATOMIC_SEQ_CST), _i ? DISKS : 0);

	__atomic_store_n(&m.vm_exit.why, VM_END_QUIT, __ATOMIC_SEQ_CST);
	ck_assert_int_eq(pthread_create(&main_thread, NULL, end_vm, NULL), 0);
	/* The vCPUs are stopped before the host completes the call. */
	mock_wait_until(LOAD_ACQUIRE(vcpu.stop));
	for (unsigned int i = 0; i < DISKS; i++)
		sem_post(&go);
	pthread_join(main_thread, NULL);
	ck_assert_uint_eq(__atomic_load_n(&waits, __ATOMIC_SEQ_CST), 1);
	commands_close(&m.commands);
	vcpu_pause_destroy(&m.vcpu_pause);
	unlink(path);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("machine_control");
	TCase *t = tcase_create("machine_control");

	tcase_add_names_test(t, command_is_cancelled_by_the_end_of_the_vm, commands);
	suite_add_tcase(s, t);
	return s;
}
