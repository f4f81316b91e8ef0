/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/blk/options.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/options/disk.h"

static const char *set_disk(const struct option *option, void *to, char *value,
			    struct option_error *error)
{
	struct export_config *config = to;

	(void)option;
	if (config->disk_count++)
		return "there is one disk per process";
	return options_disk(&config->disk, value, error);
}

/* Sets the disk of --blk-file, whose value is a file name without keys: a comma in it is a part of
 * the name. */
static const char *set_blk_file(const struct option *option, void *to, char *value,
				struct option_error *error)
{
	static char no_keys[] = "-";
	struct export_config *config = to;
	const char *why;

	(void)option;
	if (!*value)
		return "the file name is empty";
	if (config->disk_count++)
		return "there is one disk per process";
	why = options_disk(&config->disk, no_keys, error);
	config->disk.path = value;
	return why;
}

static const char *set_user(const struct option *option, void *to, char *value,
			    struct option_error *error)
{
	struct export_config *config = to;

	(void)option;
	(void)error;
	config->user = value;
	return *value ? NULL : "the name is empty";
}

#define AT(field) OPTION_AT(struct export_config, field)

/* clang-format off */
static const struct option options[] = {
	{ "--socket-path", OPTION_FILE, AT(socket_path), "PATH", NULL,
	  "create a socket for the front end" },
	{ "--fd", OPTION_NUMBER, AT(fd), "N", NULL,
	  "serve the front end at the other end of this inherited socket", 3, 1 << 20 },
	{ "--disk", OPTION_OTHER, OPTION_SET_ONLY, "FILE[,KEY=VALUE]...", NULL,
	  "the disk: raw image or block device; \",,\" in a name or value is one comma",
	  .set = set_disk },
	{ "--blk-file", OPTION_OTHER, OPTION_SET_ONLY, "FILE", NULL,
	  "the disk, without keys", .set = set_blk_file },
	{ "--control", OPTION_FILE, AT(control), "PATH", NULL,
	  "create a control socket for microvm-ctl(1)" },
	{ "--stats", OPTION_SWITCH, AT(stats), "on|off", "off",
	  "print statistics of the disk at the end, and measure latencies" },
	{ "--ephemeral-dir", OPTION_FILE, AT(ephemeral_dir), "DIR", NULL,
	  "directory for the writes to an ephemeral disk (default: that of the image)" },
	{ "--log", OPTION_FILE, AT(log), "FILE", NULL,
	  "append messages to FILE (default: stderr)" },
	{ "--log-level", OPTION_NAME, AT(log_level), "error|warn|info|debug", "info",
	  "highest level that is logged" },
	{ "--pidfile", OPTION_FILE, AT(pidfile), "FILE", NULL,
	  "write the process ID to FILE, and lock it" },
	{ "--sandbox", OPTION_NAME, AT(sandbox), "on|log|off", "on",
	  "drop privileges that serving the disk does not need; log: allow and log forbidden system calls" },
	{ "--user", OPTION_OTHER, OPTION_SET_ONLY, "NAME|UID[:GROUP|:GID]", NULL,
	  "if started by root: run as this user", .set = set_user },
	{ "--core-dump", OPTION_SWITCH, AT(core_dump), "on|off", "off",
	  "allow core dumps, without guest memory" },
};
/* clang-format on */

static const struct option_table table = { options, ARRAY_SIZE(options) };

/* Options without a value. The conventions of vhost-user back ends prescribe them, and the table's
 * parser does not support them. */
struct flags {
	bool read_only, once, capabilities;
};

/* Moves the flags out of argv. Returns the number of arguments that are left. */
static int take_flags(int argc, char **argv, struct flags *flags)
{
	int left = 0;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--read-only"))
			flags->read_only = true;
		else if (!strcmp(argv[i], "--once"))
			flags->once = true;
		else if (!strcmp(argv[i], "--print-capabilities"))
			flags->capabilities = true;
		else
			argv[left++] = argv[i];
	}
	return left;
}

static const char *settle(struct export_config *config, unsigned int cpus, char why[WHY_MAX])
{
	const char *problem;
	bool ephemeral = false;

	if (!config->disk_count)
		return "--disk FILE is missing (see --help)";
	if (config->socket_path && config->fd != EXPORT_NO_FD)
		return "--socket-path, --fd: only one of the two is possible";
	config->disk.stats = config->stats;
	problem = options_settle_queues(&config->disk, cpus, why);
	if (!problem)
		problem = options_settle_errors(&config->disk, config->control);
	if (!problem)
		problem =
			options_settle_ephemeral(&config->disk, config->ephemeral_dir, &ephemeral);
	if (!problem && config->ephemeral_dir && !ephemeral)
		problem = options_unused_dir;
	return problem;
}

enum options_result export_options_parse(int argc, char **argv, struct export_config *config,
					 unsigned int cpus, char message[OPTIONS_MESSAGE_MAX])
{
	struct flags flags = { false, false, false };
	enum options_result result;
	char why[WHY_MAX];
	const char *problem;

	*config = (struct export_config){ .fd = EXPORT_NO_FD };
	argc = take_flags(argc, argv, &flags);
	result = options_scan(&table, argc, argv, config, message);
	config->capabilities = flags.capabilities;
	config->once = flags.once;
	config->disk.readonly |= flags.read_only;
	if (result != OPTIONS_RUN || flags.capabilities)
		return result;
	problem = settle(config, cpus, why);
	if (problem)
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s", problem);
	return problem ? OPTIONS_ERROR : OPTIONS_RUN;
}

const char *export_options_help(void)
{
	static char text[8 << 10];
	struct help help = { text, sizeof(text), 0 };

	help_text(&help,
		  "Usage: microvm-blk --socket-path PATH --disk FILE[,KEY=VALUE]... [OPTION]...\n"
		  "Serve a disk to a virtual machine monitor by vhost-user.\n\n");
	help_options(&help, &table, ' ', 19);
	help_text(&help,
		  "  --read-only      the front end cannot write\n"
		  "  --once           end when the first front end has disconnected\n"
		  "  --print-capabilities\n"
		  "                   print what this back end can do, as JSON\n"
		  "  --help, -h       show this text\n"
		  "  --version        show the version\n"
		  "\n"
		  "Without --socket-path and --fd, the socket is that of LISTEN_FDS (systemd).\n"
		  "\n"
		  "Disk keys:\n");
	help_options(&help, &options_disk_keys, '=', 27);
	help_text(&help, "\n"
			 "Exit codes:\n"
			 "  0  ended by a signal or microvm-ctl, or with --once by the front end\n"
			 "  1  the disk could not be flushed at the end\n"
			 "  2  usage error\n"
			 "  3  set-up error: a file or the host is unsuitable\n");
	return text;
}
