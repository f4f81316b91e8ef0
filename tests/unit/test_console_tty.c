/* SPDX-License-Identifier: BSD-3-Clause */
#include <pty.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/unit/console_rig.h"

#define CTRL_A "\x01"

/*
 * The two ends of a terminal: `user` is the master, `tty` the console's. `before` is its state
 * before the console was opened.
 */
static int user, tty;
static struct termios before;
static uint8_t seen[64 << 10];

static void setup(void)
{
	rig_setup();
	ck_assert_int_eq(openpty(&user, &tty, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(tty, &before), 0);
}

static void teardown(void)
{
	rig_teardown();
	close(user);
	close(tty);
}

static bool cooked(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(tty, &now), 0);
	return now.c_iflag == before.c_iflag && now.c_oflag == before.c_oflag &&
	       now.c_cflag == before.c_cflag && now.c_lflag == before.c_lflag &&
	       !memcmp(now.c_cc, before.c_cc, sizeof(now.c_cc));
}

static void type(const char *keys)
{
	write_all(user, keys, strlen(keys));
}

/*
 * Expects that the guest receives these keys and no more. The line discipline passes keys on with a
 * delay, so a last key marks the end.
 */
static void expect_heard(const char *keys)
{
	size_t len = strlen(keys);

	type("$");
	UNTIL((guest_hears(), heard_len && heard[heard_len - 1] == '$'));
	ck_assert_uint_eq(heard_len, len + 1);
	ck_assert_mem_eq(heard, keys, len);
	heard_len = 0;
}

START_TEST(terminal_is_raw_while_open)
{
	struct termios raw;

	rig_open(tty, tty);
	ck_assert_int_eq(tcgetattr(tty, &raw), 0);
	ck_assert_int_eq(raw.c_lflag & (ECHO | ICANON | ISIG | IEXTEN), 0);
	ck_assert_int_eq(raw.c_iflag & (ICRNL | INLCR | IGNCR | IXON | ISTRIP), 0);
	ck_assert(raw.c_oflag & OPOST);
	rig_close(0);
	ck_assert(cooked());
}
END_TEST

START_TEST(keys_reach_the_guest_unchanged)
{
	rig_open(tty, tty);
	guest_listens();
	type("ls\r\x03\x04\x1a\x1c\x11\x13\x7f\x15");
	expect_heard("ls\r\x03\x04\x1a\x1c\x11\x13\x7f\x15");
	/* There is no echo. */
	ck_assert_uint_eq(read_now(user, seen, sizeof(seen)), 0);
}
END_TEST

START_TEST(ctrl_a_x_quits)
{
	rig_open(tty, tty);
	type(CTRL_A "x");
	UNTIL(quit);
}
END_TEST

START_TEST(ctrl_a_x_quits_whatever_the_guest_does)
{
	static char keys[1001];

	memset(keys, 'k', sizeof(keys) - 1);
	rig_open(tty, tty);
	for (int i = 0; i < 10; i++) {
		type(keys);
		for (int waiting = 1; waiting; turn(0))
			ck_assert_int_eq(ioctl(tty, FIONREAD, &waiting), 0);
		ck_assert(!quit);
	}
	type(CTRL_A);
	UNTIL(idle());
	type("x");
	UNTIL(quit);
}
END_TEST

/*
 * While the VM is paused the console reads keys only for its own commands, and does not read a
 * pipe.
 */
