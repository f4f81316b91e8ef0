/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"
#include "devices/virtio/blk.h"
#include "vmm/options/disk.h"
#include "vmm/options/limits.h"

#define BLK_SIZE_MIN 512
#define BLK_SIZE_MAX 4096
#define DISK_CPU_MAX 1023 /* the largest CPU number in a cpu_set_t */

/* A message about a disk key shows at most this many bytes of the file name. */
#define SHOWN_NAME 70

/* werror until options_settle_errors sets its default, which depends on --control. */
#define WERROR_UNSET ((enum blkpolicy_action)0xff)

static const char *set_serial(const struct option *option, void *to, char *value,
			      struct option_error *error)
{
	static const char wants[] = "must be 1 to 20 printable ASCII characters";
	struct blk_config *disk = to;

	(void)option;
	(void)error;
	_Static_assert(BLK_SERIAL_LEN == 20, "the message says 20");
	for (const char *c = value; *c; c++) {
		if (!text_printable(*c))
			return wants;
	}
	disk->serial = value;
	return strlen(value) <= BLK_SERIAL_LEN ? NULL : wants;
}

static bool stops(enum blkpolicy_action action)
{
	return action == BLKPOLICY_STOP || action == BLKPOLICY_ENOSPC;
}

const char *options_settle_errors(struct blk_config *disk, bool control)
{
	if (disk->werror == WERROR_UNSET)
		disk->werror = control ? BLKPOLICY_ENOSPC : BLKPOLICY_REPORT;
	if (control || (!stops(disk->rerror) && !stops(disk->werror)))
		return NULL;
	return "rerror and werror can stop the VM only with --control, which can resume it";
}

const char options_unused_dir[] = "--ephemeral-dir: no disk is ephemeral";

const char *options_settle_ephemeral(struct blk_config *disk, const char *dir, bool *used)
{
	if (!disk->ephemeral)
		return NULL;
	disk->ephemeral_dir = dir;
	*used = true;
	return disk->readonly ? "readonly, ephemeral: only one of the two is possible" : NULL;
}

static const uint8_t directs[] = { BLK_DIRECT_ON, BLK_DIRECT_OFF, BLK_DIRECT_AUTO };
static const uint8_t read_actions[] = { BLKPOLICY_REPORT, BLKPOLICY_STOP, BLKPOLICY_IGNORE };
static const uint8_t write_actions[] = { BLKPOLICY_REPORT, BLKPOLICY_ENOSPC, BLKPOLICY_STOP,
					 BLKPOLICY_IGNORE };
static const uint8_t engines[] = { BLK_ENGINE_URING, BLK_ENGINE_LIBAIO, BLK_ENGINE_SYNC };

#define AT(field)	 OPTION_AT(struct blk_config, field)
#define QUOTE(macro)	 QUOTE_TEXT(macro)
#define QUOTE_TEXT(text) #text

