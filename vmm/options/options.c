/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/options/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/options/disk.h"
#include "vmm/options/table.h"
#include "vmm/report.h"

#define MEMORY_UNIT	 4096
#define STOP_TIMEOUT_MAX 86400
#define EXIT_PORT_MAX	 65532 /* the last of which all bytes are ports */

static const char *set_memory(const struct option *option, void *to, char *value,
			      struct option_error *error)
{
	struct machine_config *config = to;
	char range[RANGE_MAX];
	uint64_t bytes;

	if (!text_size(value, &bytes))
		return "not a size (a number with K, M, G or T)";
	if (bytes < option->min || bytes > option->max) {
		snprintf(error->why, sizeof(error->why), "must be from %s",
			 option_range(option, range));
		return error->why;
	}
	if (bytes % MEMORY_UNIT)
		return "must be a multiple of 4K";
	config->memory = bytes;
	config->memory_text = value;
	return NULL;
}

static const char *set_console(const struct option *option, void *to, char *value,
			       struct option_error *error)
{
	static const struct {
		const char *prefix;
		enum console_kind kind;
	} paths[] = { { "file:", CONSOLE_FILE }, { "socket:", CONSOLE_SOCKET } };
	struct machine_config *config = to;

	(void)option;
	(void)error;
	config->console_text = value;
	config->console_kind = CONSOLE_STANDARD;
	if (text_switch(value, &config->console))
		return NULL;
	config->console = true;
	if (!strcmp(value, "pty")) {
		config->console_kind = CONSOLE_PTY;
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		size_t len = strlen(paths[i].prefix);

		if (strncmp(value, paths[i].prefix, len) != 0)
			continue;
		config->console_kind = paths[i].kind;
		config->console_path = value + len;
		return value[len] ? NULL : "the file name is empty";
	}
	return "must be on, off, pty, file:PATH or socket:PATH";
}

static const char *set_user(const struct option *option, void *to, char *value,
			    struct option_error *error)
{
	struct machine_config *config = to;

	(void)option;
	(void)error;
	config->user = value;
	return *value ? NULL : "the name is empty";
}

static const char *set_disk(const struct option *option, void *to, char *value,
			    struct option_error *error)
{
	struct machine_config *config = to;

	(void)option;
	_Static_assert(DEVLIST_MAX_DISKS == 16, "message and help say 16");
	if (config->disk_count == DEVLIST_MAX_DISKS)
		return "more than 16 disks";
	return options_disk(&config->disk[config->disk_count++], value, error);
}

/* Parses a number that is decimal, or hexadecimal with 0x before it. False: invalid. */
static bool take_port(const char *text, uint64_t *port)
{
	char *end;

	if (strncmp(text, "0x", 2))
		return text_number(text, port);
	*port = strtoull(text, &end, 16);
	return isxdigit((unsigned char)text[2]) && !*end;
}

static const char *set_exit_port(const struct option *option, void *to, char *value,
				 struct option_error *error)
{
	struct exit_port *exit_port = &((struct machine_config *)to)->exit_port;
	char *comma = strchr(value, ',');
	uint64_t port;

	(void)error;
	_Static_assert(EXIT_PORT_MAX == 65532, "the message says so");
	if (comma)
		*comma++ = '\0';
	if (!take_port(value, &port) || port < option->min || port > option->max ||
	    (comma && strcmp(comma, "qemu")))
		return "must be a port from 1 to 65532, and may end in \",qemu\"";
	*exit_port = (struct exit_port){ true, comma, (uint16_t)port, value };
	return NULL;
}

/* Returns true if the option is among the arguments. No argument that looks like an option is the
 * value of another one. */
static bool names(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], name, strlen(name)) && strchr("=", argv[i][strlen(name)]))
			return true;
	return false;
}

static const uint8_t descriptions[] = { DESCRIBE_ACPI, DESCRIBE_FDT };

#define AT(field) OPTION_AT(struct machine_config, field)

