/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of the control protocol: any bytes as a line. A refused line gets a reason in one
 * printable line that is valid JSON; an accepted one is a command within its limits.
 */
#include <json-c/json.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/control/protocol.h"

static void check_line(struct control_request *request, struct control_answer *answer)
{
	struct json_object *object = control_answer_object(request, answer), *again;
	const char *text;
	size_t len;

	text = control_text(object, &len);
	fuzz_must(text && len == strlen(text) && len < 1024);
	fuzz_must(!memchr(text, '\n', len));
	again = json_tokener_parse(text);
	fuzz_must(json_object_equal(object, again));
	json_object_put(again);
	json_object_put(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request request;
	struct control_answer answer;
	/* The exact size, without a terminator: ASan finds reads beyond the end. */
	char *line = malloc(size ? size : 1);

	fuzz_must(line);
	if (size)
		memcpy(line, data, size);
	if (control_parse(&request, line, size, &answer))
		fuzz_must(request.command <= CONTROL_CONSOLE && !answer.error);
	else
		fuzz_must(answer.error && *answer.text);
	free(line);
	check_line(&request, &answer);
	control_request_done(&request);
	return 0;
}
