/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/ctl/show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/ctl/members.h"

/* Prints each queue that stopped the VM, with the failed operation and its error. */
static void show_stopped(struct json_object *stopped)
{
	for (size_t i = 0; i < length(stopped); i++) {
		struct json_object *one = json_object_array_get_idx(stopped, i);

		printf(", queue %" PRIu64 " stopped by %s: %s", number(one, "queue"),
		       text(one, "operation"), text(one, "error"));
	}
}

/* Prints `before`, then each limit as KEY=VALUE. Returns false if there are no limits. */
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

/* Prints the state of a VM, or of a disk that microvm-blk serves. */
static void show_state(struct json_object *result)
{
	struct json_object *connected = member(result, "connected");

	if (connected)
		printf("%s, %s front end is connected\n", text(result, "state"),
		       json_object_get_boolean(connected) ? "a" : "no");
	else
		printf("%s, %" PRIu64 " CPUs, %" PRIu64 " MiB\n", text(result, "state"),
		       number(result, "cpus"), number(result, "memory") >> 20);
}

void show_status(struct json_object *result)
{
	struct json_object *disks = member(result, "disks");

	show_state(result);
	for (size_t i = 0; i < length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		printf("disk %" PRIu64 ": %s, %" PRIu64 " bytes%s", number(disk, "disk"),
		       text(disk, "file"), number(disk, "size"),
		       json_object_get_boolean(member(disk, "readonly")) ? ", read-only" : "");
		if (json_object_get_boolean(member(disk, "ephemeral")))
			printf(", ephemeral with %" PRIu64 " bytes allocated",
			       number(disk, "allocated"));
		printf(", %" PRIu64 " queues", number(disk, "queues"));
		print_limits(member(disk, "limits"), ", limits ");
		show_stopped(member(disk, "stopped"));
		putchar('\n');
	}
	if (member(member(result, "console"), "path"))
		printf("console: %s\n", text(member(result, "console"), "path"));
}

void show_size(struct json_object *result)
{
	printf("%" PRIu64 " bytes\n", number(result, "size"));
}

void show_pages(struct json_object *result)
{
	printf("%" PRIu64 " pages\n", number(result, "pages"));
}

void show_snapshot(struct json_object *result)
{
	printf("%" PRIu64 " pages%s, paused for %" PRIu64 " us, %" PRIu64 " us in all\n",
	       number(result, "pages"),
	       json_object_get_boolean(member(result, "diff")) ? " of a diff" : "",
	       number(result, "paused-us"), number(result, "total-us"));
}

/* Prints the event's name, then its other members. */
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
