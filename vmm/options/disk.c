/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"
#include "devices/virtio/blk.h"
#include "vmm/options/internal.h"

#define BLK_SIZE_MIN 512
#define BLK_SIZE_MAX 4096

/* A message about a disk key shows at most this many bytes of the file name. */
#define SHOWN_NAME 70

/* The state of parsing one --disk value. */
struct disk_parse {
	struct blk_config disk;
	char *why;	    /* buffer of WHY_MAX bytes for a formatted reason */
	unsigned int given; /* bit n: disk_keys[n] was given */
	bool iopoll;
};

struct disk_key {
	const char *name;
	bool bare; /* "=value" may be omitted and is then "on" */
	bool (*set)(struct blk_config *disk, const char *value);
	const char *wants; /* the error message if set() returns false */
};

static bool set_readonly(struct blk_config *disk, const char *value)
{
	return text_switch(value, &disk->readonly);
}

static bool set_serial(struct blk_config *disk, const char *value)
{
	for (const char *c = value; *c; c++) {
		if (!text_printable(*c))
			return false;
	}
	disk->serial = value;
	return strlen(value) <= BLK_SERIAL_LEN;
}

static bool set_direct(struct blk_config *disk, const char *value)
{
	bool on;

	if (!strcmp(value, "auto")) {
		disk->direct = BLK_DIRECT_AUTO;
		return true;
	}
	if (!text_switch(value, &on))
		return false;
	disk->direct = on ? BLK_DIRECT_ON : BLK_DIRECT_OFF;
	return true;
}

static bool set_cache(struct blk_config *disk, const char *value)
{
	disk->writethrough = !strcmp(value, "writethrough");
	return disk->writethrough || !strcmp(value, "writeback");
}

static bool set_discard(struct blk_config *disk, const char *value)
{
	return text_switch(value, &disk->discard);
}

static const struct {
	const char *name;
	enum blkpolicy_action action;
} actions[] = {
	{ "report", BLKPOLICY_REPORT },
	{ "stop", BLKPOLICY_STOP },
	{ "ignore", BLKPOLICY_IGNORE },
	{ "enospc", BLKPOLICY_ENOSPC },
};

static bool set_action(enum blkpolicy_action *action, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, value))
			continue;
		*action = actions[i].action;
		return true;
	}
	return false;
}

static bool set_rerror(struct blk_config *disk, const char *value)
{
	/* A read never fails for lack of space. */
	return set_action(&disk->rerror, value) && disk->rerror != BLKPOLICY_ENOSPC;
}

static bool set_werror(struct blk_config *disk, const char *value)
{
	disk->werror_given = true;
	return set_action(&disk->werror, value);
}

static bool stops(enum blkpolicy_action action)
{
	return action == BLKPOLICY_STOP || action == BLKPOLICY_ENOSPC;
}

const char *options_settle_errors(struct blk_config *disk, bool control)
{
	if (!disk->werror_given && control)
		disk->werror = BLKPOLICY_ENOSPC;
	if (control || (!stops(disk->rerror) && !stops(disk->werror)))
		return NULL;
	return "rerror and werror can stop the VM only with --control, which can resume it";
}

static bool power_of_2_within(const char *value, uint64_t min, uint64_t max, uint64_t *number)
{
	return text_number(value, number) && is_power_of_2(*number) && *number >= min &&
	       *number <= max;
}

static bool set_blk_size(struct blk_config *disk, const char *value)
{
	uint64_t size;

	if (!power_of_2_within(value, BLK_SIZE_MIN, BLK_SIZE_MAX, &size))
		return false;
	disk->blk_size = size;
	return true;
}

static bool set_queue_size(struct blk_config *disk, const char *value)
{
	uint64_t size;

	if (!power_of_2_within(value, BLK_QUEUE_MIN, BLK_QUEUE_MAX, &size))
		return false;
	disk->queue_size = size;
	return true;
}

static bool set_packed(struct blk_config *disk, const char *value)
{
	return text_switch(value, &disk->packed);
}

static bool set_in_order(struct blk_config *disk, const char *value)
{
	return text_switch(value, &disk->in_order);
}

static bool set_engine(struct blk_config *disk, const char *value)
{
	if (!strcmp(value, "io_uring"))
		disk->engine = BLK_ENGINE_URING;
	else if (!strcmp(value, "libaio"))
		disk->engine = BLK_ENGINE_LIBAIO;
	else if (!strcmp(value, "sync"))
		disk->engine = BLK_ENGINE_SYNC;
	else
		return false;
	return true;
}

static bool set_iopoll(struct blk_config *disk, const char *value)
{
	return text_switch(value, &container_of(disk, struct disk_parse, disk)->iopoll);
}

static bool set_fixed_buffers(struct blk_config *disk, const char *value)
{
	return text_switch(value, &disk->fixed_buffers);
}

static bool set_poll_us(struct blk_config *disk, const char *value)
{
	uint64_t us;

	if (!text_number(value, &us) || us > BLK_POLL_US_MAX)
		return false;
	disk->poll_us = us;
	return true;
}

static bool set_iops(struct blk_config *disk, const char *value)
{
	return options_limit(&disk->limits, "iops", value);
}

static bool set_iops_burst(struct blk_config *disk, const char *value)
{
	return options_limit(&disk->limits, "iops-burst", value);
}

static bool set_bps(struct blk_config *disk, const char *value)
{
	return options_limit(&disk->limits, "bps", value);
}

static bool set_bps_burst(struct blk_config *disk, const char *value)
{
	return options_limit(&disk->limits, "bps-burst", value);
}

