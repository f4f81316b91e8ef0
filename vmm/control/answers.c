/* SPDX-License-Identifier: BSD-3-Clause */
/* Formatting of answers and events. */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>

#include "vmm/control/protocol.h"
#include "vmm/text.h"
#include "version.h" /* generated: tools/version */

void control_put(struct json_object *object, const char *key, struct json_object *value)
{
	int err = -1;

	if (object && value && key)
		err = json_object_object_add(object, key, value);
	else if (object && value)
		err = json_object_array_add(object, value);
	if (err)
		json_object_put(value);
}

void control_put_text(struct json_object *object, const char *key, const char *text)
{
	char shown[256];

	text_show(shown, sizeof(shown), text);
	control_put(object, key, json_object_new_string(shown));
}

void control_put_number(struct json_object *object, const char *key, uint64_t number)
{
	control_put(object, key, json_object_new_uint64(number));
}

void control_put_bool(struct json_object *object, const char *key, bool value)
{
	control_put(object, key, json_object_new_boolean(value));
}

void control_refuse(struct control_answer *answer, const char *error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(answer->text, sizeof(answer->text), fmt, args);
	va_end(args);
	answer->error = error;
}

struct json_object *control_answer_object(const struct control_request *request,
					  struct control_answer *answer)
{
	struct json_object *object = json_object_new_object();
	struct json_object *error;

	if (request->id)
		control_put(object, "id", json_object_get(request->id));
	control_put_bool(object, "ok", !answer->error);
	if (!answer->error) {
		control_put(object, "result",
			    answer->result ? answer->result : json_object_new_object());
	} else {
		json_object_put(answer->result);
		error = json_object_new_object();
		control_put_text(error, "code", answer->error);
		control_put_text(error, "text", answer->text);
		control_put(object, "error", error);
	}
	answer->result = NULL;
	return object;
}

const char *control_text(struct json_object *object, size_t *len)
{
	if (!object)
		return NULL;
	return json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, len);
}

struct json_object *control_hello(void)
{
	struct json_object *object = json_object_new_object();

	control_put_text(object, "microvm", MICROVM_VERSION);
	control_put_number(object, "protocol", CONTROL_PROTOCOL);
	return object;
}

struct json_object *control_event_object(const char *name)
{
	struct json_object *object = json_object_new_object();

	control_put_text(object, "event", name);
	return object;
}
