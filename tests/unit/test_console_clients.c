/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of clients that are attached to the console: the output that each gets, and the one that
 * types. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/console_rig.h"
#include "vmm/console/clients.h"

#define MANY (1u << 20)

static uint8_t got[2 * MANY];
static int out[2]; /* the standard output, a pipe: its two ends */

static void setup(void)
{
	rig_setup();
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
}

static void teardown(void)
{
	rig_teardown();
	close(out[0]);
	close(out[1]);
}

/* Attaches a client as the control socket does; returns the client's end. */
static int attach(const char *typed)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	ck_assert(console_attach(console, ends[0], typed, strlen(typed)));
	return ends[1];
}

/* The guest writes bytes `from` to `from` + len of the pattern, while the main loop runs. */
static void guest_floods_from(size_t from, size_t len)
{
	for (size_t i = from; i < from + len; i++) {
		guest_out(UART_TX, i % 251);
		if (i % 2048 == 2047)
			turn(0);
	}
	UNTIL(console_prepare(console, fds) < 0);
}

static void expect_pattern_from(const uint8_t *data, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(data[i], (from + i) % 251);
}

/* Reads all that a client gets until the console has nothing left for it. */
static size_t read_all(int fd)
{
	size_t len = 0;

	UNTIL((len += read_now(fd, got + len, sizeof(got) - len), idle()));
	return len;
}

static void expect_heard(const char *keys)
{
	UNTIL((guest_hears(), heard_len >= strlen(keys)));
	UNTIL(idle());
	guest_hears();
	ck_assert_uint_eq(heard_len, strlen(keys));
	ck_assert_mem_eq(heard, keys, heard_len);
	heard_len = 0;
}

START_TEST(late_client_gets_the_last_64_kib)
{
	int fd;

	rig_open(-1, -1);
	guest_floods_from(0, 200000);
	fd = attach("");
	ck_assert_uint_eq(read_all(fd), 64 << 10);
	expect_pattern_from(got, 200000 - (64 << 10), 64 << 10);
	guest_says("on", 2);
	ck_assert_uint_eq(read_all(fd), 2);
	ck_assert_mem_eq(got, "on", 2);
	close(fd);
}
END_TEST

START_TEST(all_watch)
{
	int fd[CONSOLE_CLIENTS];

	rig_open(-1, out[1]);
	guest_says("one ", 4);
	UNTIL(idle());
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		fd[i] = attach("");
	guest_says("two", 3);
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++) {
		ck_assert_uint_eq(read_all(fd[i]), 7);
		ck_assert_mem_eq(got, "one two", 7);
		close(fd[i]);
	}
	ck_assert_uint_eq(read_all(out[0]), 7);
	ck_assert_mem_eq(got, "one two", 7);
}
END_TEST

/* The reader that never reads loses output; neither the guest nor the other readers do. */
START_TEST(client_that_never_reads_holds_nobody_up)
{
	size_t len = 0, before, after;
	int fd;
	uint8_t *seam;
	char note[OUTPUT_NOTE_MAX];

	rig_open(-1, out[1]);
	fd = attach("");
	for (size_t from = 0; from < MANY; from += 8192) {
		guest_floods_from(from, 8192);
		len += read_now(out[0], got + len, sizeof(got) - len);
	}
	ck_assert_uint_eq(len, MANY);
	expect_pattern_from(got, 0, MANY);
	ck_assert_uint_eq(serial_dropped(port), 0);

	len = read_all(fd);
	seam = memmem(got, len, "\r\n[microvm: ", 12);
	ck_assert_ptr_nonnull(seam);
	before = seam - got;
	expect_pattern_from(got, 0, before);
	seam = memmem(seam, len - before, "]\r\n", 3);
	ck_assert_ptr_nonnull(seam);
	after = got + len - (seam + 3);
	ck_assert_uint_ge(after, HISTORY_SIZE / 2);
	expect_pattern_from(seam + 3, MANY - after, after);
	output_note(note, MANY - before - after);
	ck_assert_mem_eq(got + before, note, strlen(note));
	close(fd);
}
END_TEST

