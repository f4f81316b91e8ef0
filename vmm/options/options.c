/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/options/options.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/options/internal.h"

#define CPUS_MAX	 1024
#define MEMORY_UNIT	 4096
#define STOP_TIMEOUT_MAX 86400

struct parse {
	struct machine_config *config;
	unsigned int given;    /* bit n: options[n] was given */
	char shown[SHOWN_MAX]; /* the value as shown in a message */
	char why[WHY_MAX];     /* buffer for options_disk */
};

struct option {
	const char *name;
	bool repeatable;
	const char *(*set)(struct parse *p,
			   char *value); /* returns NULL, or the reason of an error */
};

static const char *set_file(const char **file, const char *value)
{
	if (!*value)
		return "the file name is empty";
	*file = value;
	return NULL;
}

static const char *set_kernel(struct parse *p, char *value)
{
	return set_file(&p->config->kernel, value);
}

static const char *set_initrd(struct parse *p, char *value)
{
	return set_file(&p->config->initrd, value);
}

/* An empty text is valid, because a script may pass "$EXTRA". Bytes beyond ASCII are not
 * checked. */
static const char *set_text(const char **text, const char *value)
{
	for (const char *c = value; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == '\x7f')
			return "control characters are not allowed";
	}
	*text = value;
	return NULL;
}

static const char *set_append(struct parse *p, char *value)
{
	return set_text(&p->config->append, value);
}

static const char *set_cmdline(struct parse *p, char *value)
{
	return set_text(&p->config->cmdline, value);
}

static const char *set_memory(struct parse *p, char *value)
{
	uint64_t bytes;

	if (!text_size(value, &bytes))
		return "not a size (a number with K, M, G or T)";
	if (bytes < MEMORY_MIN || bytes > MEMORY_MAX)
		return "must be from 16M to 1T";
	if (bytes % MEMORY_UNIT)
		return "must be a multiple of 4K";
	p->config->memory = bytes;
	p->config->memory_text = value;
	return NULL;
}

static const char *set_cpus(struct parse *p, char *value)
{
	uint64_t cpus;

	if (!text_number(value, &cpus) || cpus < 1 || cpus > CPUS_MAX)
		return "must be a number from 1 to 1024";
	p->config->cpus = cpus;
	return NULL;
}

static const char *set_console(struct parse *p, char *value)
{
	static const struct {
		const char *prefix;
		enum console_kind kind;
	} paths[] = { { "file:", CONSOLE_FILE }, { "socket:", CONSOLE_SOCKET } };
	struct machine_config *config = p->config;

	config->console_text = value;
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
		return set_file(&config->console_path, value + len);
	}
	return "must be on, off, pty, file:PATH or socket:PATH";
}

static const char *set_stats(struct parse *p, char *value)
{
	return text_switch(value, &p->config->stats) ? NULL : "must be on or off";
}

static const char *set_control(struct parse *p, char *value)
{
	return set_file(&p->config->control, value);
}

static const char *set_pidfile(struct parse *p, char *value)
{
	return set_file(&p->config->pidfile, value);
}

static const char *set_log(struct parse *p, char *value)
{
	return set_file(&p->config->log, value);
}

static const char *set_log_level(struct parse *p, char *value)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) != 0)
			continue;
		p->config->log_level = (enum log_level)i;
		return NULL;
	}
	return "must be error, warn, info or debug";
}

static const char *set_stop_timeout(struct parse *p, char *value)
{
	uint64_t seconds;

	if (!text_number(value, &seconds) || seconds > STOP_TIMEOUT_MAX)
		return "must be a number of seconds from 0 to 86400";
	p->config->stop_timeout = (unsigned int)seconds;
	return NULL;
}

static const char *set_describe(struct parse *p, char *value)
{
	if (!strcmp(value, "acpi"))
		p->config->description = DESCRIBE_ACPI;
	else if (!strcmp(value, "fdt"))
		p->config->description = DESCRIBE_FDT;
	else
		return "must be acpi or fdt";
	return NULL;
}

static const char *set_dump_dtb(struct parse *p, char *value)
{
	return set_file(&p->config->dump_dtb, value);
}

static const char *set_sandbox(struct parse *p, char *value)
{
	if (!strcmp(value, "log"))
		p->config->sandbox = SANDBOX_LOG;
	else if (!strcmp(value, "off"))
		p->config->sandbox = SANDBOX_OFF;
	else if (strcmp(value, "on") != 0)
		return "must be on, log or off";
	return NULL;
}

static const char *set_user(struct parse *p, char *value)
{
	p->config->user = value;
	return *value ? NULL : "the name is empty";
}

static const char *set_core_dump(struct parse *p, char *value)
{
	return text_switch(value, &p->config->core_dump) ? NULL : "must be on or off";
}

static const char *set_disk(struct parse *p, char *value)
{
	struct machine_config *config = p->config;

	_Static_assert(DEVLIST_MAX_DISKS == 16, "the message says 16");
	if (config->disk_count == DEVLIST_MAX_DISKS)
		return "more than 16 disks";
	return options_disk(&config->disk[config->disk_count++], value, p->shown, p->why);
}

