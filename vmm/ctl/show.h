/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Formatters of control socket results for standard output.
 * A member that the VM did not send is omitted, or shown as 0 or "?" (see members.h).
 */
#ifndef VMM_CTL_SHOW_H
#define VMM_CTL_SHOW_H

struct json_object;

void show_status(struct json_object *result);
void show_stats(struct json_object *result);
void show_prometheus(struct json_object *result); /* the result of stats */
void show_size(struct json_object *result);
void show_snapshot(struct json_object *result);
void show_pages(struct json_object *result);
void show_limits(struct json_object *result);
void show_event(struct json_object *event);

#endif