/* Each call of the main loop ends at once, and the end of the VM does not wait for the client. */
START_TEST(client_that_never_reads_does_not_delay_the_end)
{
	int fd;

	rig_open(-1, -1);
	fd = attach("");
	guest_floods_from(0, MANY);
	rig_close(TIMEOUT_S * 2000);
	close(fd);
}
END_TEST

START_TEST(first_client_types_then_the_next)
{
	int first, second;

	rig_open(-1, out[1]);
	guest_listens();
	ck_assert(console_next_types(console));
	first = attach("a");
	ck_assert(!console_next_types(console));
	second = attach("b");
	write_all(second, "no", 2);
	write_all(first, "bc", 2);
	expect_heard("abc");
	close(first);
	UNTIL(idle());
	ck_assert(!console_next_types(console));
	write_all(second, "yes", 3);
	expect_heard("yes");
	close(second);
	UNTIL(idle());
	ck_assert(console_next_types(console));
}
END_TEST

START_TEST(client_that_has_ended_its_input_still_watches)
{
	int first, second;

	rig_open(-1, -1);
	guest_listens();
	first = attach("");
	write_all(first, "last", 4);
	ck_assert_int_eq(shutdown(first, SHUT_WR), 0);
	expect_heard("last");
	ck_assert(console_next_types(console));
	second = attach("");
	write_all(second, "s", 1);
	expect_heard("s");
	guest_says("out", 3);
	ck_assert_uint_eq(read_all(first), 3);
	ck_assert_uint_eq(read_all(second), 3);
	close(first);
	close(second);
}
END_TEST

/* Standard input has its say as well: it is the owner's. */
START_TEST(standard_input_types_beside_a_client)
{
	int in[2], fd;

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	rig_open(in[0], out[1]);
	guest_listens();
	fd = attach("");
	write_all(in[1], "in", 2);
	expect_heard("in");
	write_all(fd, "client", 6);
	expect_heard("client");
	close(fd);
	close(in[0]);
	close(in[1]);
}
END_TEST

/* The guest does not listen yet: the console queues keys while it has room, then stops reading. */
START_TEST(keys_wait_for_the_guest)
{
	char keys[3 * INPUT_MAX + 1];
	int fd;

	for (size_t i = 0; i < sizeof(keys) - 1; i++)
		keys[i] = (char)('a' + i % 23);
	keys[sizeof(keys) - 1] = '\0';
	rig_open(-1, -1);
	fd = attach("");
	write_all(fd, keys, strlen(keys));
	UNTIL(idle());
	guest_listens();
	expect_heard(keys);
	close(fd);
}
END_TEST

START_TEST(client_that_hangs_up_with_unread_keys_is_dropped)
{
	char keys[2 * INPUT_MAX] = { 0 };
	int fd;

	rig_open(-1, -1);
	fd = attach("");
	write_all(fd, keys, sizeof(keys));
	UNTIL(idle());
	close(fd);
	UNTIL(idle());
	ck_assert(console_next_types(console));
}
END_TEST

START_TEST(paused_guest_gets_no_keys)
{
	int fd;

	rig_open(-1, -1);
	guest_listens();
	console_hold(console, true);
	fd = attach("k");
	UNTIL(idle());
	guest_hears();
	ck_assert_uint_eq(heard_len, 0);
	console_hold(console, false);
	expect_heard("k");
	close(fd);
}
END_TEST

/* One client more than the limit is disconnected; the others notice nothing. */
START_TEST(clients_are_limited)
{
	int fd[CONSOLE_CLIENTS], ends[2];

	rig_open(-1, -1);
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		fd[i] = attach("");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	ck_assert(!console_attach(console, ends[0], "x", 1));
	ck_assert_int_eq(recv(ends[1], got, 1, 0), 0);
	close(ends[1]);
	guest_says("on", 2);
	UNTIL(idle());
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		ck_assert_uint_eq(read_all(fd[i]), 2);
	close(fd[3]);
	UNTIL(idle());
	fd[3] = attach("");
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		close(fd[i]);
}
END_TEST

