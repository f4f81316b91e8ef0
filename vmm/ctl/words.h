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

/* Returns the bit of an option of snapshot; 0: `arg` is none. */
unsigned int words_flag(const char *arg);

/* Returns the first of the given options; at least one is given. */
const char *words_flag_option(unsigned int given);

/* Adds the given options to a request. */
void words_add_flags(struct json_object *request, unsigned int given);

#endif
