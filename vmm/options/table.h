/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table: options and keys as rows of a table, from which values are parsed and --help is written.
 *
 * A row has the offset of its value in the program's configuration, and the range of valid values.
 * The parser takes the table as a parameter and is independent of the program. Main thread; nothing
 * is allocated or logged.
 */
#ifndef VMM_OPTIONS_TABLE_H
#define VMM_OPTIONS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/text.h"

/* The kind of a value, and the type of the field that stores it. */
enum option_type {
	OPTION_SWITCH,	/* on or off: bool */
	OPTION_NAME,	/* one of the names in `value`: an enum */
	OPTION_NUMBER,	/* from min to max: any unsigned integer */
	OPTION_SECONDS, /* a number that messages call "a number of seconds" */
	OPTION_POWER,	/* a power of two from min to max */
	OPTION_SIZE,	/* bytes from min to max, see text_size: uint64_t */
	OPTION_FILE,	/* not empty: const char * into argv */
	OPTION_TEXT,	/* without control characters, may be empty: const char * into argv */
	OPTION_OTHER,	/* parsed and stored by set() */
};

/* Description of an invalid value. */
struct option_error {
	char shown[SHOWN_MAX]; /* the invalid part of the command line */
	char why[WHY_MAX];     /* buffer for the reason */
};

struct option {
	const char *name;
	uint8_t type;	   /* enum option_type */
	bool bare;	   /* a key whose "=value" may be omitted, and is then "on" */
	bool repeatable;   /* may be given more than once */
	uint8_t width;	   /* size of the field in bytes */
	uint16_t at;	   /* offset of the field */
	const char *value; /* the value's name in --help, or its valid names: "on|log|off" */
	const char
		*preset; /* the default as the user would type it; NULL: the field stays as it is */
	const char *help; /* the description in --help; "#" stands for the range, "1 to 16" */
	uint64_t min, max;
	union {
		/* OPTION_NAME: the value of each name; NULL: 0, 1, 2... */
		const uint8_t *values;
		/* Other types: parses and stores the value in place of the type's parser, or NULL.
		 * `value` may be modified unless there is a preset. Returns NULL, or the reason why
		 * it is invalid: a static string, or error->why. */
		const char *(*set)(const struct option *option, void *config, char *value,
				   struct option_error *error);
	};
};

/* Initializers of `width` and `at` in a row, for this member of a configuration of this type. */
#define OPTION_AT(type, field) .width = sizeof(((type *)0)->field), .at = offsetof(type, field)

/* For a row whose set() stores the value without `at` and `width`. */
#define OPTION_SET_ONLY .at = 0

struct option_table {
	const struct option *option;
	unsigned int count; /* at most 64 */
};

/* Returns the option whose name is the first `len` characters of `name`; NULL: there is none. */
const struct option *option_find(const struct option_table *table, const char *name, size_t len);

/* Returns the suggestion for a misspelled name, like text_hint. The first `skip` characters of the
 * options' names, which the `len` characters at `word` lack, are not compared. */
const char *option_hint(const struct option_table *table, unsigned int skip, const char *word,
			size_t len, char hint[HINT_MAX]);

/* Stores the default values (`preset`) of all options in *config. */
void option_preset(const struct option_table *table, void *config);

/* Parses `value` and stores it in *config. Returns NULL, or the reason why it is invalid: a static
 * string, or error->why. */
const char *option_set(const struct option *option, void *config, char *value,
		       struct option_error *error);

/* Size of the buffer for a range, in bytes. */
#define RANGE_MAX 44

/* Writes "MIN to MAX" to `range`; limits of an OPTION_SIZE have units. Returns `range`. */
const char *option_range(const struct option *option, char range[RANGE_MAX]);

/* The next step of the program after its command line has been parsed. */
enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_ERROR };

#define OPTIONS_MESSAGE_MAX 256

/*
 * Stores the default values in *config, then the values of argv. Values that are texts point into
 * argv. With OPTIONS_ERROR, `message` is one line without newline that names the option, the value
 * and the reason; an unprintable byte is shown as '?'.
 */
enum options_result options_scan(const struct option_table *table, int argc, char **argv,
				 void *config, char message[OPTIONS_MESSAGE_MAX]);

/* Buffer for the text of --help, always NUL-terminated; text that does not fit is dropped. */
struct help {
	char *to;
	size_t left;
	unsigned int column; /* of the next character, from 0 */
};

/* Appends a text. */
void help_text(struct help *help, const char *text);

/* Writes an entry for each option, with the value's name after `between` and the description from
 * column `indent` on, in 79 columns. */
void help_options(struct help *help, const struct option_table *table, char between,
		  unsigned int indent);

#endif