/* clang-format off */
static const struct option keys[] = {
	{ "readonly", OPTION_SWITCH, AT(readonly), "on|off", "off", "the guest cannot write",
	  .bare = true },
	{ "ephemeral", OPTION_SWITCH, AT(ephemeral), "on|off", "off",
	  "the image is only read: the guest's writes are dropped at the end, and flushes do nothing",
	  .bare = true },
	{ "serial", OPTION_OTHER, OPTION_SET_ONLY, "TEXT", NULL,
	  "serial number, up to 20 characters (default: diskN)", .set = set_serial },
	{ "direct", OPTION_NAME, AT(direct), "on|off|auto", "auto", "O_DIRECT; auto: if possible",
	  .values = directs },
	{ "cache", OPTION_NAME, AT(writethrough), "writeback|writethrough", "writeback",
	  "initial cache mode, which the guest may change" },
	{ "discard", OPTION_SWITCH, AT(discard), "on|off", "on", "the guest may discard blocks" },
	{ "rerror", OPTION_NAME, AT(rerror), "report|stop|ignore", "report",
	  "on a read error: report it to the guest, pause the VM until microvm-ctl resume, or read zeros",
	  .values = read_actions },
	{ "werror", OPTION_NAME, AT(werror), "report|enospc|stop|ignore", NULL,
	  "on a write error; enospc: stop if the host has no space, else report "
	  "(default: enospc with --control, report without)", .values = write_actions },
	{ "blk-size", OPTION_POWER, AT(blk_size), "512|1024|2048|4096", "512",
	  "logical block size in bytes", BLK_SIZE_MIN, BLK_SIZE_MAX },
	{ "queue-size", OPTION_POWER, AT(queue_size), "N", QUOTE(BLK_QUEUE_DEFAULT),
	  "a power of two from #", BLK_QUEUE_MIN, BLK_QUEUE_MAX },
	{ "packed", OPTION_SWITCH, AT(packed), "on|off", "off", "offer packed rings" },
	{ "in-order", OPTION_SWITCH, AT(in_order), "on|off", "off", "offer in-order completion" },
	{ "engine", OPTION_NAME, AT(engine), "io_uring|libaio|sync", "io_uring", "I/O engine",
	  .values = engines },
	{ "queues", OPTION_NUMBER, AT(queues), "N", NULL,
	  "virtqueues, # (default: one per CPU, up to 4)", 1, VIRTIO_MAX_QUEUES },
	{ "iothreads", OPTION_OTHER, OPTION_SET_ONLY, "N|T:T:...", NULL,
	  "dataplane threads: their number, #, or the thread of each queue "
	  "(default: one per queue, at most half of the host CPUs, rounded up)",
	  1, VIRTIO_MAX_QUEUES, .set = options_set_iothreads },
	{ "cpus", OPTION_OTHER, OPTION_SET_ONLY, "C:C:...", NULL,
	  "host CPU of each dataplane thread, # (default: any)", 0, DISK_CPU_MAX,
	  .set = options_set_cpus },
	{ "poll-us", OPTION_NUMBER, AT(poll_us), "N", QUOTE(BLK_POLL_US_DEFAULT),
	  "longest time to busy-poll before sleeping, in microseconds, #", 0, BLK_POLL_US_MAX },
	OPTION_LIMITS(struct blk_config, limits.),
};
/* clang-format on */

const struct option_table options_disk_keys = { keys, ARRAY_SIZE(keys) };

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

/* Sets the key that `field` names. Returns NULL, or the reason why it is invalid. */
static const char *set_key(struct blk_config *disk, uint64_t *given, char *field,
			   struct option_error *error)
{
	static char on[] = "on";
	size_t len = strcspn(field, "=");
	const struct option *key = option_find(&options_disk_keys, field, len);
	uint64_t bit;
	char hint[HINT_MAX];

	if (!len)
		return "a key is missing";
	if (!key) {
		snprintf(error->why, sizeof(error->why), "unknown key (%s)",
			 option_hint(&options_disk_keys, 0, field, len, hint));
		return error->why;
	}
	bit = UINT64_C(1) << (key - keys);
	if (*given & bit)
		return "given twice";
	*given |= bit;
	if (!field[len])
		return key->bare ? option_set(key, disk, on, error) : "needs a value";
	return field[len + 1] ? option_set(key, disk, field + len + 1, error)
			      : "the value is empty";
}

static const char *parse_disk(struct blk_config *disk, char *text, struct option_error *error)
{
	uint64_t given = 0;

	disk->path = next_field(&text);
	if (!*disk->path)
		return "the file name is empty";
	while (text) {
		char *field = next_field(&text);
		char *shown = error->shown;
		const char *why = set_key(disk, &given, field, error);
		size_t len;

		if (!why)
			continue;
		len = text_show(shown, SHOWN_NAME, disk->path);
		shown[len++] = ',';
		text_show(shown + len, SHOWN_MAX - len, field);
		return why;
	}
	if (blklimit_fill_defaults(&disk->limits))
		return NULL;
	text_show(error->shown, SHOWN_NAME, disk->path);
	return "iops-burst needs iops, and bps-burst bps";
}

const char *options_disk(struct blk_config *disk, char *text, struct option_error *error)
{
	*disk = (struct blk_config){ .werror = WERROR_UNSET };
	option_preset(&options_disk_keys, disk);
	return parse_disk(disk, text, error);
}
