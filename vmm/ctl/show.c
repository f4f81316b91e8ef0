/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/ctl/show.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static uint64_t number(struct json_object *object, const char *key)
{
	return json_object_get_uint64(member(object, key));
}

static const char *text(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key);

	return value ? json_object_get_string(value) : "?";
}

/* All of an array; of anything else, nothing. */
static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* Of a disk: what it cannot do. */
static void show_stopped(struct json_object *stopped)
{
	for (size_t i = 0; i < length(stopped); i++) {
		struct json_object *one = json_object_array_get_idx(stopped, i);

		printf(", queue %" PRIu64 " stopped by %s: %s", number(one, "queue"),
		       text(one, "operation"), text(one, "error"));
	}
}

/* Each of them with its value, `before` the first. False: there are none. */
static bool print_limits(struct json_object *limits, const char *before)
{
	if (!json_object_is_type(limits, json_type_object) || !json_object_object_length(limits))
		return false;
	json_object_object_foreach(limits, key, value)
	{
		printf("%s%s=%s", before, key, json_object_get_string(value));
		before = ",";
	}
	return true;
}

void show_limits(struct json_object *result)
{
	puts(print_limits(result, "") ? "" : "no limits");
}

void show_status(struct json_object *result)
{
	struct json_object *disks = member(result, "disks");

	printf("%s, %" PRIu64 " CPUs, %" PRIu64 " MiB\n", text(result, "state"),
	       number(result, "cpus"), number(result, "memory") >> 20);
	for (size_t i = 0; i < length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		printf("disk %" PRIu64 ": %s, %" PRIu64 " bytes%s, %" PRIu64 " queues",
		       number(disk, "disk"), text(disk, "file"), number(disk, "size"),
		       json_object_get_boolean(member(disk, "readonly")) ? ", read-only" : "",
		       number(disk, "queues"));
		print_limits(member(disk, "limits"), ", limits ");
		show_stopped(member(disk, "stopped"));
		putchar('\n');
	}
}

void show_stats(struct json_object *result)
{
	struct json_object *queues = member(result, "queues");

	for (size_t i = 0; i < length(queues); i++) {
		struct json_object *q = json_object_array_get_idx(queues, i);

		printf("disk %" PRIu64 ", queue %" PRIu64 ": %" PRIu64 " requests in %" PRIu64
		       " batches, %" PRIu64 " interrupts, %" PRIu64 " sleeps, %" PRIu64
		       " times held by limits\n",
		       number(q, "disk"), number(q, "queue"), number(q, "requests"),
		       number(q, "batches"), number(q, "interrupts"), number(q, "sleeps"),
		       number(q, "held"));
	}
}

void show_size(struct json_object *result)
{
	printf("%" PRIu64 " bytes\n", number(result, "size"));
}

/* Its name, then what else it says. */
void show_event(struct json_object *event)
{
	printf("%s", text(event, "event"));
	json_object_object_foreach(event, key, value)
	{
		if (strcmp(key, "event"))
			printf(" %s=%s", key, json_object_get_string(value));
	}
	putchar('\n');
}
