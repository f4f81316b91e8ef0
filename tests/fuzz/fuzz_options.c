/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_options: a command line, its words separated by NUL bytes and newlines, through options_parse.
 * An error is one printable line; what is accepted is within the limits, and its strings are the
 * words given.
 */
#include "dataplane/base.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/options.h"

#define WORDS_MAX 64

struct words {
	int count;
	char *word[WORDS_MAX + 1];
	size_t size[WORDS_MAX + 1];
};

/* Each in an allocation of its own, so that ASan knows where it ends. */
static void add_word(struct words *w, const char *text, size_t len)
{
	if (w->count == WORDS_MAX)
		return;
	w->word[w->count] = malloc(len + 1);
	fuzz_must(w->word[w->count]);
	memcpy(w->word[w->count], text, len);
	w->word[w->count][len] = '\0';
	w->size[w->count++] = len + 1;
}

static void split(struct words *w, const char *text, size_t len)
{
	size_t from = 0;

	*w = (struct words){ .count = 0 };
	add_word(w, "microvm", 7);
	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] && text[i] != '\n')
			continue;
		if (i < len || i > from)
			add_word(w, text + from, i - from);
		from = i + 1;
	}
}

static void is_given(const struct words *w, const char *string)
{
	for (int i = 1; string && i < w->count; i++)
		if (string >= w->word[i] && string < w->word[i] + w->size[i])
			return;
	fuzz_must(!string);
}

static void check_disk(const struct words *w, const struct blk_config *disk)
{
	fuzz_must(disk->path && *disk->path);
	is_given(w, disk->path);
	is_given(w, disk->serial);
	fuzz_must(!disk->serial || (*disk->serial && strlen(disk->serial) <= BLK_SERIAL_LEN));
	fuzz_must(is_power_of_2(disk->blk_size) && disk->blk_size >= 512 && disk->blk_size <= 4096);
	fuzz_must(is_power_of_2(disk->queue_size) && disk->queue_size >= BLK_QUEUE_MIN &&
		  disk->queue_size <= BLK_QUEUE_MAX);
	fuzz_must(disk->direct <= BLK_DIRECT_OFF && disk->engine <= BLK_ENGINE_SYNC);
}

static void check_config(const struct words *w, const struct machine_config *c)
{
	fuzz_must(c->kernel && *c->kernel && (!c->initrd || *c->initrd));
	fuzz_must(!c->append || !c->cmdline);
	is_given(w, c->kernel);
	is_given(w, c->initrd);
	is_given(w, c->append);
	is_given(w, c->cmdline);
	fuzz_must(c->memory >= MEMORY_MIN && c->memory <= MEMORY_MAX && c->memory % 4096 == 0);
	fuzz_must(c->cpus >= 1 && c->cpus <= 1024 && c->disk_count <= DEVLIST_MAX_DISKS);
	for (unsigned int i = 0; i < c->disk_count; i++)
		check_disk(w, &c->disk[i]);
}

static void check_message(const char *message)
{
	size_t len = strnlen(message, OPTIONS_MESSAGE_MAX);

	fuzz_must(len > 0 && len < OPTIONS_MESSAGE_MAX);
	for (size_t i = 0; i < len; i++)
		fuzz_must(message[i] >= ' ' && message[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine_config config;
	struct words w;
	/* Of its exact size, too; and never by chance terminated. */
	char *message = malloc(OPTIONS_MESSAGE_MAX);

	fuzz_must(message);
	memset(message, '\n', OPTIONS_MESSAGE_MAX);
	memset(&config, 0xa5, sizeof(config));
	split(&w, (const char *)data, size);

	switch (options_parse(w.count, w.word, &config, message)) {
	case OPTIONS_RUN:
		check_config(&w, &config);
		break;
	case OPTIONS_ERROR:
		check_message(message);
		break;
	case OPTIONS_HELP:
	case OPTIONS_VERSION:
		break;
	}
	for (int i = 0; i < w.count; i++)
		free(w.word[i]);
	free(message);
	return 0;
}
