/* SPDX-License-Identifier: BSD-3-Clause */
/* words: the arguments of a command -> the members of its request. */
#ifndef VMM_CTL_WORDS_H
#define VMM_CTL_WORDS_H

#include <stdbool.h>

struct json_object;

#define WORDS_MESSAGE_MAX 256

/*
 * Adds the arguments of `command`, which are as many as it needs and are cut up in place. False:
 * `message` names the argument and says what is wrong with it.
 */
bool words_add(struct json_object *request, const char *command, char **words,
	       char message[WORDS_MESSAGE_MAX]);

#endif
