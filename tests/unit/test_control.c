/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the control socket and its clients, good and bad; the test acts as the machine. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "dataplane/base.h"
#include "tests/unit/control_rig.h"

START_TEST(only_the_owner_may_connect)
{
	mode_t before = umask(0);
	const char *why;
	struct stat st;

	control_close(ctl);
	ck_assert_int_eq(open_at(path, &why), 0);
	umask(before);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(unusable_path_is_refused)
{
	struct control *first = ctl;
	char other[256];
	const char *why;
	int fd;

	ck_assert_int_eq(open_at(path, &why), -EADDRINUSE);
	ck_assert_str_eq(why, "in use by another process");
	memset(other, 'x', 108);
	other[108] = '\0';
	ck_assert_int_eq(open_at(other, &why), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(why, "107"));
	snprintf(other, sizeof(other), "%s/nothere/s", dir);
	ck_assert_int_eq(open_at(other, &why), -ENOENT);
	snprintf(other, sizeof(other), "%s/file", dir);
	fd = open(other, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(open_at(other, &why), -EEXIST);
	ck_assert_int_eq(access(other, F_OK), 0);
	close(fd);
	unlink(other);
	ck_assert_int_eq(open_at(dir, &why), -EEXIST);
	ctl = first;
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
	const char *why;

	control_close(ctl);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(open_at(path, &why), 0);
	close(greeted_client());
}
END_TEST

START_TEST(only_its_own_socket_is_removed)
{
	struct stat st;

	control_remove(ctl);
	ck_assert_int_eq(lstat(path, &st), -1);
	/* A second call changes nothing, and neither does a call when another file has the name. */
	control_remove(ctl);
	close(open(path, O_CREAT | O_RDWR, 0600));
	control_remove(ctl);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("other", path), 0);
	control_remove(ctl);
	ck_assert_int_eq(lstat(path, &st), 0);
	control_remove(NULL);
}
END_TEST

/* The call does not wait for a process that has locked the directory. */
START_TEST(socket_in_a_locked_directory_is_removed)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	control_remove(ctl);
	ck_assert_int_eq(access(path, F_OK), 0);
	close(fd);
	control_remove(ctl);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(lines_in_pieces_and_many_in_one_write)
{
	int fd = greeted_client();

	for (const char *c = STATUS; *c; c++) {
		char one[2] = { *c, '\0' };

		ck_assert_str_eq(heard(fd), "");
		say(fd, one);
	}
	ck_assert_str_eq(heard(fd), "{\"ok\":true,\"result\":{\"filler\":\"\"}}\n");
	say(fd, "\n\n" STATUS "garbage\n" STATUS "{\"cm");
	ck_assert_uint_eq(runs, 3);
	ck_assert_ptr_nonnull(strstr(heard(fd), "}}\n{\"ok\":false"));
	say(fd, "d\":\"status\"}\n");
	ck_assert_uint_eq(runs, 4);
	/* Commands that arrive together with the end of the connection are executed as well. */
	heard(fd);
	ck_assert_int_eq(send(fd, STATUS, strlen(STATUS), 0), (int)strlen(STATUS));
	shutdown(fd, SHUT_WR);
	turn();
	ck_assert(begins(heard(fd), "{\"ok\":true"));
	ck_assert_str_eq(heard(fd), "end");
	close(fd);
}
END_TEST

/* The server answers a client that asks for the console, and hands its connection over to the
 * handler, with the bytes that the client has sent meanwhile. The client's slot is free then. */
START_TEST(client_that_asks_for_the_console_leaves)
{
	int fd = greeted_client(), others[CONTROL_CLIENTS];

	say(fd, "{\"cmd\":\"events\"}\n{\"cmd\":\"console\"}\nls\n{\"cmd\":");
	ck_assert_uint_eq(runs, 1);
	ck_assert_str_eq(
		heard(fd),
		"{\"ok\":true,\"result\":{}}\n{\"ok\":true,\"result\":{\"filler\":\"\"}}\n");
	ck_assert_int_ge(left_fd, 0);
	ck_assert_str_eq(left_data, "ls\n{\"cmd\":");
	control_event(ctl, control_event_object("paused"));
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		others[i] = greeted_client();
	ck_assert_str_eq(heard(fd), "");
	ck_assert_int_eq(write(left_fd, "raw", 3), 3);
	ck_assert_str_eq(heard(fd), "raw");
	/* The server no longer reads from it. */
	ck_assert_int_eq(send(fd, STATUS, strlen(STATUS), 0), (int)strlen(STATUS));
	turn();
	ck_assert_uint_eq(runs, 1);
	ck_assert_int_eq(read(left_fd, left_data, sizeof(left_data)), (int)strlen(STATUS));
	close(left_fd);
	ck_assert_str_eq(heard(fd), "end");
	close(fd);
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		close(others[i]);
}
END_TEST

/* The answer may have to wait behind others that the client does not read yet. */
START_TEST(client_leaves_after_its_answer)
{
	int fd = greeted_client();
	size_t seen = 0;

	filler = 8000;
	for (unsigned int i = 0; i < 100; i++)
		say(fd, STATUS);
	say(fd, "{\"cmd\":\"console\"}\nx");
	shutdown(fd, SHUT_WR);
	turn();
	ck_assert_int_eq(left_fd, -1);
	while (left_fd < 0) {
		seen += strlen(heard(fd));
		turn();
	}
	ck_assert_uint_gt(seen, 0);
	ck_assert_str_eq(left_data, "x");
	close(left_fd);
	close(fd);
}
END_TEST

/*
 * While a command runs, the next one of the client waits. A client that disconnects keeps its slot
 * until then.
 */
START_TEST(delayed_replies)
{
	struct control_answer answer = { .result = NULL };
	int fd = greeted_client(), other[CONTROL_CLIENTS];
	unsigned int first;

	later = true;
	say(fd, "{\"id\":1,\"cmd\":\"flush\"}\n{\"id\":2,\"cmd\":\"flush\"}\n");
	ck_assert_uint_eq(runs, 1);
	control_refuse(&answer, "failed", "disk %d", 3);
	control_answer(ctl, asked, &answer);
	ck_assert_uint_eq(runs, 2);
	ck_assert_str_eq(heard(fd),
			 "{\"id\":1,\"ok\":false,\"error\":{\"code\":\"failed\",\"text\":"
			 "\"disk 3\"}}\n");
	first = asked;
	close(fd);
	turn();
	later = false;
	for (unsigned int i = 0; i < CONTROL_CLIENTS - 1; i++) {
		other[i] = greeted_client();
		say(other[i], STATUS);
		ck_assert_uint_ne(asked, first);
	}
	fd = client();
	ck_assert_str_eq(heard(fd), "end");
	close(fd);
	answer = (struct control_answer){ .result = NULL };
	control_answer(ctl, first, &answer);
	close(greeted_client());
	for (unsigned int i = 0; i < CONTROL_CLIENTS - 1; i++)
		close(other[i]);
	turn();
	close(greeted_client());
}
END_TEST

/*
 * A client that sends requests without end and does not read is no longer read from, until it
 * reads.
 */
START_TEST(client_that_does_not_read)
{
	int fd = greeted_client();
	unsigned int sent = 0, before, whole = 0;

	filler = 4000;
	while (send(fd, STATUS, strlen(STATUS), MSG_NOSIGNAL) == (ssize_t)strlen(STATUS)) {
		sent++;
		turn();
		ck_assert_uint_lt(sent, 1000000);
	}
	before = runs;
	turn();
	ck_assert_uint_eq(runs, before);
	ck_assert_uint_lt(runs, sent);
	/* Other clients are served. */
	close(greeted_client());
	for (const char *text; *(text = heard(fd));) {
		ck_assert_str_ne(text, "end");
		for (; *text; text++)
			whole += *text == '\n';
		turn();
	}
	ck_assert_uint_eq(whole, runs);
	/* The last request may have been sent in part. */
	ck_assert(runs == sent || runs == sent + 1);
	close(fd);
}
END_TEST

START_TEST(events_go_to_subscribers)
{
	int fd = greeted_client(), deaf = greeted_client(), silent = greeted_client();
	unsigned int n;

	say(fd, "{\"cmd\":\"events\"}\n");
	say(deaf, "{\"cmd\":\"events\"}\n");
	ck_assert(begins(heard(fd), "{\"ok\":true"));
	for (n = 0; n < 100000; n++) {
		struct json_object *event = control_event_object("something");

		control_put_number(event, "n", n);
		control_event(ctl, event);
		ck_assert(begins(heard(fd), "{\"event\":\"something\",\"n\":"));
	}
	ck_assert_str_eq(heard(silent), "");
	/* This client gets some events and is then disconnected; it may connect again. */
	ck_assert(begins(heard(deaf), "{\"ok\":true"));
	while (!begins(heard(deaf), "end"))
		;
	close(deaf);
	deaf = greeted_client();
	say(deaf, STATUS);
	ck_assert(begins(heard(deaf), "{\"ok\":true"));
	control_close(ctl);
	ck_assert_str_eq(heard(fd), "end");
	const char *why;
	ck_assert_int_eq(open_at(path, &why), 0);
	close(fd);
	close(deaf);
	close(silent);
}
END_TEST

/*
 * When the host has no descriptor for a connection, the loop does not spin, and it accepts the
 * connection later.
 */
START_TEST(host_without_descriptors)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct pollfd fds[CONTROL_POLLFDS];
	struct rlimit limit, none;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(control_prepare(ctl, fds), -1);
	setrlimit(RLIMIT_NOFILE, &none);
	fds[0].revents = POLLIN;
	control_handle(ctl, fds);
	setrlimit(RLIMIT_NOFILE, &limit);
	ck_assert_int_eq(fds[0].revents, POLLIN);
	int wait = control_prepare(ctl, fds);
	ck_assert_int_gt(wait, 0);
	ck_assert_int_eq(fds[0].fd, -1);
	poll(NULL, 0, wait);
	turn();
	ck_assert(begins(heard(fd), "{\"microvm\""));
	close(fd);
}
END_TEST

