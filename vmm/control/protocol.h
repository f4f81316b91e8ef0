/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protocol: parser and formatter of the control protocol's JSON lines (microvm-ctl(1)).
 *
 * The functions parse requests and format answers and events. They have no state and know neither
 * sockets nor the machine. A client is trusted to control the VM, but its input is not: the parser
 * accepts any bytes.
 *
 * json-c reports a lack of memory by a NULL object. Every function here accepts such a NULL and
 * passes it on, so that the caller checks only the result of control_text.
 */
#ifndef VMM_CONTROL_PROTOCOL_H
#define VMM_CONTROL_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/blklimit.h"

struct json_object;

/* Version of the protocol; it changes with every incompatible change. */
#define CONTROL_PROTOCOL 2

#define CONTROL_LINE_MAX 4096 /* longest request line without its newline, in bytes */
#define CONTROL_ID_MAX	 64   /* longest string as a request's id, in bytes */
#define CONTROL_NAME_MAX 64   /* longest name of a snapshot, in bytes */

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
	CONTROL_SNAPSHOT,
	CONTROL_RECORD,
	CONTROL_EVENTS,
	CONTROL_CONSOLE,
};

struct control_request {
	enum control_command command;
	unsigned int disk;	      /* resize, limit: disk number; may not exist */
	uint64_t size;		      /* resize: bytes, at most INT64_MAX; 0: that of the image */
	struct blklimit_rates limits; /* limit: complete, with default bursts filled in */
	char name[CONTROL_NAME_MAX + 1]; /* snapshot: its name, not checked */
	bool stay;			 /* snapshot: the guest stays paused */
	bool diff;			 /* snapshot: only what differs from the base */
	bool clone_disks;		 /* snapshot: writable disks are copied, too */
	struct json_object *id;		 /* chosen by the client, repeated in the answer; or NULL */
};

/* A result or an error. */
struct control_answer {
	struct json_object *result; /* owned by this struct; NULL: an empty result */
	const char *error;	    /* error code, a static string; NULL: success */
	char text[160];		    /* error message */
};

/* Parses the `len` bytes of a request line. False: the request is invalid and *answer holds the
 * error; request->id is set if the line has a valid one. The caller calls control_request_done in
 * either case. */
bool control_parse(struct control_request *request, const char *line, size_t len,
		   struct control_answer *answer);

/* Releases the id of a request. */
void control_request_done(struct control_request *request);

/* Returns the name of a command in a request, a static string. */
const char *control_command_name(enum control_command command);

/* Makes *answer an error with the code `error` (static string) and a message formatted as by
 * printf(3). */
void control_refuse(struct control_answer *answer, const char *error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns the complete answer as an object that the caller owns, and releases answer->result. NULL:
 * no memory. */
struct json_object *control_answer_object(const struct control_request *request,
					  struct control_answer *answer);

/* Returns the object's text, without a newline, and its length; the text is valid as long as the
 * object. NULL: no memory. */
const char *control_text(struct json_object *object, size_t *len);

/* Returns the first line that the server sends on a connection: program and protocol version. */
struct json_object *control_hello(void);

/* Returns {"event": name}, to which the caller adds members. */
struct json_object *control_event_object(const char *name);

/* Adds `value` to `object` as the member `key`, or to the array `object` if key is NULL; `object`
 * owns the value afterwards. Without an object the value is released; without a value the object is
 * not changed. */
void control_put(struct json_object *object, const char *key, struct json_object *value);

/* Adds a string as control_put does; bytes that are not printable ASCII are replaced by '?'. */
void control_put_text(struct json_object *object, const char *key, const char *text);

/* Adds a number as control_put does. */
void control_put_number(struct json_object *object, const char *key, uint64_t number);

/* Adds a boolean as control_put does. */
void control_put_bool(struct json_object *object, const char *key, bool value);

#endif
