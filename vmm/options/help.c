/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of --help, generated from a table of options. */
#include <stdio.h>
#include <string.h>

#include "vmm/options/table.h"

#define COLUMNS 79

/* Longest description, in bytes. */
#define DESCRIPTION_MAX 240

static void put(struct help *help, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		/* The column advances even when the buffer is full, or put_indent would not end. */
		help->column = text[i] == '\n' ? 0 : help->column + 1;
		if (help->left > 1) {
			*help->to++ = text[i];
			help->left--;
		}
	}
	*help->to = '\0';
}

void help_text(struct help *help, const char *text)
{
	put(help, text, strlen(text));
}

static void put_indent(struct help *help, unsigned int indent)
{
	if (help->column >= indent)
		help_text(help, "\n");
	while (help->column < indent)
		help_text(help, " ");
}

static void put_word(struct help *help, const char *word, size_t len, unsigned int indent)
{
	if (help->column > indent && help->column + 1 + len > COLUMNS)
		put_indent(help, indent);
	if (help->column > indent)
		help_text(help, " ");
	put(help, word, len);
}

static void put_option(struct help *help, const struct option *option, char between,
		       unsigned int indent)
{
	char text[DESCRIPTION_MAX], range[RANGE_MAX];
	size_t before = strcspn(option->help, "#");
	int len;

	len = snprintf(text, sizeof(text), option->bare ? "  %s[%c%s]" : "  %s%c%s", option->name,
		       between, option->value);
	put(help, text, len);
	put_indent(help, indent);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)before, option->help,
		 option->help[before] ? option_range(option, range) : "",
		 option->help + before + !!option->help[before]);
	for (const char *word = text; *word; word += word[len] ? len + 1 : len) {
		len = strcspn(word, " ");
		put_word(help, word, len, indent);
	}
	/* The default is one word to put_word, so that no line breaks inside it. */
	len = snprintf(text, sizeof(text), "(default: %s)", option->preset);
	if (option->preset)
		put_word(help, text, len, indent);
	help_text(help, "\n");
}

void help_options(struct help *help, const struct option_table *table, char between,
		  unsigned int indent)
{
	for (unsigned int i = 0; i < table->count; i++)
		put_option(help, &table->option[i], between, indent);
}