START_TEST(input_waits_while_the_vm_is_paused)
{
	int ends[2];

	rig_open(tty, tty);
	guest_listens();
	console_hold(console, true);
	type("abc");
	for (int waiting = 1; waiting; turn(0))
		ck_assert_int_eq(ioctl(tty, FIONREAD, &waiting), 0);
	guest_hears();
	ck_assert_uint_eq(heard_len, 0);
	console_hold(console, false);
	expect_heard("abc");
	console_hold(console, true);
	type(CTRL_A "x");
	UNTIL(quit);
	rig_close(0);

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	rig_open(ends[0], tty);
	console_hold(console, true);
	ck_assert_int_eq(write(ends[1], "de", 2), 2);
	turn(0);
	ck_assert_int_eq(fds[IN].fd, -1);
	console_hold(console, false);
	heard_len = 0;
	UNTIL((guest_hears(), heard_len == 2));
	ck_assert_mem_eq(heard, "de", 2);
	rig_close(0);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(typed_ahead_keys_wait_for_the_guest)
{
	static char keys[3001];

	for (size_t i = 0; i < sizeof(keys) - 1; i++)
		keys[i] = 'a' + i % 26;
	rig_open(tty, tty);
	/* Five times, so that the keys exceed the buffer. */
	for (int i = 0; i < 5; i++) {
		guest_out(UART_IER, 0);
		type(keys);
		for (int waiting = 1; waiting; turn(0))
			ck_assert_int_eq(ioctl(tty, FIONREAD, &waiting), 0);
		guest_listens();
		expect_heard(keys);
	}
}
END_TEST

static const struct {
	const char *name;
	const char *typed;
	const char *heard;
} escapes[] = {
	{ "Ctrl-A twice", CTRL_A CTRL_A, CTRL_A },
	{ "Ctrl-A twice, then x", "a" CTRL_A CTRL_A "x", "a" CTRL_A "x" },
	{ "unknown command", CTRL_A "qb", "b" },
	{ "help twice", "x" CTRL_A "h" CTRL_A "hh", "xh" },
	{ "Ctrl-A four times", CTRL_A CTRL_A CTRL_A CTRL_A, CTRL_A CTRL_A },
	{ "capital X", "h" CTRL_A "X", "h" },
};

START_TEST(ctrl_a_is_for_the_console)
{
	rig_open(tty, tty);
	guest_listens();
	type(escapes[_i].typed);
	expect_heard(escapes[_i].heard);
	ck_assert(!quit);
}
END_TEST

START_TEST(ctrl_a_h_helps_on_the_terminal_only)
{
	int out[2];
	size_t len = 0;

	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	rig_open(tty, out[1]);
	guest_listens();
	type(CTRL_A "h");
	UNTIL((len += read_now(user, seen + len, sizeof(seen) - len),
	       memmem(seen, len, "Ctrl-A x", 8)));
	expect_heard("");
	ck_assert_uint_eq(read_now(out[0], seen, sizeof(seen)), 0);
	rig_close(0);
	close(out[0]);
	close(out[1]);
}
END_TEST

START_TEST(stalled_terminal_blocks_nothing)
{
	rig_open(tty, tty);
	for (int i = 0; i < 8; i++) {
		for (unsigned int n = 0; n < SERIAL_TX_SIZE; n++)
			guest_out(UART_TX, 'x');
		turn(20);
	}
	ck_assert_int_ge(fds[OUT].fd, 0);
	ck_assert_int_ne(fds[OUT].fd, tty);
	type(CTRL_A "h" CTRL_A "x");
	UNTIL(quit);
	ck_assert(!(fcntl(tty, F_GETFL) & O_NONBLOCK));
	rig_close(1);
	ck_assert(cooked());
}
END_TEST

START_TEST(terminal_hangup_ends_input_and_output)
{
	be_quiet();
	rig_open(tty, tty);
	guest_listens();
	close(user);
	user = -1;
	UNTIL(idle());
	ck_assert_int_eq(fds[IN].fd, -1);
	guest_says("x", 1);
	UNTIL(idle());
	ck_assert(!quit);
}
END_TEST

static const struct {
	const char *name;
	int signal;
} crashes[] = {
	{ "SIGSEGV", SIGSEGV }, { "SIGBUS", SIGBUS },	{ "SIGILL", SIGILL },
	{ "SIGFPE", SIGFPE },	{ "SIGABRT", SIGABRT },
};

START_TEST(crash_restores_the_terminal)
{
	static const struct rlimit no_core = { 0, 0 };
	struct termios raw;
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (!child) {
		be_quiet(); /* a sanitizer has handlers of its own and prints a report */
		setrlimit(RLIMIT_CORE, &no_core);
		rig_open(tty, tty);
		if (tcgetattr(tty, &raw) < 0 || raw.c_lflag & ICANON)
			_exit(0);
		raise(crashes[_i].signal);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), crashes[_i].signal);
#endif
	ck_assert(cooked());
}
END_TEST

START_TEST(crash_handlers_are_set_only_with_a_raw_terminal)
{
	struct sigaction old, now;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	sigaction(SIGABRT, NULL, &old);
	rig_open(null, -1);
	sigaction(SIGABRT, NULL, &now);
	ck_assert(now.sa_handler == old.sa_handler);
	rig_close(0);
	rig_open(tty, -1);
	sigaction(SIGABRT, NULL, &now);
	ck_assert(now.sa_handler != old.sa_handler);
	rig_close(0);
	sigaction(SIGABRT, NULL, &now);
	ck_assert(now.sa_handler == old.sa_handler);
	close(null);
}
END_TEST

/*
 * Runs in the background of `tty`, whose foreground is the caller. Returns 0 if the console did not
 * touch the terminal.
 */
static int background_job(void)
{
	if (!cooked())
		return 1;
	rig_open(tty, tty);
	if (!cooked())
		return 2;
	type("key\r");
	guest_listens();
	guest_says("out", 3);
	UNTIL(idle());
	if (fds[IN].fd != -1)
		return 3;
	rig_close(0);
	return cooked() ? 0 : 4;
}

/* Runs background_job in a process group of its own, in a session whose terminal is `tty`. */
static int session(void)
{
	int status;
	pid_t job;

	if (setsid() < 0 || ioctl(tty, TIOCSCTTY, 0) < 0)
		return 10;
	job = fork();
	if (!job) {
		setpgid(0, 0);
		_exit(background_job());
	}
	if (waitpid(job, &status, WUNTRACED) != job)
		return 11;
	if (WIFSTOPPED(status)) {
		kill(job, SIGKILL);
		return 12;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 13;
}

START_TEST(background_process_does_not_touch_the_terminal)
{
	int status;
	pid_t leader = fork();

	ck_assert_int_ge(leader, 0);
	if (!leader)
		_exit(session());
	ck_assert_int_eq(waitpid(leader, &status, 0), leader);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("console_tty");
	TCase *tc = tcase_create("console_tty");

	tcase_set_timeout(tc, 2 * TIMEOUT_S);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, terminal_is_raw_while_open);
	tcase_add_test(tc, keys_reach_the_guest_unchanged);
	tcase_add_test(tc, ctrl_a_x_quits);
	tcase_add_test(tc, input_waits_while_the_vm_is_paused);
	tcase_add_test(tc, ctrl_a_x_quits_whatever_the_guest_does);
	tcase_add_test(tc, typed_ahead_keys_wait_for_the_guest);
	tcase_add_table_test(tc, ctrl_a_is_for_the_console, escapes);
	tcase_add_test(tc, ctrl_a_h_helps_on_the_terminal_only);
	tcase_add_test(tc, stalled_terminal_blocks_nothing);
	tcase_add_test(tc, terminal_hangup_ends_input_and_output);
	tcase_add_table_test(tc, crash_restores_the_terminal, crashes);
	tcase_add_test(tc, crash_handlers_are_set_only_with_a_raw_terminal);
	tcase_add_test(tc, background_process_does_not_touch_the_terminal);
	suite_add_tcase(suite, tc);
	return suite;
}
