/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of what --console names: pseudo-terminals, files and sockets, without a VM. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/serial_reg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "vmm/console/console.h"
#include "vmm/machine/internal.h"

static struct machine m;
static struct machine_config config;
static char dir[32];

static void setup(void)
{
	strcpy(dir, "/tmp/console-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	m = (struct machine){ .config = &config };
	config = (struct machine_config){ .console = true };
	m.console_end.fd = m.console_end.slave_fd = m.console_end.socket.fd = -1;
	m.serial_irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m.serial_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(serial_create(&m.serial, m.serial_irq_fd, m.serial_wake_fd), 0);
	/* Errors are the tests' own; the standard output is a pipe (said). */
	ck_assert_int_ge(dup2(open("/dev/null", O_WRONLY), STDERR_FILENO), 0);
}

static void teardown(void)
{
	serial_destroy(m.serial);
	close(m.serial_irq_fd);
	close(m.serial_wake_fd);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void name(enum console_kind kind, const char *text, const char *path)
{
	config.console_kind = kind;
	config.console_text = text;
	config.console_path = path;
}

static void guest_says(const char *text)
{
	for (; *text; text++)
		serial_bus_ops.write(m.serial, UART_TX, (const uint8_t *)text, 1);
}

/* Runs the main loop until nothing is left to do. */
static void run(void)
{
	struct pollfd fds[CONSOLE_POLLFDS];
	int timeout;

	do {
		timeout = console_prepare(m.console, fds);
		timeout = poll(fds, CONSOLE_POLLFDS, timeout < 0 ? 0 : timeout) + (timeout >= 0);
		console_handle(m.console, fds);
	} while (timeout > 0);
}

static const char *contents(const char *path)
{
	static char text[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

/* Completes the set-up and returns what that has written to standard output. */
static const char *said(void)
{
	static char text[64];
	int ends[2], out = dup(STDOUT_FILENO);
	ssize_t n;

	fflush(stdout);
	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	ck_assert_int_eq(machine_console_start(&m), 0);
	ck_assert_int_eq(machine_console_ready(&m), 0);
	dup2(out, STDOUT_FILENO);
	close(out);
	n = read(ends[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	return text;
}

START_TEST(pty_is_raw_and_its_path_is_printed)
{
	const char *path, *shown;
	struct json_object *status;
	struct termios now;
	char got[16];
	uint8_t lsr;
	int fd;

	name(CONSOLE_PTY, "pty", NULL);
	ck_assert_int_eq(machine_console_open(&m), 0);
	path = said();
	ck_assert_int_eq(path[strlen(path) - 1], '\n');
	ck_assert_uint_eq(strlen(m.console_end.slave), strlen(path) - 1);
	ck_assert_int_eq(strncmp(path, m.console_end.slave, strlen(path) - 1), 0);
	status = machine_console_object(&m);
	shown = json_object_get_string(json_object_object_get(status, "path"));
	ck_assert_str_eq(shown, m.console_end.slave);
	json_object_put(status);

	guest_says("out\r\n");
	run();
	fd = open(m.console_end.slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_eq(tcgetattr(fd, &now), 0);
	ck_assert_uint_eq(now.c_lflag & (ICANON | ECHO | ISIG), 0);
	ck_assert_int_eq(read(fd, got, sizeof(got)), 5);
	ck_assert_mem_eq(got, "out\r\n", 5);

	/* The guest polls, and gets a key that is no command here. */
	for (int i = 0; i < 20; i++)
		serial_bus_ops.read(m.serial, UART_LSR, &lsr, 1);
	ck_assert_int_eq(write(fd, "\x01", 1), 1);
	do {
		run();
		serial_bus_ops.read(m.serial, UART_LSR, &lsr, 1);
	} while (!(lsr & UART_LSR_DR));
	serial_bus_ops.read(m.serial, UART_RX, &lsr, 1);
	ck_assert_uint_eq(lsr, 1);
	close(fd);
	run();
	machine_console_close(&m, false);
}
END_TEST

/*
 * While no client has the pseudo-terminal open, the guest does not wait for one, and the event loop
 * does not spin.
 */
START_TEST(pty_without_a_client_neither_blocks_nor_spins)
{
	name(CONSOLE_PTY, "pty", NULL);
	ck_assert_int_eq(machine_console_open(&m), 0);
	said();
	for (int i = 0; i < 500000; i++) {
		guest_says("x");
		if (i % 4000 == 0)
			run();
	}
	run();
	ck_assert_uint_eq(serial_tx_pending(m.serial), 0);
	machine_console_close(&m, false);
}
END_TEST

START_TEST(file_is_replaced_when_the_set_up_has_succeeded)
{
	put("f", "old");
	name(CONSOLE_FILE, "file:f", "f");
	ck_assert_int_eq(machine_console_open(&m), 0);
	ck_assert_int_eq(machine_console_start(&m), 0);
	ck_assert_str_eq(contents("f"), "old");
	ck_assert_int_eq(machine_console_ready(&m), 0);
	ck_assert_str_eq(contents("f"), "");
	guest_says("new");
	machine_console_close(&m, false);
	ck_assert_str_eq(contents("f"), "new");
	unlink("f");
}
END_TEST

START_TEST(file_of_a_set_up_that_fails_is_left_as_it_was)
{
	struct stat st;

	put("f", "old");
	name(CONSOLE_FILE, "file:f", "f");
	ck_assert_int_eq(machine_console_open(&m), 0);
	machine_console_close(&m, true);
	ck_assert_str_eq(contents("f"), "old");
	unlink("f");

	m.console_end = (struct console_end){ .fd = -1, .slave_fd = -1, .socket.fd = -1 };
	umask(0);
	ck_assert_int_eq(machine_console_open(&m), 0);
	ck_assert_int_eq(stat("f", &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	machine_console_close(&m, true);
	ck_assert_int_eq(stat("f", &st), -1);
}
END_TEST

START_TEST(file_that_is_in_use_is_refused)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int fd;

	/* A running VM holds this lock on its readonly image. */
	put("f", "image");
	fd = open("f", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	name(CONSOLE_FILE, "file:f", "f");
	ck_assert_int_eq(machine_console_open(&m), -EBUSY);
	machine_console_close(&m, true);
	ck_assert_str_eq(contents("f"), "image");
	close(fd);
	unlink("f");
}
END_TEST

START_TEST(fifo_that_nobody_reads_is_refused)
{
	ck_assert_int_eq(mkfifo("f", 0600), 0);
	name(CONSOLE_FILE, "file:f", "f");
	ck_assert_int_eq(machine_console_open(&m), -ENXIO);
	machine_console_close(&m, true);
	ck_assert_int_eq(unlink("f"), 0);
}
END_TEST

START_TEST(device_is_taken_as_a_file)
{
	name(CONSOLE_FILE, "file:/dev/null", "/dev/null");
	ck_assert_int_eq(machine_console_open(&m), 0);
	said();
	guest_says("x");
	machine_console_close(&m, false);
}
END_TEST

START_TEST(socket_is_removed_when_the_set_up_fails)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "s" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char got[8];

	name(CONSOLE_SOCKET, "socket:s", "s");
	ck_assert_int_eq(machine_console_open(&m), 0);
	ck_assert_str_eq(said(), "");
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	guest_says("out");
	run();
	run();
	ck_assert_int_eq(recv(fd, got, sizeof(got), 0), 3);
	machine_console_close(&m, true);
	ck_assert_int_eq(recv(fd, got, sizeof(got), 0), 0);
	ck_assert_int_eq(access("s", F_OK), -1);
	close(fd);
}
END_TEST

/* --dump-dtb runs no VM, and must not destroy the output of one. */
START_TEST(dump_dtb_leaves_the_file_alone)
{
	put("f", "old");
	name(CONSOLE_FILE, "file:f", "f");
	config.dump_dtb = "dtb";
	ck_assert_int_eq(machine_console_open(&m), 0);
	ck_assert_int_eq(machine_console_start(&m), 0);
	machine_console_close(&m, true);
	ck_assert_str_eq(contents("f"), "old");
	unlink("f");
}
END_TEST

/* The control socket answers before it hands the connection over. */
START_TEST(console_is_refused_when_there_is_none_or_it_is_full)
{
	struct control_answer answer = { .result = NULL };
	int ends[8][2];

	config.console = false;
	machine_console_answer(&m, &answer);
	ck_assert_str_eq(answer.error, "no-console");

	config.console = true;
	name(CONSOLE_FILE, "file:/dev/null", "/dev/null");
	ck_assert_int_eq(machine_console_open(&m), 0);
	said();
	for (int i = 0; i < 8; i++) {
		answer = (struct control_answer){ .result = NULL };
		machine_console_answer(&m, &answer);
		ck_assert_ptr_null(answer.error);
		ck_assert_int_eq(json_object_get_boolean(
					 json_object_object_get(answer.result, "types")),
				 i == 0);
		json_object_put(answer.result);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends[i]), 0);
		machine_console_leave(&m, ends[i][0], "", 0);
	}
	answer = (struct control_answer){ .result = NULL };
	machine_console_answer(&m, &answer);
	ck_assert_str_eq(answer.error, "failed");
	machine_console_close(&m, false);
	for (int i = 0; i < 8; i++)
		close(ends[i][1]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("machine_console");
	TCase *tc = tcase_create("machine_console");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pty_is_raw_and_its_path_is_printed);
	tcase_add_test(tc, pty_without_a_client_neither_blocks_nor_spins);
	tcase_add_test(tc, file_is_replaced_when_the_set_up_has_succeeded);
	tcase_add_test(tc, file_of_a_set_up_that_fails_is_left_as_it_was);
	tcase_add_test(tc, file_that_is_in_use_is_refused);
	tcase_add_test(tc, fifo_that_nobody_reads_is_refused);
	tcase_add_test(tc, device_is_taken_as_a_file);
	tcase_add_test(tc, socket_is_removed_when_the_set_up_fails);
	tcase_add_test(tc, dump_dtb_leaves_the_file_alone);
	tcase_add_test(tc, console_is_refused_when_there_is_none_or_it_is_full);
	suite_add_tcase(suite, tc);
	return suite;
}
