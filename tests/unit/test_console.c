/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the console on pipes, files and sockets. test_console_tty.c tests terminals. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/lib/cases.h"
#include "tests/unit/console_rig.h"
#include "vmm/console/output.h"

#define READ_END  0
#define WRITE_END 1

static int in[2], out[2];
static uint8_t got[256 << 10];

static void setup(void)
{
	rig_setup();
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
}

static void close_pipe(int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

static void teardown(void)
{
	rig_teardown();
	close_pipe(in);
	close_pipe(out);
}

static void fill(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = i % 251;
}

START_TEST(output_arrives_unchanged_and_is_batched)
{
	uint8_t all[256];

	for (int i = 0; i < 256; i++)
		all[i] = i;
	rig_open(in[READ_END], out[WRITE_END]);
	ck_assert_int_eq(console_prepare(console, fds), -1);
	guest_says(all, sizeof(all));
	turn(0);
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), 0);
	ck_assert_int_le(console_prepare(console, fds), CONSOLE_GATHER_MS);
	ck_assert_int_ge(console_prepare(console, fds), 0);
	UNTIL(idle());
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), sizeof(all));
	ck_assert_mem_eq(got, all, sizeof(all));
}
END_TEST

/* A SOCK_SEQPACKET socket shows each write separately. */
START_TEST(output_costs_no_system_call_per_byte)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig_open(-1, pair[0]);
	guest_floods(1);
	turn(0);
	guest_floods(99);
	UNTIL(idle());
	ck_assert_int_eq(recv(pair[1], got, sizeof(got), MSG_DONTWAIT), 100);
	ck_assert_int_eq(recv(pair[1], got, sizeof(got), MSG_DONTWAIT), -1);
	rig_close(0);
	close_pipe(pair);
}
END_TEST

START_TEST(much_output_is_written_in_large_pieces)
{
	rig_open(in[READ_END], out[WRITE_END]);
	guest_floods(SERIAL_TX_BATCH);
	turn(0);
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), SERIAL_TX_BATCH);
	expect_pattern(got, SERIAL_TX_BATCH);
}
END_TEST

START_TEST(piped_input_is_data_even_ctrl_a_x)
{
	static const char keys[] = "a\x01x\x01h\x01\x01\x03\x04z";

	rig_open(in[READ_END], out[WRITE_END]);
	guest_listens();
	write_all(in[WRITE_END], keys, sizeof(keys));
	UNTIL((guest_hears(), heard_len == sizeof(keys)));
	ck_assert_mem_eq(heard, keys, sizeof(keys));
	ck_assert(!quit);
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), 0);
}
END_TEST

/*
 * Input that is piped in before the guest listens must not be lost: `echo commands | microvm ...`.
 */
START_TEST(piped_input_waits_for_the_guest)
{
	static uint8_t data[20000];
	int waiting;

	fill(data, sizeof(data));
	write_all(in[WRITE_END], data, sizeof(data));
	close(in[WRITE_END]);
	in[WRITE_END] = -1;
	rig_open(in[READ_END], out[WRITE_END]);
	ck_assert(idle());
	ck_assert_int_eq(ioctl(in[READ_END], FIONREAD, &waiting), 0);
	ck_assert_int_eq(waiting, sizeof(data));

	guest_listens();
	UNTIL((guest_hears(), heard_len == sizeof(data)));
	ck_assert_mem_eq(heard, data, sizeof(data));
	UNTIL(idle());
	ck_assert_int_eq(fds[IN].fd, -1);
}
END_TEST

/* Input that is absent, ends at once or fails: the loop must not spin, and output still works. */
enum input { NO_FD, CLOSED_FD, DEV_NULL, DIRECTORY, ENDED_PIPE };

static const char *const inputs[] = {
	[NO_FD] = "no descriptor",
	[CLOSED_FD] = "closed descriptor",
	[DEV_NULL] = "/dev/null",
	[DIRECTORY] = "a directory",
	[ENDED_PIPE] = "pipe without a writer",
};

static int open_input(enum input kind)
{
	int fd;

	switch (kind) {
	case CLOSED_FD:
		fd = dup(0);
		close(fd);
		return fd;
	case DEV_NULL:
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	case DIRECTORY:
		return open("/", O_RDONLY | O_CLOEXEC);
	case ENDED_PIPE:
		close(in[WRITE_END]);
		in[WRITE_END] = -1;
		return dup(in[READ_END]);
	default:
		return -1;
	}
}

START_TEST(input_at_its_end_is_not_polled)
{
	int fd = open_input(_i);

	rig_open(fd, out[WRITE_END]);
	guest_listens();
	guest_says("x", 1);
	UNTIL(idle());
	ck_assert_int_eq(fds[IN].fd, -1);
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), 1);
	rig_close(0);
	close(fd);
}
END_TEST

/* Output that is never accepted: the guest and the input continue, and the loop does not spin. */
enum out_kind { OUT_NO_FD, OUT_CLOSED_FD, OUT_CLOSED_READER, OUT_CLOSES_LATER, OUT_FULL };