/* clang-format off */
static const struct option options[] = {
	{ "--kernel", OPTION_FILE, AT(kernel), "FILE", NULL,
	  "bzImage or ELF vmlinux; on aarch64 an Image, plain or gzip" },
	{ "--initrd", OPTION_FILE, AT(initrd), "FILE", NULL, "initial RAM disk" },
	{ "--append", OPTION_TEXT, AT(append), "TEXT", NULL,
	  "add to the default kernel command line" },
	{ "--cmdline", OPTION_TEXT, AT(cmdline), "TEXT", NULL,
	  "replace the default kernel command line" },
	{ "--memory", OPTION_SIZE, AT(memory), "SIZE", "256M",
	  "RAM: a number with K, M, G or T, in MiB without suffix; #, a multiple of 4K",
	  MEMORY_MIN, MEMORY_MAX, .set = set_memory },
	{ "--cpus", OPTION_NUMBER, AT(cpus), "N", "1", "number of CPUs, #", 1, CPUS_MAX },
	{ "--console", OPTION_OTHER, OPTION_SET_ONLY, "on|off|pty|file:PATH|socket:PATH", "on",
	  "connect the serial port to stdin and stdout, a new pseudo-terminal, a file, or the "
	  "clients of a Unix socket; off: no serial port", .set = set_console },
	{ "--stats", OPTION_SWITCH, AT(stats), "on|off", "off",
	  "print vCPU exits, disk statistics and latencies at the end" },
	{ "--control", OPTION_FILE, AT(control), "PATH", NULL,
	  "create a control socket for microvm-ctl(1)" },
	{ "--snapshot-dir", OPTION_FILE, AT(snapshot_dir), "DIR", NULL,
	  "directory below which microvm-ctl(1) may write snapshots" },
	{ "--restore", OPTION_FILE, AT(restore), "DIR", NULL,
	  "continue the VM of a snapshot, which has its memory and CPUs, instead of --kernel" },
	{ "--prefault", OPTION_NAME, AT(prefault), "none|set|all", "none",
	  "with --restore, map pages before the guest runs: those that \"microvm-ctl record\" has "
	  "noted, or all" },
	{ "--advance-clock", OPTION_SWITCH, AT(advance_clock), "on|off", "off",
	  "with --restore: the guest's clocks go on as if it had run since the snapshot" },
	{ "--pidfile", OPTION_FILE, AT(pidfile), "FILE", NULL,
	  "write the process ID to FILE, and lock it" },
	{ "--log", OPTION_FILE, AT(log), "FILE", NULL,
	  "append messages to FILE (default: stderr)" },
	{ "--log-level", OPTION_NAME, AT(log_level), "error|warn|info|debug", "info",
	  "highest level that is logged" },
	{ "--stop-timeout", OPTION_SECONDS, AT(stop_timeout), "SECONDS", "30",
	  "SIGTERM and SIGINT press the power button; the VM is stopped this much later, #; 0: at once",
	  0, STOP_TIMEOUT_MAX },
	{ "--exit-port", OPTION_OTHER, OPTION_SET_ONLY, "PORT[,qemu]", NULL,
	  "a byte that the guest writes to I/O port #, which may be in hexadecimal (0xf4), ends the VM "
	  "with that exit code, or with qemu twice that and 1; the codes below are then 120 more",
	  1, EXIT_PORT_MAX, .set = set_exit_port },
	{ "--quiet", OPTION_SWITCH, AT(quiet), "on|off", "off",
	  "do not log why the VM has ended" },
	{ "--describe", OPTION_NAME, AT(description), "acpi|fdt", NULL,
	  "how the machine is described to the kernel: only ACPI tables, or a device tree "
	  "(default: ACPI tables, and the disks on the command line; on aarch64 fdt)",
	  .values = descriptions },
	{ "--dump-dtb", OPTION_FILE, AT(dump_dtb), "FILE", NULL,
	  "write the device tree to FILE, without running a VM" },
	{ "--sandbox", OPTION_NAME, AT(sandbox), "on|log|off", "on",
	  "drop privileges that running the guest does not need; log: allow and log forbidden system calls" },
	{ "--user", OPTION_OTHER, OPTION_SET_ONLY, "NAME|UID[:GROUP|:GID]", NULL,
	  "if started by root: run the guest as this user", .set = set_user },
	{ "--core-dump", OPTION_SWITCH, AT(core_dump), "on|off", "off",
	  "allow core dumps, with guest RAM" },
	{ "--disk", OPTION_OTHER, OPTION_SET_ONLY, "FILE[,KEY=VALUE]...", NULL,
	  "add a disk: raw image or block device; up to 16 times; \",,\" in a name or value is one comma",
	  .repeatable = true, .set = set_disk },
	{ "--ephemeral-dir", OPTION_FILE, AT(ephemeral_dir), "DIR", NULL,
	  "directory for the guest's writes to ephemeral disks (default: that of the image)" },
};
/* clang-format on */

static const struct option_table table = { options, ARRAY_SIZE(options) };

/* Settles a disk's queues for this number of vCPUs (0: not known yet). Returns NULL, or the reason
 * why the disk does not fit the other options. */
static const char *settle_disk(const struct machine_config *config, struct blk_config *disk,
			       unsigned int cpus, bool *any_ephemeral, char unfit[WHY_MAX])
{
	const char *why = cpus ? options_settle_queues(disk, cpus, unfit) : NULL;

	if (!why)
		why = options_settle_errors(disk, config->control);
	if (!why)
		why = options_settle_ephemeral(disk, config->ephemeral_dir, any_ephemeral);
	return why;
}

