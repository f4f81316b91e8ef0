/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of requests that are pending when a connection ends, and of lines without an end. */
#include "dataplane/base.h"
#include "tests/unit/control_rig.h"

/* Sends all of `text`, which does not end with a newline, and shuts down the sending direction. */
static int last_words(const char *text, size_t len)
{
	int fd = greeted_client();

	ck_assert_int_eq(send(fd, text, len, MSG_NOSIGNAL), (int)len);
	turn();
	shutdown(fd, SHUT_WR);
	turn();
	return fd;
}

static int last_line(const char *text)
{
	return last_words(text, strlen(text));
}

static void expect_answer_and_end(int fd, const char *answer)
{
	ck_assert_str_eq(heard(fd), answer);
	ck_assert_str_eq(heard(fd), "end");
	close(fd);
}

START_TEST(request_without_newline_before_the_end_is_answered)
{
	expect_answer_and_end(last_line("{\"cmd\":\"status\"}"),
			      "{\"ok\":true,\"result\":{\"filler\":\"\"}}\n");
	ck_assert_uint_eq(runs, 1);
	expect_answer_and_end(last_line("{\"id\":7,\"cmd\":\"dance\"}"),
			      "{\"id\":7,\"ok\":false,\"error\":{\"code\":\"unknown-command\","
			      "\"text\":\"there is no command 'dance'\"}}\n");
	expect_answer_and_end(last_line("{\"cmd\":\"status\""),
			      "{\"ok\":false,\"error\":{\"code\":\"bad-json\","
			      "\"text\":\"a request is one line with one JSON object\"}}\n");
	ck_assert_uint_eq(runs, 1);
}
END_TEST

START_TEST(empty_lines_before_the_end_get_no_reply)
{
	int fd = last_line("");

	ck_assert_str_eq(heard(fd), "end");
	close(fd);
	fd = last_line("\n\n");
	ck_assert_str_eq(heard(fd), "end");
	close(fd);
	ck_assert_uint_eq(runs, 0);
}
END_TEST

/*
 * The request and the end of the connection may have arrived before the VM reads for the first
 * time.
 */
START_TEST(request_without_newline_behind_another_is_executed_in_order)
{
	struct control_answer answer = { .result = NULL };
	int fd;

	later = true;
	fd = last_line("{\"id\":1,\"cmd\":\"flush\"}\n{\"id\":2,\"cmd\":\"flush\"}");
	ck_assert_uint_eq(runs, 1);
	control_answer(ctl, asked, &answer);
	turn();
	ck_assert_uint_eq(runs, 2);
	ck_assert_str_eq(heard(fd), "{\"id\":1,\"ok\":true,\"result\":{}}\n");
	control_answer(ctl, asked, &answer);
	turn();
	expect_answer_and_end(fd, "{\"id\":2,\"ok\":true,\"result\":{}}\n");
}
END_TEST

/* A client that has closed both directions gets no reply, but its request is executed. */
START_TEST(request_without_newline_of_a_disconnected_client)
{
	int fd = greeted_client();

	say(fd, "{\"cmd\":\"status\"}");
	ck_assert_uint_eq(runs, 0);
	close(fd);
	turn();
	ck_assert_uint_eq(runs, 1);
	close(greeted_client());
}
END_TEST

/* A line that is one byte longer is refused, with and without a newline. */
START_TEST(longest_line_without_newline)
{
	char text[CONTROL_LINE_MAX + 1];

	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"cmd\":\"status\"}", strlen("{\"cmd\":\"status\"}"));
	expect_answer_and_end(last_words(text, CONTROL_LINE_MAX),
			      "{\"ok\":true,\"result\":{\"filler\":\"\"}}\n");
	ck_assert_uint_eq(runs, 1);
	expect_answer_and_end(last_words(text, CONTROL_LINE_MAX + 1),
			      "{\"ok\":false,\"error\":{\"code\":\"too-long\","
			      "\"text\":\"a line may have at most 4096 bytes\"}}\n");
	ck_assert_uint_eq(runs, 1);
}
END_TEST

START_TEST(endless_line_is_refused)
{
	static char noise[1 << 20];
	int fd = greeted_client();

	memset(noise, 'x', sizeof(noise));
	for (size_t sent = 0; sent < sizeof(noise);) {
		ssize_t n = send(fd, noise + sent, sizeof(noise) - sent, MSG_NOSIGNAL);

		if (n < 0)
			break;
		sent += (size_t)n;
		turn();
	}
	ck_assert_ptr_nonnull(strstr(heard(fd), "\"too-long\""));
	ck_assert_int_le(recv(fd, noise, 1, MSG_DONTWAIT), 0);
	ck_assert_uint_eq(runs, 0);
	close(fd);
	turn();
	close(greeted_client());
}
END_TEST

/* The client has shut down its sending direction before its reply is ready. */
START_TEST(half_closed_client_gets_its_reply)
{
	struct control_answer answer = { .result = NULL };
	int fd = greeted_client();

	later = true;
	say(fd, STATUS);
	shutdown(fd, SHUT_WR);
	turn();
	control_answer(ctl, asked, &answer);
	turn();
	ck_assert_str_eq(heard(fd), "{\"ok\":true,\"result\":{}}\n");
	ck_assert_str_eq(heard(fd), "end");
	close(fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("control_ends");
	TCase *t = tcase_create("control_ends");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, request_without_newline_before_the_end_is_answered);
	tcase_add_test(t, empty_lines_before_the_end_get_no_reply);
	tcase_add_test(t, request_without_newline_behind_another_is_executed_in_order);
	tcase_add_test(t, request_without_newline_of_a_disconnected_client);
	tcase_add_test(t, longest_line_without_newline);
	tcase_add_test(t, endless_line_is_refused);
	tcase_add_test(t, half_closed_client_gets_its_reply);
	suite_add_tcase(s, t);
	return s;
}
