/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/control/protocol.h"

#include <json-c/json.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/text.h"

/* Limit on the nesting depth of the JSON parser. A request is a flat object. */
#define DEPTH_MAX 4

static const char no_memory[] = "out of memory";

/* A member that a request may have. */
struct field {
	const char *name;
	/* Stores the value in *request. Returns NULL, or why the value is invalid (static
	 * string). */
	const char *(*take)(struct control_request *request, struct json_object *value);
};

_Static_assert(CONTROL_ID_MAX == 64, "the message says 64");

static const char *take_id(struct control_request *request, struct json_object *value)
{
	bool text = json_object_is_type(value, json_type_string);

	if (!text && !json_object_is_type(value, json_type_int))
		return "must be a number or a string";
	if (text && json_object_get_string_len(value) > CONTROL_ID_MAX)
		return "is longer than 64 bytes";
	request->id = json_object_get(value);
	return NULL;
}

/* Checks only the type: take_request looks the command up before it reads the other fields. */
static const char *take_command(struct control_request *request, struct json_object *value)
{
	(void)request;
	return json_object_is_type(value, json_type_string) ? NULL : "must be a string";
}

/* Reads an integer from `least` to `most`. False: the value is none. */
static bool take_number(struct json_object *value, int64_t least, int64_t most, int64_t *number)
{
	/* json-c clamps numbers outside of 64 bits. Above INT64_MAX, the signed and the unsigned
	 * value differ, which the comparison below detects. */
	*number = json_object_get_int64(value);
	return json_object_is_type(value, json_type_int) && *number >= least && *number <= most &&
	       json_object_get_uint64(value) == (uint64_t)*number;
}

static const char *take_disk(struct control_request *request, struct json_object *value)
{
	int64_t number;

	if (!take_number(value, 0, INT32_MAX, &number))
		return "must be a disk's number";
	request->disk = (unsigned int)number;
	return NULL;
}

static const char *take_size(struct control_request *request, struct json_object *value)
{
	int64_t number;

	if (!take_number(value, 1, INT64_MAX, &number))
		return "must be a number of bytes";
	request->size = (uint64_t)number;
	return NULL;
}

static const char *take_rate(uint64_t *to, struct json_object *value, uint64_t most)
{
	int64_t number;

	_Static_assert(BLKLIMIT_IOPS_MAX == 1000000000 && BLKLIMIT_BPS_MAX == 1ull << 40,
		       "the messages say so");
	if (!take_number(value, 1, (int64_t)most, &number))
		return most == BLKLIMIT_IOPS_MAX ? "must be a number from 1 to 1000000000"
						 : "must be a number from 1 to 1099511627776";
	*to = (uint64_t)number;
	return NULL;
}

static const char *take_iops(struct control_request *request, struct json_object *value)
{
	return take_rate(&request->limits.iops, value, BLKLIMIT_IOPS_MAX);
}

static const char *take_iops_burst(struct control_request *request, struct json_object *value)
{
	return take_rate(&request->limits.iops_burst, value, BLKLIMIT_IOPS_MAX);
}

static const char *take_bps(struct control_request *request, struct json_object *value)
{
	return take_rate(&request->limits.bps, value, BLKLIMIT_BPS_MAX);
}

static const char *take_bps_burst(struct control_request *request, struct json_object *value)
{
	return take_rate(&request->limits.bps_burst, value, BLKLIMIT_BPS_MAX);
}

_Static_assert(CONTROL_NAME_MAX == 64, "the message says 64");

static const char *take_name(struct control_request *request, struct json_object *value)
{
	size_t len = json_object_is_type(value, json_type_string)
			     ? (size_t)json_object_get_string_len(value)
			     : 0;

	if (!len || len > CONTROL_NAME_MAX || strlen(json_object_get_string(value)) != len)
		return "must be a string of 1 to 64 bytes";
	strcpy(request->name, json_object_get_string(value));
	return NULL;
}

static const char *take_bool(bool *to, struct json_object *value)
{
	if (!json_object_is_type(value, json_type_boolean))
		return "must be true or false";
	*to = json_object_get_boolean(value);
	return NULL;
}

static const char *take_stay(struct control_request *request, struct json_object *value)
{
	return take_bool(&request->stay, value);
}

static const char *take_diff(struct control_request *request, struct json_object *value)
{
	return take_bool(&request->diff, value);
}

static const char *take_clone_disks(struct control_request *request, struct json_object *value)
{
	return take_bool(&request->clone_disks, value);
}

#define FIELD_ID      1u
#define FIELD_COMMAND 2u
#define FIELD_DISK    4u
#define FIELD_SIZE    8u
#define FIELD_LIMITS  0xf0u
#define FIELD_NAME    0x100u
#define FIELD_STAY    0x200u
#define FIELD_DIFF    0x400u
#define FIELD_CLONE   0x800u

static const struct field fields[] = {
	{ "id", take_id },     { "cmd", take_command },		{ "disk", take_disk },
	{ "size", take_size }, { "iops", take_iops },		{ "iops-burst", take_iops_burst },
	{ "bps", take_bps },   { "bps-burst", take_bps_burst }, { "name", take_name },
	{ "stay", take_stay }, { "diff", take_diff },		{ "clone-disks", take_clone_disks },
};