static const char *const outputs[] = {
	[OUT_NO_FD] = "no descriptor",
	[OUT_CLOSED_FD] = "closed descriptor",
	[OUT_CLOSED_READER] = "pipe without a reader",
	[OUT_CLOSES_LATER] = "pipe whose reader closes it later",
	[OUT_FULL] = "/dev/full",
};

static int open_output(enum out_kind kind)
{
	int fd;

	switch (kind) {
	case OUT_CLOSED_FD:
		fd = dup(1);
		close(fd);
		return fd;
	case OUT_CLOSED_READER:
		close(out[READ_END]);
		out[READ_END] = -1;
		return dup(out[WRITE_END]);
	case OUT_CLOSES_LATER:
		return dup(out[WRITE_END]);
	case OUT_FULL:
		return open("/dev/full", O_WRONLY | O_CLOEXEC);
	default:
		return -1;
	}
}

START_TEST(output_that_failed_is_discarded_for_good)
{
	int fd = open_output(_i);

	be_quiet();
	rig_open(in[READ_END], fd);
	guest_listens();
	if (_i == OUT_CLOSES_LATER) {
		guest_floods(100000);
		UNTIL(fds[OUT].fd >= 0);
		close(out[READ_END]);
		out[READ_END] = -1;
	}
	for (int i = 0; i < 3; i++) {
		guest_floods(SERIAL_TX_SIZE);
		UNTIL(idle());
		ck_assert_int_eq(fds[OUT].fd, -1);
	}
	write_all(in[WRITE_END], "k", 1);
	UNTIL((guest_hears(), heard_len == 1));
	rig_close(100000);
	close(fd);
}
END_TEST

/* Reads all output. Some of the `said` bytes of the pattern are missing, and the notice must have
 * the number of them. */
static void expect_gap(size_t said)
{
	size_t len = 0, before, after;
	char note[100];
	uint8_t *seam;

	UNTIL((len += read_now(out[READ_END], got + len, sizeof(got) - len), idle()));
	seam = memmem(got, len, "\r\n[microvm: ", 12);
	ck_assert_ptr_nonnull(seam);
	before = seam - got;
	expect_pattern(got, before);
	seam = memmem(seam, len - before, "]\r\n", 3);
	ck_assert_ptr_nonnull(seam);
	after = got + len - (seam + 3);
	/* The newer half of the history is always kept. */
	ck_assert_uint_ge(after, HISTORY_SIZE / 2);
	for (size_t i = 0; i < after; i++)
		ck_assert_uint_eq(seam[3 + i], (said - after + i) % 251);
	snprintf(note, sizeof(note), "\r\n[microvm: %zu bytes of console output dropped]\r\n",
		 said - before - after);
	ck_assert_mem_eq(got + before, note, strlen(note));
	ck_assert_uint_eq(before + strlen(note) + after, len);
}

START_TEST(slow_reader_does_not_block_the_input)
{
	rig_open(in[READ_END], out[WRITE_END]);
	guest_listens();
	guest_floods(SERIAL_TX_SIZE);
	UNTIL(idle());
	guest_floods(SERIAL_TX_SIZE);
	UNTIL(idle());
	ck_assert_int_ge(fds[OUT].fd, 0);
	/* The console reopens the pipe: O_NONBLOCK belongs to the file description. */
	ck_assert_int_ne(fds[OUT].fd, out[WRITE_END]);
	write_all(in[WRITE_END], "k", 1);
	UNTIL((guest_hears(), heard_len == 1));
}
END_TEST

START_TEST(dropped_output_is_reported_at_the_gap)
{
	size_t said = 300000;

	rig_open(in[READ_END], out[WRITE_END]);
	for (size_t i = 0; i < said; i++) {
		guest_out(UART_TX, i % 251);
		if (i % 10000 == 9999)
			turn(0);
	}
	UNTIL(fds[OUT].fd >= 0);
	expect_gap(said);
	guest_says("on", 2);
	UNTIL(idle());
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), 2);
	ck_assert_mem_eq(got, "on", 2);
}
END_TEST

/* A guest that writes without pause: each call of the console must still return, so that signals
 * and keys are handled. */
static void *flooding_guest(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED))
		guest_out(UART_TX, 'f');
	return NULL;
}

START_TEST(flooding_guest_does_not_occupy_the_main_loop)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	bool stop = false;
	pthread_t guest;

	rig_open(in[READ_END], null);
	ck_assert_int_eq(pthread_create(&guest, NULL, flooding_guest, &stop), 0);
	for (int i = 0; i < 200; i++)
		turn(20);
	rig_close(10);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	ck_assert_int_eq(pthread_join(guest, NULL), 0);
	close(null);
}
END_TEST

