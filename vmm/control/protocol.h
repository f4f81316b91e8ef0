/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control_line: the lines of the control protocol (microvm-ctl(1)): a request's text -> what is asked
 * for; an answer or an event -> its text. Knows neither sockets nor the machine; no state.
 *
 * Who connects is trusted to run the VM, but not to write JSON: any bytes may come.
 */
#ifndef VMM_CONTROL_LINE_H
#define VMM_CONTROL_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/blklimit.h"

struct json_object;

/* Changes when what a client may rely on does. */
#define CONTROL_PROTOCOL 1

/* A request's line, without its newline, has at most so many bytes; an id that is text fewer. */
#define CONTROL_LINE_MAX 4096
#define CONTROL_ID_MAX	 64

enum control_command {
	CONTROL_STATUS,
	CONTROL_STATS,
	CONTROL_PAUSE,
	CONTROL_RESUME,
	CONTROL_POWER_BUTTON,
	CONTROL_QUIT,
	CONTROL_FLUSH,
	CONTROL_RESIZE,
	CONTROL_LIMIT,
	CONTROL_EVENTS,
};

struct control_request {
	enum control_command command;
	unsigned int disk;	      /* resize, limit: its number, not judged */
	uint64_t size;		      /* the same: bytes, up to INT64_MAX; 0: that of the image */
	struct blklimit_rates limits; /* limit: settled */
	struct json_object *id;	      /* the client's, for the answer; NULL: none. Freed by _done */
};

/* Either the result, an object whose owner this is, or an error: a code and a text. */
struct control_answer {
	struct json_object *result;
	const char *error; /* NULL: it went well. A static string */
	char text[160];
};

/* False: *answer says what is wrong; the id is there, if there is one. Either way _done is due. */
bool control_parse(struct control_request *request, const char *line, size_t len,
		   struct control_answer *answer);
void control_request_done(struct control_request *request);

/* As requests have it. */
const char *control_command_name(enum control_command command);

/* An error, as printf. */
void control_refuse(struct control_answer *answer, const char *error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The whole answer as one object, of which the caller becomes the owner; what *answer had is used
 * up. control_text is then its line, without a newline, as long as the object lives. NULL: there is
 * no memory, here and everywhere below.
 */
struct json_object *control_answer_object(const struct control_request *request,
					  struct control_answer *answer);
const char *control_text(struct json_object *object, size_t *len);

/* The first line of a connection. */
struct json_object *control_hello(void);

/* {"event": name} */
struct json_object *control_event_object(const char *name);

/* Put a member into an object, or an element (key NULL) into an array; either may be NULL. What is
 * put belongs to the object. Text is shown as ASCII. */
void control_put(struct json_object *object, const char *key, struct json_object *value);
void control_put_text(struct json_object *object, const char *key, const char *text);
void control_put_number(struct json_object *object, const char *key, uint64_t number);
void control_put_bool(struct json_object *object, const char *key, bool value);

#endif
