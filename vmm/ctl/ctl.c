/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * microvm-ctl: asks a running microvm, by its control socket, and shows the answer. The protocol is
 * in microvm-ctl(1).
 */
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/blklimit.h"
#include "vmm/control_line.h"
#include "vmm/ctl/show.h"
#include "vmm/options_parts.h"
#include "version.h" /* generated: tools/version */

/* Documented in --help and the man page. */
enum exit_code { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

static const char help[] =
	"Usage: microvm-ctl PATH COMMAND [ARGUMENT]... [--json]\n"
	"Ask the microvm whose control socket is at PATH.\n"
	"\n"
	"  status        what it is and does\n"
	"  stats         what each queue of its disks has seen\n"
	"  pause         have the guest stand still\n"
	"  resume        have it go on\n"
	"  flush         make what the guest has written stable\n"
	"  resize DISK SIZE\n"
	"                give the disk with that number another size: a number with K,\n"
	"                M, G or T, without one in MiB; or image: what the image has now\n"
	"  limit DISK none|KEY=VALUE[,KEY=VALUE]...\n"
	"                from now on, limit the disk with that number to iops and bps,\n"
	"                with iops-burst and bps-burst, as of a disk of microvm; what is not\n"
	"                given has no limit\n"
	"  power-button  press it: the guest is asked to power off\n"
	"  quit          end the VM at once; the guest is not asked\n"
	"  events        show what happens, until the VM ends\n"
	"\n"
	"  --prometheus  show stats as Prometheus reads them\n"
	"  --json        show the answer, or each event, as one line of JSON\n"
	"  --help, -h    show this text\n"
	"  --version     show the version\n"
	"\n"
	"Exit codes:\n"
	"  0  done\n"
	"  1  the VM refused, or failed\n"
	"  2  usage error\n"
	"  3  there is no VM, or the connection ended too early\n";

static const struct command {
	const char *name;
	int words;				  /* behind it */
	void (*show)(struct json_object *result); /* NULL: nothing to show */
} commands[] = {
	{ "status", 0, show_status }, { "stats", 0, show_stats },  { "pause", 0, NULL },
	{ "resume", 0, NULL },	      { "flush", 0, NULL },	   { "resize", 2, show_size },
	{ "limit", 2, show_limits },  { "power-button", 0, NULL }, { "quit", 0, NULL },
	{ "events", 0, NULL },
};

struct call {
	const char *path;
	const struct command *command;
	bool json;
	bool prometheus;
};

static int fail(enum exit_code code, const char *what, const char *why)
{
	fprintf(stderr, "microvm-ctl: %s: %s\n", what, why);
	return code;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The next line as an object; NULL: there is none. */
static struct json_object *next_object(FILE *in)
{
	struct json_object *object;
	char *line = NULL;
	size_t size = 0;

	object = getline(&line, &size, in) > 0 ? json_tokener_parse(line) : NULL;
	free(line);
	return object;
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value ? json_object_get_string(value) : "";
}

static bool hears_protocol(FILE *in)
{
	struct json_object *hello = next_object(in), *version = NULL;
	bool good = json_object_object_get_ex(hello, "protocol", &version) &&
		    json_object_get_int(version) == CONTROL_PROTOCOL;

	json_object_put(hello);
	return good;
}

static void print_json(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* Until the VM ends. A pipe gets each one at once. */
static int show_events(const struct call *call, FILE *in)
{
	struct json_object *event;
	bool over = false;

	while (!ferror(stdout) && (event = next_object(in))) {
		over = !strcmp(text_of(event, "event"), "shutdown");
		if (call->json)
			print_json(event);
		else
			show_event(event);
		fflush(stdout);
		json_object_put(event);
	}
	return over ? CTL_OK : fail(CTL_UNREACHABLE, call->path, "the connection ended");
}

static int show_answer(const struct call *call, FILE *in, struct json_object *answer)
{
	struct json_object *ok = NULL, *part = NULL;

	if (!json_object_object_get_ex(answer, "ok", &ok))
		return fail(CTL_UNREACHABLE, call->path, "the connection ended without an answer");
	if (!json_object_get_boolean(ok)) {
		json_object_object_get_ex(answer, "error", &part);
		return fail(CTL_REFUSED, call->command->name, text_of(part, "text"));
	}
	if (!strcmp(call->command->name, "events"))
		return show_events(call, in);
	json_object_object_get_ex(answer, "result", &part);
	if (call->json)
		print_json(part);
	else if (call->prometheus)
		show_prometheus(part);
	else if (call->command->show)
		call->command->show(part);
	return CTL_OK;
}

static int run(const struct call *call, struct json_object *request)
{
	int fd = connect_to(call->path), code;
	struct json_object *answer;
	FILE *in;

	if (fd < 0)
		return fail(CTL_UNREACHABLE, call->path, strerror(errno));
	in = fdopen(fd, "r");
	if (!in || !hears_protocol(in))
		return fail(CTL_UNREACHABLE, call->path, "no microvm answers, or too many ask it");
	dprintf(fd, "%s\n", json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	answer = next_object(in);
	code = show_answer(call, in, answer);
	json_object_put(answer);
	fclose(in);
	if (fflush(stdout) == EOF)
		return fail(CTL_REFUSED, "standard output", strerror(errno));
	return code;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* What resize needs. False: that is it not. */
static bool add_size(struct json_object *request, const char *disk, const char *size)
{
	uint64_t number, bytes;

	if (!text_number(disk, &number) || number > INT32_MAX)
		return false;
	json_object_object_add(request, "disk", json_object_new_uint64(number));
	if (!strcmp(size, "image"))
		return true;
	if (!text_size(size, &bytes) || !bytes || bytes > INT64_MAX)
		return false;
	json_object_object_add(request, "size", json_object_new_uint64(bytes));
	return true;
}

/* KEY=VALUE, cut up in place. */
static bool add_limit(struct json_object *request, char *text)
{
	struct blklimit_rates limits = { 0 };
	char *value = strchr(text, '=');

	if (!value)
		return false;
	*value++ = '\0';
	if (json_object_object_get_ex(request, text, NULL) || !options_limit(&limits, text, value))
		return false;
	/* One of them has been set. */
	json_object_object_add(request, text,
			       json_object_new_uint64(limits.iops | limits.iops_burst | limits.bps |
						      limits.bps_burst));
	return true;
}

/* What limit needs. False: that is it not. */
static bool add_limits(struct json_object *request, const char *disk, char *text)
{
	uint64_t number;
	char *end;

	if (!text_number(disk, &number) || number > INT32_MAX)
		return false;
	json_object_object_add(request, "disk", json_object_new_uint64(number));
	if (!strcmp(text, "none"))
		return true;
	for (; text; text = end) {
		end = strchr(text, ',');
		if (end)
			*end++ = '\0';
		if (!add_limit(request, text))
			return false;
	}
	return true;
}

/* What is behind the command. Returns NULL, or what is wanted instead. */
static const char *add_words(const struct command *command, struct json_object *request,
			     char **words)
{
	if (!strcmp(command->name, "resize") && !add_size(request, words[0], words[1]))
		return "not a disk's number and a size (see --help)";
	if (!strcmp(command->name, "limit") && !add_limits(request, words[0], words[1]))
		return "not a disk's number and limits, or none (see --help)";
	return NULL;
}

static int usage(const char *what, const char *why)
{
	return fail(CTL_USAGE, what, why);
}

int main(int argc, char **argv)
{
	struct call call = { .json = false };
	struct json_object *request;
	const char *wrong;
	int words = 0, code;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(help, stdout) == EOF || fflush(stdout) == EOF;
		if (!strcmp(argv[i], "--version"))
			return puts("microvm-ctl " MICROVM_VERSION) == EOF || fflush(stdout) == EOF;
		if (!strcmp(argv[i], "--json"))
			call.json = true;
		else if (!strcmp(argv[i], "--prometheus"))
			call.prometheus = true;
		else if (argv[i][0] == '-')
			return usage(argv[i], "unknown option (see --help)");
		else
			argv[words++] = argv[i];
	}
	if (words < 2)
		return usage("PATH COMMAND", "missing (see --help)");
	call.path = argv[0];
	call.command = find_command(argv[1]);
	if (!call.command)
		return usage(argv[1], "no such command (see --help)");
	if (call.prometheus && (call.json || call.command->show != show_stats))
		return usage("--prometheus", "is for stats, and without --json (see --help)");
	if (words < 2 + call.command->words)
		return usage(argv[1], "needs more arguments (see --help)");
	if (words > 2 + call.command->words)
		return usage(argv[2 + call.command->words], "unexpected argument (see --help)");
	request = json_object_new_object();
	json_object_object_add(request, "cmd", json_object_new_string(call.command->name));
	wrong = add_words(call.command, request, argv + 2);
	if (wrong) {
		json_object_put(request);
		return usage(call.command->name, wrong);
	}
	code = run(&call, request);
	json_object_put(request);
	return code;
}
