/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of lines of the control protocol: requests that are accepted or refused with a reason, and
 * replies.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "version.h"
#include "vmm/control/protocol.h"

static struct control_request request;
static struct control_answer answer;

/* The copy has the exact size, so that a sanitizer detects a read beyond its end. */
static bool parse(const char *line, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool good;

	memcpy(copy, line, len);
	good = control_parse(&request, copy, len, &answer);
	free(copy);
	return good;
}

/* The line is refused, and the reply is one line that begins with `begins`. */
static void refused(const char *line, size_t len, const char *begins)
{
	struct json_object *object;
	const char *text;
	size_t n;

	ck_assert_msg(!parse(line, len), "taken: %.80s", line);
	object = control_answer_object(&request, &answer);
	text = control_text(object, &n);
	ck_assert_msg(!strncmp(text, begins, strlen(begins)), "%.80s: %s", line, text);
	ck_assert_uint_eq(n, strlen(text));
	ck_assert_uint_lt(n, 512);
	for (size_t i = 0; i < n; i++)
		ck_assert(text[i] >= ' ' && text[i] <= '~');
	json_object_put(object);
	control_request_done(&request);
}

static void is_refused(const char *line, const char *begins)
{
	refused(line, strlen(line), begins);
}

#define BAD_JSON    "{\"ok\":false,\"error\":{\"code\":\"bad-json\""
#define BAD_REQUEST "{\"ok\":false,\"error\":{\"code\":\"bad-request\""
#define UNKNOWN	    "{\"ok\":false,\"error\":{\"code\":\"unknown-command\""

START_TEST(each_command_is_accepted)
{
	static const struct {
		const char *line;
		enum control_command command;
	} good[] = {
		{ "{\"cmd\":\"status\"}", CONTROL_STATUS },
		{ " { \"cmd\" : \"stats\" } \t\r", CONTROL_STATS },
		{ "{\"id\":1,\"cmd\":\"pause\"}", CONTROL_PAUSE },
		{ "{\"cmd\":\"resume\",\"id\":\"x\"}", CONTROL_RESUME },
		{ "{\"cmd\":\"quit\"}", CONTROL_QUIT },
		{ "{\"cmd\":\"power-button\"}", CONTROL_POWER_BUTTON },
		{ "{\"cmd\":\"flush\"}", CONTROL_FLUSH },
		{ "{\"cmd\":\"\\u0065vents\"}", CONTROL_EVENTS },
		{ "{\"cmd\":\"console\"}", CONTROL_CONSOLE },
		{ "{\"cmd\":\"record\"}", CONTROL_RECORD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(parse(good[i].line, strlen(good[i].line)), "%s", good[i].line);
		ck_assert_int_eq(request.command, good[i].command);
		control_request_done(&request);
	}
}
END_TEST

START_TEST(resize_has_a_disk_and_a_size)
{
	static const struct {
		const char *fields;
		unsigned int disk;
		uint64_t size;
	} good[] = {
		{ "\"disk\":0,\"size\":1", 0, 1 },
		{ "\"size\":9223372036854775807,\"disk\":2147483647", INT32_MAX, INT64_MAX },
		{ "\"disk\":3", 3, 0 },
	};
	static const char *const bad[] = {
		"\"size\":1",
		"\"disk\":-1,\"size\":1",
		"\"disk\":2147483648,\"size\":1",
		"\"disk\":\"0\",\"size\":1",
		"\"disk\":0.0,\"size\":1",
		"\"disk\":0,\"size\":0",
		"\"disk\":0,\"size\":-1",
		"\"disk\":0,\"size\":1e9",
		"\"disk\":0,\"size\":9223372036854775808",
		"\"disk\":0,\"size\":99999999999999999999999999",
		"\"disk\":0,\"size\":null",
		"\"disk\":0,\"size\":[1]",
		"\"disk\":true",
	};
	char line[256];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"resize\",%s}", good[i].fields);
		ck_assert_msg(parse(line, strlen(line)), "%s", line);
		ck_assert_uint_eq(request.disk, good[i].disk);
		ck_assert_uint_eq(request.size, good[i].size);
		control_request_done(&request);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"resize\",%s}", bad[i]);
		ck_assert_msg(!parse(line, strlen(line)), "%s", line);
		control_request_done(&request);
	}
	is_refused("{\"cmd\":\"status\",\"disk\":0}", BAD_REQUEST);
	is_refused("{\"cmd\":\"flush\",\"size\":1}", BAD_REQUEST);
}
END_TEST