/* clang-format off */
static const struct option options[] = {
	{ "--kernel", false, set_kernel },
	{ "--initrd", false, set_initrd },
	{ "--append", false, set_append },
	{ "--cmdline", false, set_cmdline },
	{ "--memory", false, set_memory },
	{ "--cpus", false, set_cpus },
	{ "--console", false, set_console },
	{ "--stats", false, set_stats },
	{ "--sandbox", false, set_sandbox },
	{ "--user", false, set_user },
	{ "--core-dump", false, set_core_dump },
	{ "--control", false, set_control },
	{ "--pidfile", false, set_pidfile },
	{ "--log", false, set_log },
	{ "--log-level", false, set_log_level },
	{ "--stop-timeout", false, set_stop_timeout },
	{ "--describe", false, set_describe },
	{ "--dump-dtb", false, set_dump_dtb },
	{ "--disk", true, set_disk },
};
/* clang-format on */

static const struct option *find_option(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strlen(options[i].name) == len && !strncmp(options[i].name, name, len))
			return &options[i];
	}
	return NULL;
}

static const char *set_option(struct parse *p, const struct option *option, char *value)
{
	unsigned int bit = 1u << (option - options);

	/* Copy the value before the setter, which may modify it. */
	text_show(p->shown, sizeof(p->shown), value);
	if (!option->repeatable && p->given & bit)
		return "given twice";
	p->given |= bit;
	return option->set(p, value);
}

static const char help_name[] = "--help", version_name[] = "--version";

/* Guesses the option that a misspelled `arg` means. Leading dashes are not compared, so that both
 * "-kernel" and "--kernal" match. */
static const char *meant(const char *arg, char hint[HINT_MAX])
{
	struct text_guess guess = { 0 };
	size_t dashes = strspn(arg, "-");
	size_t len = strcspn(arg + dashes, "=");

	for (size_t i = 0; i < ARRAY_SIZE(options) && dashes; i++)
		text_guess(&guess, arg + dashes, len, options[i].name + 2);
	if (guess.name)
		guess.name -= 2;
	return text_hint(&guess, hint);
}

/* Handles an argument that is not in `options`: help, version or an error. */
static enum options_result other_argument(const char *arg, char message[OPTIONS_MESSAGE_MAX])
{
	char shown[SHOWN_MAX], hint[HINT_MAX];

	if (!strcmp(arg, help_name) || !strcmp(arg, "-h"))
		return OPTIONS_HELP;
	if (!strcmp(arg, version_name))
		return OPTIONS_VERSION;
	text_show(shown, sizeof(shown), arg);
	snprintf(message, OPTIONS_MESSAGE_MAX, "%s '%s' (%s)",
		 arg[0] == '-' ? "unknown option" : "unexpected argument", shown, meant(arg, hint));
	return OPTIONS_ERROR;
}

/*
 * Returns `next`, the argument after `option`, as its value. Returns NULL with an error in
 * `message` if the value is missing, that is, at the end of argv or if `next` is an option. A
 * value that looks like an option must be given as "option=value".
 */
static char *next_value(char *next, const char *option, char message[OPTIONS_MESSAGE_MAX])
{
	size_t len = next ? strcspn(next, "=") : 0;

	if (!next)
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s: needs a value", option);
	else if (find_option(next, len) || !strcmp(next, help_name) || !strcmp(next, version_name))
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s: needs a value before %.*s", option,
			 (int)len, next);
	else
		return next;
	return NULL;
}

/* Checks the combination of options and sets dependent defaults. Returns false with an error in
 * `message` if options contradict each other or --kernel is missing. */
static bool settle(struct machine_config *config, char message[OPTIONS_MESSAGE_MAX])
{
	const char *why = NULL;

	if (!config->kernel)
		why = "--kernel FILE is missing (see --help)";
	else if (config->append && config->cmdline)
		why = "--append, --cmdline: only one of the two is possible";
	else if (config->dump_dtb && config->description == DESCRIBE_ACPI)
		why = "--describe acpi: has no device tree to dump";
	if (why) {
		snprintf(message, OPTIONS_MESSAGE_MAX, "%s", why);
		return false;
	}
	if (config->dump_dtb)
		config->description = DESCRIBE_FDT;
	for (unsigned int i = 0; i < config->disk_count; i++) {
		char shown[SHOWN_MAX], unfit[WHY_MAX];

		why = options_settle_queues(&config->disk[i], config->cpus, unfit);
		if (!why)
			why = options_settle_errors(&config->disk[i], config->control);
		if (!why)
			continue;
		text_show(shown, sizeof(shown), config->disk[i].path);
		snprintf(message, OPTIONS_MESSAGE_MAX, "--disk %s: %s", shown, why);
		return false;
	}
	return true;
}

enum options_result options_parse(int argc, char **argv, struct machine_config *config,
				  char message[OPTIONS_MESSAGE_MAX])
{
	struct parse parse = { .config = config };
	const char *why;

	*config = (struct machine_config){
		.memory = MEMORY_DEFAULT,
		.memory_text = MEMORY_DEFAULT_TEXT,
		.cpus = 1,
		.console = true,
		.log_level = LOG_LEVEL_INFO,
		.stop_timeout = STOP_TIMEOUT_DEFAULT,
	};
	for (int i = 1; i < argc; i++) {
		size_t len = strcspn(argv[i], "=");
		const struct option *option = find_option(argv[i], len);
		char *value;

		if (!option)
			return other_argument(argv[i], message);
		if (argv[i][len])
			value = argv[i] + len + 1;
		else
			value = next_value(++i < argc ? argv[i] : NULL, option->name, message);
		if (!value)
			return OPTIONS_ERROR;
		why = set_option(&parse, option, value);
		if (why) {
			snprintf(message, OPTIONS_MESSAGE_MAX, "%s %s: %s", option->name,
				 parse.shown, why);
			return OPTIONS_ERROR;
		}
	}
	return settle(config, message) ? OPTIONS_RUN : OPTIONS_ERROR;
}
