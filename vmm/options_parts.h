/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options_parts: what options.c is put together from; for the files options*.c, and for whoever else shows
 * or reads what a user typed.
 */
#ifndef VMM_OPTIONS_PARTS_H
#define VMM_OPTIONS_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blk_config;
struct blklimit_rates;

/* Room for a user's value in a message. */
#define SHOWN_MAX 120

/* Printable ASCII. */
bool text_printable(char c);

/* Copies text for use in a message: unprintable bytes as '?', the end of what is too long as "...".
 * Returns the length. */
size_t text_show(char *to, size_t size, const char *text);

/*
 * Each parses the whole of `text` and returns false if it does not fit: a decimal number; "on" or "off";
 * a size with a suffix K, M, G or T, or in MiB without one, which becomes a number of bytes.
 */
bool text_number(const char *text, uint64_t *number);
bool text_switch(const char *text, bool *on);
bool text_size(const char *text, uint64_t *bytes);

/* The best name so far for a word that is none; zeroed at first. */
struct text_guess {
	const char *name; /* NULL: none is like it */
	unsigned int cost;
};

/* Is `name` more like the first `len` characters of `word` than those before it? */
void text_guess(struct text_guess *guess, const char *word, size_t len, const char *name);

/* "did you mean NAME?" in `hint`, or a static string that says where the names are. */
#define HINT_MAX 40
const char *text_hint(const struct text_guess *guess, char hint[HINT_MAX]);

/* Room for what is wrong with a value. */
#define WHY_MAX 60

/*
 * FILE[,key=value...], cut up in place, into *disk. Returns NULL, or why not (a static string, or
 * `why`), and then in `shown` the part that will not do.
 */
const char *options_disk(struct blk_config *disk, char *text, char shown[SHOWN_MAX],
			 char why[WHY_MAX]);

/* The values of queues, iothreads and cpus into *disk. False: not one. */
bool options_set_queues(struct blk_config *disk, const char *value);
bool options_set_iothreads(struct blk_config *disk, const char *value);
bool options_set_cpus(struct blk_config *disk, const char *value);

/* One of a disk's limits, iops, iops-burst, bps or bps-burst, into *limits. False: not one. */
bool options_limit(struct blklimit_rates *limits, const char *key, const char *value);

/* What stops the VM needs somebody who has it go on: is there a control socket? Returns NULL, or what
 * does not fit. */
const char *options_settle_errors(struct blk_config *disk, bool control);

/* When all is known: what was not given is filled in. Returns NULL, or `why`: what does not fit. */
const char *options_settle_queues(struct blk_config *disk, unsigned int vcpus, char why[WHY_MAX]);

#endif