static const struct command {
	const char *name;
	enum control_command command;
	unsigned int may;  /* bit n: fields[n] is optional */
	unsigned int must; /* bit n: fields[n] is required */
} commands[] = {
	{ "status", CONTROL_STATUS, 0, 0 },
	{ "stats", CONTROL_STATS, 0, 0 },
	{ "pause", CONTROL_PAUSE, 0, 0 },
	{ "resume", CONTROL_RESUME, 0, 0 },
	{ "power-button", CONTROL_POWER_BUTTON, 0, 0 },
	{ "quit", CONTROL_QUIT, 0, 0 },
	{ "flush", CONTROL_FLUSH, 0, 0 },
	{ "events", CONTROL_EVENTS, 0, 0 },
	{ "console", CONTROL_CONSOLE, 0, 0 },
	{ "resize", CONTROL_RESIZE, FIELD_SIZE, FIELD_DISK },
	{ "limit", CONTROL_LIMIT, FIELD_LIMITS, FIELD_DISK },
	{ "snapshot", CONTROL_SNAPSHOT, FIELD_STAY | FIELD_DIFF | FIELD_CLONE, FIELD_NAME },
	{ "record", CONTROL_RECORD, 0, 0 },
};

/* Parses the whole line as one JSON value. NULL: the line is not valid JSON and *answer holds the
 * error. */
static struct json_object *parse_json(const char *line, size_t len, struct control_answer *answer)
{
	struct json_tokener *tok = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object = NULL;

	if (!tok) {
		control_refuse(answer, "failed", no_memory);
		return NULL;
	}
	while (len && strchr(" \t\r", line[len - 1]) && line[len - 1])
		len--;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* A line with a NUL is refused here, because the parser would stop at it. */
	if (len <= CONTROL_LINE_MAX && !memchr(line, '\0', len))
		object = json_tokener_parse_ex(tok, line, (int)len);
	if (!object || json_tokener_get_error(tok) != json_tokener_success ||
	    json_tokener_get_parse_end(tok) != len) {
		json_object_put(object);
		object = NULL;
		control_refuse(answer, "bad-json", "a request is one line with one JSON object");
	}
	json_tokener_free(tok);
	return object;
}

const char *control_command_name(enum control_command command)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].command == command)
			return commands[i].name;
	return "?";
}

static const struct command *find_command(struct json_object *object)
{
	struct json_object *value = NULL;
	const char *name;

	json_object_object_get_ex(object, "cmd", &value);
	name = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
	/* JSON strings may contain NUL, at which strcmp stops. Such a name is no command: the
	 * lengths differ. */
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name) &&
		    (size_t)json_object_get_string_len(value) == strlen(name))
			return &commands[i];
	return NULL;
}

static bool take_field(struct control_request *request, const char *name, struct json_object *value,
		       unsigned int *given, struct control_answer *answer)
{
	char shown[40];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *why;

		if (strcmp(fields[i].name, name))
			continue;
		*given |= 1u << i;
		why = fields[i].take(request, value);
		if (why)
			control_refuse(answer, "bad-request", "'%s' %s", name, why);
		return !why;
	}
	text_show(shown, sizeof(shown), name);
	control_refuse(answer, "bad-request", "unknown field '%s'", shown);
	return false;
}

/* Returns true if the fields `given` include all that the command requires and none that it does
 * not have. Otherwise *answer holds the error. */
static bool fields_fit(const struct command *command, unsigned int given,
		       struct control_answer *answer)
{
	unsigned int missing = command->must & ~given;
	unsigned int strange = given & ~(command->may | command->must | FIELD_ID | FIELD_COMMAND);

	if (missing)
		control_refuse(answer, "bad-request", "'%s' needs '%s'", command->name,
			       fields[__builtin_ctz(missing)].name);
	else if (strange)
		control_refuse(answer, "bad-request", "'%s' has no '%s'", command->name,
			       fields[__builtin_ctz(strange)].name);
	return !missing && !strange;
}

static bool refuse_command(struct json_object *object, struct control_answer *answer)
{
	struct json_object *value = NULL;
	const char *name;
	char shown[40];

	json_object_object_get_ex(object, "cmd", &value);
	name = json_object_get_string(value);
	if (!name) {
		control_refuse(answer, "unknown-command", "'cmd' is missing");
		return false;
	}
	text_show(shown, sizeof(shown), name);
	control_refuse(answer, "unknown-command", "there is no command '%s'", shown);
	return false;
}

static bool take_request(struct control_request *request, struct json_object *object,
			 struct control_answer *answer)
{
	const struct command *command;
	unsigned int given = 0;
	struct json_object *id;

	if (!json_object_is_type(object, json_type_object)) {
		control_refuse(answer, "bad-request", "a request is an object");
		return false;
	}
	/* The id is read first, so that the answer to any other error contains it. */
	if (json_object_object_get_ex(object, "id", &id) &&
	    !take_field(request, "id", id, &given, answer))
		return false;
	command = find_command(object);
	if (!command)
		return refuse_command(object, answer);
	request->command = command->command;
	json_object_object_foreach(object, name, value)
	{
		if (strcmp(name, "id") && !take_field(request, name, value, &given, answer))
			return false;
	}
	if (!fields_fit(command, given, answer))
		return false;
	if (blklimit_fill_defaults(&request->limits))
		return true;
	control_refuse(answer, "bad-request", "'iops-burst' needs 'iops', and 'bps-burst' 'bps'");
	return false;
}

bool control_parse(struct control_request *request, const char *line, size_t len,
		   struct control_answer *answer)
{
	struct json_object *object;
	bool good;

	*request = (struct control_request){ .id = NULL };
	*answer = (struct control_answer){ .result = NULL };
	object = parse_json(line, len, answer);
	if (!object)
		return false;
	good = take_request(request, object, answer);
	json_object_put(object);
	return good;
}

void control_request_done(struct control_request *request)
{
	json_object_put(request->id);
	request->id = NULL;
}
