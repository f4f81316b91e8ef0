/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/ctl/words.h"

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vmm/options/limits.h"

static const struct option limit_keys[] = { OPTION_LIMITS(struct blklimit_rates, ) };
static const struct option_table limits_table = { limit_keys,
						  sizeof(limit_keys) / sizeof(*limit_keys) };

/* The options of snapshot; without "--" they are members of its request. */
static const char *const flags[] = { "--stay", "--diff", "--clone-disks" };

unsigned int words_flag(const char *arg)
{
	for (unsigned int i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (!strcmp(arg, flags[i]))
			return 1u << i;
	return 0;
}

const char *words_flag_option(unsigned int given)
{
	return flags[__builtin_ctz(given)];
}

void words_add_flags(struct json_object *request, unsigned int given)
{
	for (; given; given &= given - 1)
		json_object_object_add(request, words_flag_option(given) + 2,
				       json_object_new_boolean(true));
}

/* Writes "WHAT WORD: WHY" to `message`, where `what` is the argument's name in --help. Returns
 * false. */
static bool refuse(char message[WORDS_MESSAGE_MAX], const char *what, const char *word,
		   const char *why)
{
	char shown[SHOWN_MAX];

	text_show(shown, sizeof(shown), word);
	snprintf(message, WORDS_MESSAGE_MAX, "%s%s: %s", what, shown, why);
	return false;
}

static bool add_disk(struct json_object *request, const char *word, char message[WORDS_MESSAGE_MAX])
{
	uint64_t number;

	if (!text_number(word, &number) || number > INT32_MAX)
		return refuse(message, "DISK ", word,
			      "must be the number of a disk, which status shows");
	json_object_object_add(request, "disk", json_object_new_uint64(number));
	return true;
}

static bool add_size(struct json_object *request, const char *word, char message[WORDS_MESSAGE_MAX])
{
	uint64_t bytes;

	if (!strcmp(word, "image"))
		return true;
	if (!text_size(word, &bytes) || !bytes || bytes > INT64_MAX)
		return refuse(message, "SIZE ", word, "must be a size (see --help), or image");
	json_object_object_add(request, "size", json_object_new_uint64(bytes));
	return true;
}

static bool unknown_limit(const char *text, size_t len, char message[WORDS_MESSAGE_MAX])
{
	char hint[HINT_MAX], why[WHY_MAX];

	if (!len)
		return refuse(message, "", text, "a key is missing");
	snprintf(why, sizeof(why), "unknown key (%s)",
		 option_hint(&limits_table, 0, text, len, hint));
	return refuse(message, "", text, why);
}

/* Adds the limit that `text` gives as KEY=VALUE. */
static bool add_limit(struct json_object *request, char *text, char message[WORDS_MESSAGE_MAX])
{
	struct blklimit_rates limits = { 0 };
	size_t len = strcspn(text, "=");
	const struct option *key = option_find(&limits_table, text, len);
	struct option_error error;
	const char *why;

	if (!key)
		return unknown_limit(text, len, message);
	if (json_object_object_get_ex(request, key->name, NULL))
		return refuse(message, "", text, "given twice");
	if (!text[len])
		return refuse(message, "", text, "needs a value");
	why = option_set(key, &limits, text + len + 1, &error);
	if (why)
		return refuse(message, "", text, why);
	/* Only one of the four is not 0. */
	json_object_object_add(request, key->name,
			       json_object_new_uint64(limits.iops | limits.iops_burst | limits.bps |
						      limits.bps_burst));
	return true;
}

static bool add_limits(struct json_object *request, char *text, char message[WORDS_MESSAGE_MAX])
{
	char *end;

	if (!strcmp(text, "none"))
		return true;
	for (; text; text = end) {
		end = strchr(text, ',');
		if (end)
			*end++ = '\0';
		if (!add_limit(request, text, message))
			return false;
	}
	return true;
}

bool words_add(struct json_object *request, const char *command, char **words,
	       char message[WORDS_MESSAGE_MAX])
{
	if (!strcmp(command, "snapshot"))
		json_object_object_add(request, "name", json_object_new_string(words[0]));
	if (!strcmp(command, "resize"))
		return add_disk(request, words[0], message) && add_size(request, words[1], message);
	if (!strcmp(command, "limit"))
		return add_disk(request, words[0], message) &&
		       add_limits(request, words[1], message);
	return true;
}
