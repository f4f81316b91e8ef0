/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of options_parse. The command line is made here from options and values that are
 * valid, at a limit or just beyond it; or, where the input begins as text does, it is that text,
 * with words separated by NUL bytes and newlines.
 *
 * An error is one printable line. An accepted line is within the limits, and its strings are the
 * given words.
 */
#include "dataplane/base.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/options/options.h"

#define WORDS_MAX 64

struct words {
	int count;
	char *word[WORDS_MAX + 1];
	size_t size[WORDS_MAX + 1];
};

/* Adds a word in an allocation of its own, so that ASan detects reads beyond its end. */
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

/* Words that are valid somewhere; limits, and values just beyond them, come first. */
static const char *const numbers[] = {
	"1",
	"0",
	"16M",
	"1024G",
	"1025G",
	"15M",
	"16777217",
	"1048576M",
	"1048577M",
	"1024",
	"1025",
	"512",
	"4096",
	"8192",
	"2",
	"4",
	"8192K",
	"-1",
	"18446744073709551616",
	"16G",
	"1000",
};
static const char *const strings[] = {
	"a",
	"on",
	"off",
	"auto",
	"",
	"12345678901234567890",
	"123456789012345678901",
	"sync",
	"libaio",
	"a,,b",
	"stdio",
	"none",
	"1M",
};

static void one_word(struct input *in, char *word, size_t size)
{
	static const char *const options[] = { "--kernel=", "--memory=", "--cpus=",    "--disk=",
					       "--initrd=", "--append=", "--cmdline=", "--console=",
					       "--help",    "--version", "--kernel",   "--disk" };
	static const char *const keys[] = { "readonly",	 "serial=",	"direct=",   "engine=",
					    "blk-size=", "queue-size=", "readonly=", "rea",
					    "packed=",	 "in-order=",	"rerror=",   "werror=",
					    "iops=",	 "iops-burst=", "bps=",	     "bps-burst=" };
	unsigned int option = in_below(in, ARRAY_SIZE(options));
	bool number = option == 1 || option == 2;
	size_t len = (size_t)snprintf(word, size, "%s%s", options[option],
				      number ? numbers[in_below(in, ARRAY_SIZE(numbers))]
					     : strings[in_below(in, ARRAY_SIZE(strings))]);

	for (unsigned int n = option == 3 ? in_below(in, 5) : 0; n && len < size / 2; n--) {
		unsigned int key = in_below(in, ARRAY_SIZE(keys));

		len += (size_t)snprintf(word + len, size - len, ",%s%s", keys[key],
					!key	   ? ""
					: key >= 4 ? numbers[in_below(in, ARRAY_SIZE(numbers))]
						   : strings[in_below(in, ARRAY_SIZE(strings))]);
	}
	if (in_rarely(in)) /* any byte, anywhere */
		word[in_below(in, (unsigned int)len)] = (char)in_u8(in);
}

static void make_line(struct words *w, struct input *in)
{
	char word[256];

	*w = (struct words){ .count = 0 };
	add_word(w, "microvm", 7);
	if (in_u8(in) < 0xe0)
		add_word(w, "--kernel=a", 10);
	while (in->left && w->count < WORDS_MAX) {
		one_word(in, word, sizeof(word));
		add_word(w, word, strlen(word));
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
	fuzz_must(disk->queues >= 1 && disk->queues <= VIRTIO_MAX_QUEUES);
	fuzz_must(disk->iothreads <= disk->queues);
	fuzz_must(!disk->cpu_count || disk->cpu_count == disk->iothreads);
	fuzz_must(!disk->map_count || disk->map_count == disk->queues);
	for (unsigned int i = 0; i < disk->map_count; i++)
		fuzz_must(disk->thread_of[i] < disk->iothreads);
	fuzz_must(disk->direct <= BLK_DIRECT_OFF && disk->engine < BLK_ENGINES);
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
	/* The buffer has the exact size, and no terminator by accident. */
	char *message = malloc(OPTIONS_MESSAGE_MAX);

	fuzz_must(message);
	memset(message, '\n', OPTIONS_MESSAGE_MAX);
	memset(&config, 0xa5, sizeof(config));
	if (size && *data >= 0x80) {
		struct input in = { data + 1, size - 1 };

		make_line(&w, &in);
	} else {
		split(&w, (const char *)data, size);
	}

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