START_TEST(shared_file_descriptions_keep_their_flags)
{
	rig_open(in[READ_END], out[WRITE_END]);
	guest_says("x", 1);
	UNTIL(idle());
	ck_assert(!(fcntl(out[WRITE_END], F_GETFL) & O_NONBLOCK));
	ck_assert(!(fcntl(in[READ_END], F_GETFL) & O_NONBLOCK));
	rig_close(0);
	ck_assert(!(fcntl(out[WRITE_END], F_GETFL) & O_NONBLOCK));
	/* The descriptors stay open, because the caller owns them. */
	write_all(out[WRITE_END], "y", 1);
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), 2);
}
END_TEST

/* A pipe of another user cannot be reopened. Writing to it must not block either. */
START_TEST(pipe_that_cannot_be_reopened_does_not_block)
{
	uid_t user = geteuid();

	ck_assert_int_eq(fchmod(out[WRITE_END], 0), 0);
	if (user == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	rig_open(in[READ_END], out[WRITE_END]);
	ck_assert_int_eq(seteuid(user), 0);
	prctl(PR_SET_DUMPABLE, 1); /* for the leak checker, which uses ptrace */
	guest_floods(SERIAL_TX_SIZE);
	UNTIL(read_now(out[READ_END], got, 1) == 1);
	guest_floods(SERIAL_TX_SIZE);
	UNTIL(fds[OUT].fd >= 0 && idle());
	ck_assert_int_eq(fds[OUT].fd, out[WRITE_END]);
	UNTIL((read_now(out[READ_END], got, sizeof(got)), fds[OUT].fd < 0));
}
END_TEST

START_TEST(regular_file_gets_all_output)
{
	char name[] = "/tmp/test_console.XXXXXX";
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	rig_open(-1, fd);
	guest_floods(SERIAL_TX_SIZE);
	UNTIL(idle());
	ck_assert_int_eq(pread(fd, got, sizeof(got), 0), SERIAL_TX_SIZE);
	expect_pattern(got, SERIAL_TX_SIZE);
	rig_close(0);
	close(fd);
}
END_TEST

START_TEST(close_writes_remaining_output)
{
	rig_open(in[READ_END], out[WRITE_END]);
	guest_says("bye", 3);
	rig_close(0);
	ck_assert_uint_eq(read_now(out[READ_END], got, sizeof(got)), 3);
}
END_TEST

START_TEST(close_gives_up_on_a_stalled_reader)
{
	rig_open(in[READ_END], out[WRITE_END]);
	guest_floods(SERIAL_TX_SIZE);
	UNTIL(fds[OUT].fd >= 0 || idle());
	guest_floods(SERIAL_TX_SIZE);
	rig_close(1);
}
END_TEST

static void *late_reader(void *len)
{
	ssize_t ret;

	while ((ret = read(out[READ_END], got + *(size_t *)len, sizeof(got) - *(size_t *)len)) > 0)
		*(size_t *)len += ret;
	return NULL;
}

START_TEST(close_waits_for_a_slow_reader)
{
	pthread_t reader;
	size_t len = 0;

	rig_open(in[READ_END], out[WRITE_END]);
	guest_floods(SERIAL_TX_SIZE);
	/* The pipe has less room than there is output, so that close has to wait. */
	ck_assert_int_ge(fcntl(out[WRITE_END], F_SETPIPE_SZ, 4096), 4096);
	ck_assert_int_eq(pthread_create(&reader, NULL, late_reader, &len), 0);
	rig_close(TIMEOUT_S * 1000);
	close(out[WRITE_END]);
	out[WRITE_END] = -1;
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	ck_assert_uint_eq(len, SERIAL_TX_SIZE);
	expect_pattern(got, len);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("console");
	TCase *tc = tcase_create("console");

	tcase_set_timeout(tc, 2 * TIMEOUT_S);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, output_arrives_unchanged_and_is_batched);
	tcase_add_test(tc, output_costs_no_system_call_per_byte);
	tcase_add_test(tc, much_output_is_written_in_large_pieces);
	tcase_add_test(tc, piped_input_is_data_even_ctrl_a_x);
	tcase_add_test(tc, piped_input_waits_for_the_guest);
	tcase_add_names_test(tc, input_at_its_end_is_not_polled, inputs);
	tcase_add_names_test(tc, output_that_failed_is_discarded_for_good, outputs);
	tcase_add_test(tc, slow_reader_does_not_block_the_input);
	tcase_add_test(tc, dropped_output_is_reported_at_the_gap);
	tcase_add_test(tc, flooding_guest_does_not_occupy_the_main_loop);
	tcase_add_test(tc, shared_file_descriptions_keep_their_flags);
	tcase_add_test(tc, pipe_that_cannot_be_reopened_does_not_block);
	tcase_add_test(tc, regular_file_gets_all_output);
	tcase_add_test(tc, close_writes_remaining_output);
	tcase_add_test(tc, close_gives_up_on_a_stalled_reader);
	tcase_add_test(tc, close_waits_for_a_slow_reader);
	suite_add_tcase(suite, tc);
	return suite;
}
