/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/options/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"

const struct option *option_find(const struct option_table *table, const char *name, size_t len)
{
	for (unsigned int i = 0; i < table->count; i++) {
		const struct option *option = &table->option[i];

		if (strlen(option->name) == len && !strncmp(option->name, name, len))
			return option;
	}
	return NULL;
}

const char *option_hint(const struct option_table *table, unsigned int skip, const char *word,
			size_t len, char hint[HINT_MAX])
{
	struct text_guess guess = { 0 };

	for (unsigned int i = 0; i < table->count; i++)
		text_guess(&guess, word, len, table->option[i].name + skip);
	if (guess.name)
		guess.name -= skip;
	return text_hint(&guess, hint);
}

/* Returns the number of the name that `text` is in `names` ("on|log|off"), or -1. */
static int name_number(const char *names, const char *text)
{
	size_t len = strlen(text);

	for (int i = 0;; i++) {
		size_t next = strcspn(names, "|");

		if (next == len && !memcmp(names, text, len))
			return i;
		if (!names[next])
			return -1;
		names += next + 1;
	}
}

static bool take_name(const struct option *option, const char *text, uint64_t *number)
{
	int i = name_number(option->value, text);

	if (option->type == OPTION_SWITCH)
		*number = !i;
	else
		*number = option->values && i >= 0 ? option->values[i] : (unsigned int)i;
	return i >= 0;
}

static bool take_number(const struct option *option, const char *text, uint64_t *number)
{
	bool good =
		option->type == OPTION_SIZE ? text_size(text, number) : text_number(text, number);

	return good && *number >= option->min && *number <= option->max &&
	       (option->type != OPTION_POWER || is_power_of_2(*number));
}

static void put_size(char *to, uint64_t bytes)
{
	static const char units[] = "\0KMGT";
	const char *unit = units;

	for (; bytes && !(bytes & 1023); bytes >>= 10)
		unit++;
	sprintf(to, "%" PRIu64 "%.1s", bytes, unit);
}

const char *option_range(const struct option *option, char range[RANGE_MAX])
{
	char max[RANGE_MAX / 2];

	if (option->type == OPTION_SIZE) {
		put_size(range, option->min);
		put_size(max, option->max);
		strcat(strcat(range, " to "), max);
	} else {
		snprintf(range, RANGE_MAX, "%" PRIu64 " to %" PRIu64, option->min, option->max);
	}
	return range;
}

/* Writes "must be on, log or off" or "must be a number from 1 to 16". */
static const char *describe(const struct option *option, char why[WHY_MAX])
{
	static const char kind[][24] = {
		[OPTION_NUMBER] = "number",
		[OPTION_SECONDS] = "number of seconds",
		[OPTION_POWER] = "power of two",
		[OPTION_SIZE] = "size",
	};
	const char *last = strrchr(option->value, '|');
	char range[RANGE_MAX], *to;

	if (!last) {
		snprintf(why, WHY_MAX, "must be a %s from %s", kind[option->type],
			 option_range(option, range));
		return why;
	}
	to = stpcpy(why, "must be ");
	for (const char *from = option->value; *from; from++) {
		if (*from == '|')
			to = stpcpy(to, from == last ? " or " : ", ");
		else
			*to++ = *from;
	}
	*to = '\0';
	return why;
}

/* Bytes beyond ASCII are not checked. */
static bool has_control_characters(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '\x7f')
			return true;
	return false;
}

const char *option_set(const struct option *option, void *config, char *value,
		       struct option_error *error)
{
	uint64_t number = (uintptr_t)value;

	if (option->type > OPTION_NAME && option->set)
		return option->set(option, config, value, error);
	if (option->type == OPTION_FILE && !*value)
		return "the file name is empty";
	if (option->type == OPTION_TEXT && has_control_characters(value))
		return "control characters are not allowed";
	if (option->type < OPTION_FILE &&
	    !(option->type <= OPTION_NAME ? take_name : take_number)(option, value, &number))
		return describe(option, error->why);
	/* Hosts are little-endian: the first bytes are the number in a smaller type. */
	memcpy((char *)config + option->at, &number, option->width);
	return NULL;
}

void option_preset(const struct option_table *table, void *config)
{
	struct option_error error;

	for (unsigned int i = 0; i < table->count; i++)
		if (table->option[i].preset)
			option_set(&table->option[i], config, (char *)table->option[i].preset,
				   &error);
}