static int listening(struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(addr->sun_path, sizeof(addr->sun_path), "/tmp/test_console.%d", (int)getpid());
	unlink(addr->sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

START_TEST(clients_connect_to_the_socket)
{
	int fd[CONSOLE_CLIENTS + 1], last = CONSOLE_CLIENTS;
	struct sockaddr_un addr;
	struct console_ends ends = { wake_fd, -1, -1, listening(&addr), false };

	ck_assert_int_eq(console_open(&console, port, &ends), 0);
	guest_listens();
	guest_says("hello", 5);
	UNTIL(idle());
	for (int i = 0; i <= last; i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(fd[i], (struct sockaddr *)&addr, sizeof(addr)), 0);
		UNTIL(idle());
	}
	for (int i = 0; i < last; i++)
		ck_assert_uint_eq(read_all(fd[i]), 5);
	ck_assert_int_eq(recv(fd[last], got, 1, 0), 0);
	write_all(fd[0], "typed", 5);
	expect_heard("typed");
	for (int i = 0; i <= last; i++)
		close(fd[i]);
	UNTIL(idle());
	ck_assert(console_next_types(console));
	rig_close(0);
	close(ends.listen_fd);
	unlink(addr.sun_path);
}
END_TEST

/* Output that the port had to drop, because the main thread was late, is reported to all. */
START_TEST(overflow_of_the_port_is_reported)
{
	char note[OUTPUT_NOTE_MAX];
	unsigned int len = output_note(note, 1000);
	int fd;

	rig_open(-1, -1);
	fd = attach("");
	for (size_t i = 0; i < SERIAL_TX_SIZE + 1000; i++)
		guest_out(UART_TX, i % 251);
	ck_assert_uint_eq(read_all(fd), SERIAL_TX_SIZE + len);
	expect_pattern_from(got, 0, SERIAL_TX_SIZE);
	ck_assert_mem_eq(got + SERIAL_TX_SIZE, note, len);
	close(fd);
}
END_TEST

/* Clients that come and go while one of the others has hung up: the entries of poll(2) and the
 * clients may differ by then. */
START_TEST(clients_come_and_go)
{
	int fd[3];

	rig_open(-1, -1);
	guest_listens();
	for (int round = 0; round < 50; round++) {
		fd[0] = attach("");
		fd[1] = attach("");
		console_prepare(console, fds);
		fd[2] = attach("");
		close(fd[round % 2]);
		write_all(fd[!(round % 2)], "k", 1);
		poll(fds, CONSOLE_POLLFDS, 0);
		console_handle(console, fds);
		UNTIL(idle());
		guest_says("o", 1);
		ck_assert_uint_ge(read_all(fd[2]), 1);
		close(fd[!(round % 2)]);
		close(fd[2]);
		UNTIL(idle());
		ck_assert(console_next_types(console));
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("console_clients");
	TCase *tc = tcase_create("console_clients");

	tcase_set_timeout(tc, 2 * TIMEOUT_S);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, late_client_gets_the_last_64_kib);
	tcase_add_test(tc, all_watch);
	tcase_add_test(tc, client_that_never_reads_holds_nobody_up);
	tcase_add_test(tc, client_that_never_reads_does_not_delay_the_end);
	tcase_add_test(tc, first_client_types_then_the_next);
	tcase_add_test(tc, client_that_has_ended_its_input_still_watches);
	tcase_add_test(tc, standard_input_types_beside_a_client);
	tcase_add_test(tc, keys_wait_for_the_guest);
	tcase_add_test(tc, client_that_hangs_up_with_unread_keys_is_dropped);
	tcase_add_test(tc, paused_guest_gets_no_keys);
	tcase_add_test(tc, clients_are_limited);
	tcase_add_test(tc, clients_connect_to_the_socket);
	tcase_add_test(tc, overflow_of_the_port_is_reported);
	tcase_add_test(tc, clients_come_and_go);
	suite_add_tcase(suite, tc);
	return suite;
}
