/* SPDX-License-Identifier: BSD-3-Clause */
/* show: what the VM answers, for people, on standard output. What it lacks is left out. */
#ifndef VMM_CTL_SHOW_H
#define VMM_CTL_SHOW_H

struct json_object;

void show_status(struct json_object *result);
void show_stats(struct json_object *result);
void show_prometheus(struct json_object *result); /* the same, for that */
void show_size(struct json_object *result);
void show_limits(struct json_object *result);
void show_event(struct json_object *event);

#endif