static const struct disk_key disk_keys[] = {
	{ "readonly", true, set_readonly, "must be on or off" },
	{ "serial", false, set_serial, "must be 1 to 20 printable ASCII characters" },
	{ "direct", false, set_direct, "must be on, off or auto" },
	{ "cache", false, set_cache, "must be writeback or writethrough" },
	{ "discard", false, set_discard, "must be on or off" },
	{ "rerror", false, set_rerror, "must be report, stop or ignore" },
	{ "werror", false, set_werror, "must be report, enospc, stop or ignore" },
	{ "blk-size", false, set_blk_size, "must be 512, 1024, 2048 or 4096" },
	{ "queue-size", false, set_queue_size, "must be a power of two from 4 to 1024" },
	{ "packed", false, set_packed, "must be on or off" },
	{ "in-order", false, set_in_order, "must be on or off" },
	{ "engine", false, set_engine, "must be io_uring, libaio or sync" },
	{ "iopoll", true, set_iopoll, "must be on or off" },
	{ "queues", false, options_set_queues, "must be a number from 1 to 16" },
	{ "iothreads", false, options_set_iothreads,
	  "must be a number from 1 to 16, or a thread for each queue (0:1:...)" },
	{ "cpus", false, options_set_cpus,
	  "must be numbers from 0 to 1023, one for each iothread (2:3:...)" },
	{ "fixed-buffers", true, set_fixed_buffers, "must be on or off" },
	{ "poll-us", false, set_poll_us, "must be a number from 0 to 1000" },
	{ "iops", false, set_iops, "must be a number from 1 to 1000000000" },
	{ "iops-burst", false, set_iops_burst, "must be a number from 1 to 1000000000" },
	{ "bps", false, set_bps, "must be a size from 1K to 1T" },
	{ "bps-burst", false, set_bps_burst, "must be a size from 1K to 1T" },
};

/*
 * Returns the field at *rest, terminated in place, and advances *rest to the next field, or to
 * NULL after the last one. A comma ends a field; two commas stand for one comma in the field.
 */
static char *next_field(char **rest)
{
	char *field = *rest;
	char *to = field;

	*rest = NULL;
	for (char *from = field; *from; from++) {
		if (*from == ',' && *++from != ',') {
			*rest = from;
			break;
		}
		*to++ = *from;
	}
	*to = '\0';
	return field;
}

static const char *unknown_key(struct disk_parse *p, const char *field, size_t len)
{
	struct text_guess guess = { 0 };
	char hint[HINT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(disk_keys); i++)
		text_guess(&guess, field, len, disk_keys[i].name);
	snprintf(p->why, WHY_MAX, "unknown key (%s)", text_hint(&guess, hint));
	return p->why;
}

/* Sets the key that `field` names. Returns NULL, or the reason why it is invalid. */
static const char *set_key(struct disk_parse *p, const char *field)
{
	size_t len = strcspn(field, "=");
	const char *value = field[len] ? field + len + 1 : NULL;

	for (size_t i = 0; i < ARRAY_SIZE(disk_keys); i++) {
		const struct disk_key *key = &disk_keys[i];

		if (strlen(key->name) != len || strncmp(key->name, field, len))
			continue;
		if (p->given & 1u << i)
			return "given twice";
		p->given |= 1u << i;
		if (!value && !key->bare)
			return "needs a value";
		if (value && !*value)
			return "the value is empty";
		return key->set(&p->disk, value ? value : "on") ? NULL : key->wants;
	}
	return len ? unknown_key(p, field, len) : "a key is missing";
}

/* Checks iopoll against the keys engine and direct, and selects its engine. */
static const char *settle_engine(struct disk_parse *p)
{
	if (!p->iopoll)
		return NULL;
	if (p->disk.engine != BLK_ENGINE_URING)
		return "iopoll needs engine=io_uring";
	if (p->disk.direct == BLK_DIRECT_OFF)
		return "iopoll needs O_DIRECT, and direct is off";
	p->disk.engine = BLK_ENGINE_IOPOLL;
	return NULL;
}

static const char *parse_disk(struct disk_parse *p, char *text, char shown[SHOWN_MAX])
{
	const char *why;

	p->disk.path = next_field(&text);
	if (!*p->disk.path)
		return "the file name is empty";
	while (text) {
		const char *field = next_field(&text);
		size_t len;

		why = set_key(p, field);
		if (!why)
			continue;
		len = text_show(shown, SHOWN_NAME, p->disk.path);
		shown[len++] = ',';
		text_show(shown + len, SHOWN_MAX - len, field);
		return why;
	}
	why = settle_engine(p);
	if (!why && !blklimit_fill_defaults(&p->disk.limits))
		why = "iops-burst needs iops, and bps-burst bps";
	if (why)
		text_show(shown, SHOWN_NAME, p->disk.path);
	return why;
}

const char *options_disk(struct blk_config *disk, char *text, char shown[SHOWN_MAX],
			 char why[WHY_MAX])
{
	struct disk_parse parse = {
		.why = why,
		.disk = {
			.direct = BLK_DIRECT_AUTO,
			.engine = BLK_ENGINE_URING,
			.discard = true,
			.poll_us = BLK_POLL_US_DEFAULT,
			.blk_size = BLK_SIZE_MIN,
			.queue_size = BLK_QUEUE_DEFAULT,
		},
	};
	const char *wrong = parse_disk(&parse, text, shown);

	*disk = parse.disk;
	return wrong;
}
