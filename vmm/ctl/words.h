/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversion of a command's arguments to members of its JSON request. */
#ifndef VMM_CTL_WORDS_H
#define VMM_CTL_WORDS_H

#include <stdbool.h>

struct json_object;

#define WORDS_MESSAGE_MAX 256

/*
 * Adds the arguments of `command` to `request`. The caller has checked their number; the
 * function modifies them in place. Returns false if one is invalid; then `message` names it and
 * the reason.
 */
bool words_add(struct json_object *request, const char *command, char **words,
	       char message[WORDS_MESSAGE_MAX]);

#endif