START_TEST(snapshot_has_a_name)
{
	static const char good[] = "{\"cmd\":\"snapshot\",\"name\":\"a.b\",\"stay\":true,"
				   "\"clone-disks\":true}";
	static const char diff[] = "{\"cmd\":\"snapshot\",\"name\":\"a\",\"diff\":true}";
	char line[200], name[CONTROL_NAME_MAX + 2];

	ck_assert(parse(good, strlen(good)));
	ck_assert_int_eq(request.command, CONTROL_SNAPSHOT);
	ck_assert_str_eq(request.name, "a.b");
	ck_assert(request.stay && request.clone_disks && !request.diff);
	control_request_done(&request);
	ck_assert(parse(diff, strlen(diff)));
	ck_assert(request.diff && !request.stay && !request.clone_disks);
	control_request_done(&request);
	memset(name, 'x', sizeof(name));
	for (unsigned int len = CONTROL_NAME_MAX; len <= CONTROL_NAME_MAX + 1; len++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"snapshot\",\"name\":\"%.*s\"}", (int)len,
			 name);
		ck_assert_int_eq(parse(line, strlen(line)), len == CONTROL_NAME_MAX);
		ck_assert(!request.stay && !request.clone_disks);
		control_request_done(&request);
	}
	is_refused("{\"cmd\":\"snapshot\"}", BAD_REQUEST);
	is_refused("{\"cmd\":\"snapshot\",\"name\":\"\"}", BAD_REQUEST);
	is_refused("{\"cmd\":\"snapshot\",\"name\":7}", BAD_REQUEST);
	is_refused("{\"cmd\":\"snapshot\",\"name\":\"a\\u0000b\"}", BAD_REQUEST);
	is_refused("{\"cmd\":\"snapshot\",\"name\":\"a\",\"stay\":1}", BAD_REQUEST);
	is_refused("{\"cmd\":\"snapshot\",\"name\":\"a\",\"clone-disks\":\"x\"}", BAD_REQUEST);
	is_refused("{\"cmd\":\"pause\",\"stay\":true}", BAD_REQUEST);
	is_refused("{\"cmd\":\"snapshot\",\"name\":\"a\",\"diff\":0}", BAD_REQUEST);
	is_refused("{\"cmd\":\"record\",\"name\":\"a\"}", BAD_REQUEST);
}
END_TEST

START_TEST(limit_has_a_disk_and_rates)
{
	static const char *const bad[] = {
		"\"iops\":1",
		"\"disk\":0,\"iops\":0",
		"\"disk\":0,\"iops\":1000000001",
		"\"disk\":0,\"bps\":1099511627777",
		"\"disk\":0,\"bps\":\"1\"",
		"\"disk\":0,\"iops-burst\":1",
		"\"disk\":0,\"iops\":1,\"bps-burst\":1",
		"\"disk\":0,\"size\":1",
	};
	static const char good[] = "{\"cmd\":\"limit\",\"disk\":1,\"iops\":50,\"iops-burst\":7,"
				   "\"bps\":1099511627776,\"bps-burst\":1}";
	static const char none[] = "{\"cmd\":\"limit\",\"disk\":2}";
	char line[256];

	ck_assert(parse(good, strlen(good)));
	ck_assert_uint_eq(request.disk, 1);
	ck_assert_uint_eq(request.limits.iops, 50);
	ck_assert_uint_eq(request.limits.iops_burst, 7);
	ck_assert_uint_eq(request.limits.bps, BLKLIMIT_BPS_MAX);
	ck_assert_uint_eq(request.limits.bps_burst, 1);
	control_request_done(&request);
	ck_assert(parse(none, strlen(none)));
	ck_assert_uint_eq(request.limits.iops | request.limits.bps, 0);
	control_request_done(&request);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"limit\",%s}", bad[i]);
		ck_assert_msg(!parse(line, strlen(line)), "%s", line);
		control_request_done(&request);
	}
	is_refused("{\"cmd\":\"resize\",\"disk\":0,\"iops\":1}", BAD_REQUEST);
}
END_TEST

START_TEST(bad_json_is_refused)
{
	static const char *const bad[] = {
		"",
		" ",
		"x",
		"{",
		"}",
		"[",
		"{\"cmd\":\"status\"",
		"{\"cmd\":\"status\"}}",
		"{\"cmd\":\"status\"} {}",
		"{\"cmd\":\"status\"}x",
		"{'cmd':'status'}",
		"{cmd:\"status\"}",
		"{\"cmd\":\"status\",}",
		"{\"cmd\":status}",
		"{\"cmd\":\"\xff\"}",
		"{\"cmd\":\"\\ud800\"}x",
		"{\"cmd\":\"status\"}/**/",
		"nul",
		"\"",
		"{\"a\":[[[[[[[[1]]]]]]]]}",
	};
	static char line[CONTROL_LINE_MAX + 2];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_refused(bad[i], BAD_JSON);
	refused("{\"cmd\":\"status\"}\0", 17, BAD_JSON);
	refused("\0", 1, BAD_JSON);
	refused("{\"cmd\"\0:\"status\"}", 17, BAD_JSON);
	memset(line, '[', CONTROL_LINE_MAX + 1);
	refused(line, CONTROL_LINE_MAX, BAD_JSON);
	memset(line, ' ', CONTROL_LINE_MAX + 1);
	memcpy(line, "{\"cmd\":\"status\"}", 16);
	line[CONTROL_LINE_MAX] = '{';
	refused(line, CONTROL_LINE_MAX + 1, BAD_JSON);
	ck_assert(parse(line, CONTROL_LINE_MAX));
	control_request_done(&request);
}
END_TEST