START_TEST(garbage_of_every_kind)
{
	char bytes[512];

	srand(1);
	for (unsigned int round = 0; round < 300; round++) {
		int fd = greeted_client();

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] =
				(char)(rand() % 8 ? "{}[]\":,\n\\u0e-1tcmd"[rand() % 18] : rand());
		ck_assert_int_gt(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), 0);
		if (round % 3)
			turn();
		close(fd);
		turn();
	}
	ck_assert_uint_eq(runs, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("control");
	TCase *t = tcase_create("control");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, only_the_owner_may_connect);
	tcase_add_test(t, unusable_path_is_refused);
	tcase_add_test(t, stale_socket_is_replaced);
	tcase_add_test(t, only_its_own_socket_is_removed);
	tcase_add_test(t, socket_in_a_locked_directory_is_removed);
	tcase_add_test(t, lines_in_pieces_and_many_in_one_write);
	tcase_add_test(t, client_that_asks_for_the_console_leaves);
	tcase_add_test(t, client_leaves_after_its_answer);
	tcase_add_test(t, delayed_replies);
	tcase_add_test(t, client_that_does_not_read);
	tcase_add_test(t, events_go_to_subscribers);
	tcase_add_test(t, host_without_descriptors);
	tcase_add_test(t, garbage_of_every_kind);
	suite_add_tcase(s, t);
	return s;
}