/* Checks the combination of options and sets dependent defaults. Returns false with an error in
 * `message` if options contradict each other or --kernel is missing. */
static bool settle(struct machine_config *config, char message[OPTIONS_MESSAGE_MAX])
{
	const char *why = NULL;
	bool any_ephemeral = false;

	if (!config->kernel && !config->restore)
		why = "--kernel FILE is missing (see --help)";
	else if (config->append && config->cmdline)
		why = "--append, --cmdline: only one of the two is possible";
	else if (config->dump_dtb && config->description == DESCRIBE_ACPI)
		why = "--describe acpi: has no device tree to dump";
	else if (config->snapshot_dir && !config->control)
		why = "--snapshot-dir: needs --control, over which snapshots are taken";
	else if (config->prefault && !config->restore)
		why = "--prefault: needs --restore";
	else if (config->advance_clock && !config->restore)
		why = "--advance-clock: needs --restore";
	if (why) {
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s", why);
		return false;
	}
	if (config->dump_dtb)
		config->description = DESCRIBE_FDT;
	for (unsigned int i = 0; i < config->disk_count; i++) {
		char shown[SHOWN_MAX], unfit[WHY_MAX];

		why = settle_disk(config, &config->disk[i], config->restore ? 0 : config->cpus,
				  &any_ephemeral, unfit);
		if (!why)
			continue;
		text_show(shown, sizeof(shown), config->disk[i].path);
		snprintf(message, OPTIONS_MESSAGE_MAX, "--disk %s: %s", shown, why);
		return false;
	}
	if (!config->ephemeral_dir || any_ephemeral)
		return true;
	snprintf(message, OPTIONS_MESSAGE_MAX, "%s", options_unused_dir);
	return false;
}

int options_settle_restored(struct machine_config *config, const unsigned int *queues)
{
	for (unsigned int i = 0; i < config->disk_count; i++) {
		struct blk_config *disk = &config->disk[i];
		const char *why;
		char unfit[WHY_MAX];

		if (!disk->queues && !disk->map_count && queues[i] <= VIRTIO_MAX_QUEUES)
			disk->queues = queues[i];
		why = options_settle_queues(disk, config->cpus, unfit);
		if (why)
			return report_option(-EINVAL, "--disk", disk->path, why);
	}
	return 0;
}

/* Returns false with an error in `message` if the command line has an option whose value comes from
 * the snapshot. */
static bool fits_restore(int argc, char **argv, char message[OPTIONS_MESSAGE_MAX])
{
	static const char *const saved[] = { "--kernel", "--initrd", "--append",   "--cmdline",
					     "--memory", "--cpus",   "--describe", "--dump-dtb" };

	for (size_t i = 0; i < ARRAY_SIZE(saved); i++) {
		if (!names(argc, argv, saved[i]))
			continue;
		snprintf(message, OPTIONS_MESSAGE_MAX,
			 "%s: not with --restore, whose snapshot has it", saved[i]);
		return false;
	}
	return true;
}

enum options_result options_parse(int argc, char **argv, struct machine_config *config,
				  char message[OPTIONS_MESSAGE_MAX])
{
	enum options_result result;

	*config = (struct machine_config){ .kernel = NULL };
	result = options_scan(&table, argc, argv, config, message);
	if (result == OPTIONS_RUN && config->restore && !fits_restore(argc, argv, message))
		result = OPTIONS_ERROR;
	if (result == OPTIONS_RUN && !settle(config, message))
		result = OPTIONS_ERROR;
	if (result == OPTIONS_ERROR)
		config->exit_port.given = names(argc, argv, "--exit-port");
	return result;
}

const char *options_help(void)
{
	static char text[8 << 10];
	struct help help = { text, sizeof(text), 0 };

	help_text(&help, "Usage: microvm --kernel FILE [OPTION]...\n"
			 "Boot a Linux kernel in a KVM virtual machine.\n\n");
	help_options(&help, &table, ' ', 19);
	help_text(&help, "  --help, -h       show this text\n"
			 "  --version        show the version\n"
			 "\n"
			 "Disk keys:\n");
	help_options(&help, &options_disk_keys, '=', 27);
	help_text(
		&help,
		"\n"
		"On a terminal, Ctrl-A x quits, Ctrl-A h shows help, Ctrl-A Ctrl-A sends Ctrl-A.\n"
		"\n"
		"Exit codes:\n"
		"  0  the guest powered off\n"
		"  1  microvm failed while the guest was running\n"
		"  2  usage error\n"
		"  3  set-up error: a file, memory or KVM is unsuitable or unavailable\n"
		"  4  the guest rebooted\n"
		"  5  the guest panicked, or rebooted after a panic\n"
		"  6  the guest crashed: triple fault or KVM internal error\n"
		"  7  quit by the user (Ctrl-A x) or a signal before the guest powered off\n");
	return text;
}