START_TEST(wrong_types_and_fields_are_refused)
{
	static const char *const no_object[] = { "1",	  "null", "true", "[]", "\"status\"",
						 "-1e99", "1.5",  "[{}]", "[1]" };

	for (size_t i = 0; i < ARRAY_SIZE(no_object); i++)
		/*
		 * The parser does not accept a number at the end of the line, because it could
		 * continue.
		 */
		ck_assert(!parse(no_object[i], strlen(no_object[i])));
	is_refused("[]", BAD_REQUEST);
	is_refused("null ", BAD_JSON);
	is_refused("{}", UNKNOWN);
	is_refused("{\"cmd\":1}", UNKNOWN);
	is_refused("{\"cmd\":null}", UNKNOWN);
	is_refused("{\"cmd\":[\"status\"]}", UNKNOWN);
	is_refused("{\"cmd\":\"\"}", UNKNOWN);
	is_refused("{\"cmd\":\"Status\"}", UNKNOWN);
	is_refused("{\"cmd\":\"status\\u0000\"}", UNKNOWN);
	is_refused("{\"cmd\":\"status\",\"size\\u00e9\":1}", BAD_REQUEST);
	is_refused("{\"cmd\":\"status\",\"\":1}", BAD_REQUEST);
	is_refused("{\"cmd\":\"status\",\"id\":{}}", BAD_REQUEST);
	is_refused("{\"cmd\":\"status\",\"id\":1.5}", BAD_REQUEST);
	is_refused("{\"cmd\":\"status\",\"id\":null}", BAD_REQUEST);
	is_refused("{\"cmd\":\"status\",\"id\":\"12345678901234567890123456789012345678901234567890"
		   "123456789012345\"}",
		   BAD_REQUEST);
	is_refused("{\"cmd\":\"status\",\"a long name of a field that there is not, and will not "
		   "be\":1}",
		   BAD_REQUEST);
	/* The reply to a bad request contains its id. */
	is_refused("{\"cmd\":\"status\",\"x\":1,\"id\":\"y\"}", "{\"id\":\"y\",\"ok\":false,");
	is_refused("{\"id\":18446744073709551615,\"cmd\":\"no\"}",
		   "{\"id\":18446744073709551615,\"ok\":false,");
}
END_TEST

START_TEST(errors_name_the_wrong_field)
{
	static const struct {
		const char *line, *text;
	} said[] = {
		{ "{}", "'cmd' is missing" },
		{ "{\"cmd\":null}", "'cmd' is missing" },
		{ "{\"cmd\":1}", "there is no command '1'" },
		{ "{\"cmd\":\"dance\\n\"}", "there is no command 'dance?'" },
		{ "{\"cmd\":{\"a\":1}}", "there is no command '{ \"a\": 1 }'" },
		{ "{\"cmd\":\"limit\",\"disk\":0,\"iops\":0}",
		  "'iops' must be a number from 1 to 1000000000" },
		{ "{\"cmd\":\"limit\",\"disk\":0,\"bps-burst\":1099511627777}",
		  "'bps-burst' must be a number from 1 to 1099511627776" },
		{ "{\"cmd\":\"status\",\"id\":\"12345678901234567890123456789012345678901234567890"
		  "123456789012345\"}",
		  "'id' is longer than 64 bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		ck_assert(!parse(said[i].line, strlen(said[i].line)));
		ck_assert_str_eq(answer.text, said[i].text);
		control_request_done(&request);
	}
}
END_TEST

START_TEST(replies_and_events_are_lines)
{
	struct json_object *object;
	size_t len;

	object = control_hello();
	ck_assert_str_eq(control_text(object, &len),
			 "{\"microvm\":\"" MICROVM_VERSION "\",\"protocol\":2}");
	json_object_put(object);

	ck_assert(parse("{\"id\":\"a\\nb\",\"cmd\":\"status\"}", 28));
	answer.result = json_object_new_object();
	control_put_number(answer.result, "n", UINT64_MAX);
	control_put_text(answer.result, "t", "a\n\"\x80/");
	control_put(NULL, "x", json_object_new_object());
	object = control_answer_object(&request, &answer);
	ck_assert_str_eq(control_text(object, &len),
			 "{\"id\":\"a\\nb\",\"ok\":true,\"result\":{\"n\":18446744073709551615,"
			 "\"t\":\"a?\\\"?/\"}}");
	json_object_put(object);
	control_request_done(&request);
	ck_assert_ptr_null(control_text(NULL, &len));

	object = control_event_object("paused");
	ck_assert_str_eq(control_text(object, &len), "{\"event\":\"paused\"}");
	json_object_put(object);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("control_line");
	TCase *t = tcase_create("control_line");

	tcase_add_test(t, each_command_is_accepted);
	tcase_add_test(t, resize_has_a_disk_and_a_size);
	tcase_add_test(t, snapshot_has_a_name);
	tcase_add_test(t, limit_has_a_disk_and_rates);
	tcase_add_test(t, bad_json_is_refused);
	tcase_add_test(t, wrong_types_and_fields_are_refused);
	tcase_add_test(t, errors_name_the_wrong_field);
	tcase_add_test(t, replies_and_events_are_lines);
	suite_add_tcase(s, t);
	return s;
}
