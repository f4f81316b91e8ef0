/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * microvm-ctl: the command-line client of microvm's control socket.
 * microvm-ctl(1) documents the protocol.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libgen.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/control/protocol.h"
#include "vmm/ctl/console.h"
#include "vmm/ctl/members.h"
#include "vmm/ctl/show.h"
#include "vmm/ctl/words.h"
#include "vmm/text.h"
#include "version.h" /* generated: tools/version */

/* Documented in --help and the man page. */
enum exit_code { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

static const char help[] =
	"Usage: microvm-ctl PATH COMMAND [ARGUMENT]... [--json|--prometheus]\n"
	"Control the microvm or microvm-blk whose control socket is at PATH.\n"
	"\n"
	"  status        show the state of the VM and its disks\n"
	"  stats         show the statistics of each queue of each disk\n"
	"  pause         pause the guest; of microvm-blk: the disk\n"
	"  resume        resume the guest or the disk\n"
	"  flush         flush all disks to stable storage\n"
	"  resize DISK SIZE\n"
	"                resize a disk: a number with K, M, G or T, in MiB without\n"
	"                suffix; or image: the present size of the image\n"
	"  limit DISK none|KEY=VALUE[,KEY=VALUE]...\n"
	"                set the limits of a disk: iops, iops-burst, bps and bps-burst,\n"
	"                as the disk keys of microvm; a key not given means no limit\n"
	"  snapshot NAME [--stay] [--diff] [--clone-disks]\n"
	"                write a snapshot: --stay leaves the guest paused, --diff leaves\n"
	"                out unchanged memory, --clone-disks copies the disks as well\n"
	"  record        note which pages the guest has used since it was restored\n"
	"  power-button  press the power button: ask the guest to power off\n"
	"  quit          end the VM at once, without asking the guest\n"
	"  events        show events until the VM ends\n"
	"  console       attach this terminal to the console: Ctrl-A x detaches\n"
	"\n"
	"  --stay, --diff, --clone-disks   see snapshot\n"
	"  --prometheus  show stats in Prometheus's text format\n"
	"  --json        show the result, or each event, as one line of JSON\n"
	"  --help, -h    show this text\n"
	"  --version     show the version\n"
	"\n"
	"Exit codes:\n"
	"  0  done\n"
	"  1  the VM refused or failed, or the answer could not be written\n"
	"  2  usage error\n"
	"  3  no VM, or the connection ended too early\n";

static const struct command {
	const char *name;
	int words;				  /* number of arguments */
	void (*show)(struct json_object *result); /* NULL: nothing to show */
} commands[] = {
	/* clang-format off */
	{ "status", 0, show_status }, { "stats", 0, show_stats }, { "pause", 0, NULL },
	{ "resume", 0, NULL }, { "flush", 0, NULL }, { "resize", 2, show_size },
	{ "limit", 2, show_limits }, { "snapshot", 1, show_snapshot }, { "record", 0, show_pages },
	{ "power-button", 0, NULL }, { "quit", 0, NULL }, { "events", 0, NULL }, { "console", 0, NULL },
	/* clang-format on */
};

/* The errno of a failed write to standard output; 0: no failure, or an unknown reason. */
static int output_err;

struct call {
	const char *path;
	const struct command *command;
	bool json;
	bool prometheus;
	unsigned int flags; /* options of snapshot (words_flag) */
};

static int fail(enum exit_code code, const char *what, const char *why)
{
	char shown[SHOWN_MAX];

	text_show(shown, sizeof(shown), what);
	fprintf(stderr, "microvm-ctl: %s: %s\n", shown, why);
	return code;
}

/* Opens descriptors 0 to 2 where they are closed, so that the socket does not get such a number.
 * The read-only /dev/null makes a write to such a stream fail. */
static void hold_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static bool flush_output(void)
{
	if (fflush(stdout) == EOF)
		output_err = errno;
	return !ferror(stdout);
}

/* Returns `code`, or reports a failed write to standard output and returns CTL_REFUSED. */
static int finish_output(int code)
{
	if (flush_output())
		return code;
	return fail(CTL_REFUSED, "standard output", strerror(output_err ? output_err : EIO));
}

static int print(const char *text)
{
	fputs(text, stdout);
	return finish_output(CTL_OK);
}

static const char *refused_by(const char *path)
{
	struct stat st;

	return stat(path, &st) || S_ISSOCK(st.st_mode) ? "no microvm uses this socket"
						       : "is not a socket";
}

/*
 * Connects to a socket that a VM may be creating: between bind(2), which creates the file, and
 * listen(2), connections are refused. The VM locks the directory for that time. Returns 0, or -1
 * with errno.
 */
static int connect_when_listening(int fd, const struct sockaddr_un *addr)
{
	char copy[sizeof(addr->sun_path)];
	int directory;

	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return 0;
	if (errno != ECONNREFUSED)
		return -1;
	strcpy(copy, addr->sun_path);
	directory = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory >= 0) {
		flock(directory, LOCK_SH);
		close(directory);
	}
	return connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
}

/* Returns a connected socket, or -1 with the reason in *why. */
static int connect_to(const char *path, const char **why)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	*why = "longer than the 107 bytes a socket's path can have";
	if (strlen(path) >= sizeof(addr.sun_path))
		return -1;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect_when_listening(fd, &addr))
		return fd;
	*why = errno == ECONNREFUSED ? refused_by(path) : strerror(errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Returns the next line as an object; NULL at the end of the connection or if it is not JSON. */
static struct json_object *next_object(FILE *in)
{
	struct json_object *object;
	char *line = NULL;
	size_t size = 0;

	object = getline(&line, &size, in) > 0 ? json_tokener_parse(line) : NULL;
	free(line);
	return object;
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

/* Shows events until the VM ends, and flushes each one, so that a pipe gets it at once. */
static int show_events(const struct call *call, FILE *in)
{
	struct json_object *event;
	bool over = false;

	while (flush_output() && (event = next_object(in))) {
		over = !strcmp(text(event, "event"), "shutdown");
		if (call->json)
			print_json(event);
		else
			show_event(event);
		json_object_put(event);
	}
	/* The caller reports a failed write. */
	if (over || ferror(stdout))
		return CTL_OK;
	return fail(CTL_UNREACHABLE, call->path, "the connection ended");
}

/* Ends the process by `signal`, so that its parent sees how the session has ended. */
static int end_by(int signal_number)
{
	sigset_t this;

	signal(signal_number, SIG_DFL);
	sigemptyset(&this);
	sigaddset(&this, signal_number);
	raise(signal_number);
	sigprocmask(SIG_UNBLOCK, &this, NULL);
	return CTL_REFUSED;
}

static int run_console(FILE *in, struct json_object *result)
{
	int end = console_session(fileno(in), json_object_get_boolean(member(result, "types")));

	if (end > 0)
		return end_by(end);
	return end ? fail(CTL_REFUSED, "standard output", strerror(-end)) : CTL_OK;
}

static int show_answer(const struct call *call, FILE *in, struct json_object *answer)
{
	struct json_object *ok = NULL, *part = NULL;

	if (!json_object_object_get_ex(answer, "ok", &ok))
		return fail(CTL_UNREACHABLE, call->path, "the connection ended without an answer");
	if (!json_object_get_boolean(ok)) {
		json_object_object_get_ex(answer, "error", &part);
		return fail(CTL_REFUSED, call->command->name, text(part, "text"));
	}
	if (!strcmp(call->command->name, "events"))
		return show_events(call, in);
	json_object_object_get_ex(answer, "result", &part);
	if (!strcmp(call->command->name, "console"))
		return run_console(in, part);
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
	const char *why;
	int fd = connect_to(call->path, &why), code;
	struct json_object *answer;
	FILE *in;

	if (fd < 0)
		return fail(CTL_UNREACHABLE, call->path, why);
	in = fdopen(fd, "r");
	/* Bytes of the console follow the answer, and must not be read together with it. */
	if (in && !strcmp(call->command->name, "console"))
		setvbuf(in, NULL, _IONBF, 0);
	if (!in || !hears_protocol(in))
		return fail(CTL_UNREACHABLE, call->path,
			    in && feof(in) ? "the connection was closed (at most 8 clients)"
					   : "the peer is not a microvm of this version");
	dprintf(fd, "%s\n", json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	answer = next_object(in);
	code = show_answer(call, in, answer);
	json_object_put(answer);
	fclose(in);
	return finish_output(code);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int usage(const char *what, const char *why)
{
	return fail(CTL_USAGE, what, why);
}

/* A negative number is an (invalid) argument, not an option. */
static bool is_option(const char *arg)
{
	return arg[0] == '-' && !(arg[1] >= '0' && arg[1] <= '9');
}

/* Fills in *call from the `count` words. Returns CTL_OK, or reports a missing, unknown or excess
 * word and returns CTL_USAGE. */
static int check_words(struct call *call, char **words, int count)
{
	const struct command *command;
	struct text_guess guess = { 0 };
	char why[WHY_MAX], hint[HINT_MAX];

	if (!count)
		return usage("PATH COMMAND", "missing (see --help)");
	if (count == 1 && find_command(words[0]))
		return usage(words[0], "the PATH of a control socket must come first (see --help)");
	if (count == 1)
		return usage(words[0], "a COMMAND is missing (see --help)");
	if (!*words[0])
		return usage("PATH", "the file name is empty");
	call->path = words[0];
	command = call->command = find_command(words[1]);
	if (!command) {
		for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
			text_guess(&guess, words[1], strlen(words[1]), commands[i].name);
		snprintf(why, sizeof(why), "no such command (%s)", text_hint(&guess, hint));
		return usage(words[1], why);
	}
	if (call->prometheus && (call->json || command->show != show_stats))
		return usage("--prometheus", "only for stats, and without --json (see --help)");
	if (call->json && !strcmp(command->name, "console"))
		return usage("--json", "not for console (see --help)");
	if (call->flags && command->show != show_snapshot)
		return usage(words_flag_option(call->flags), "only for snapshot (see --help)");
	if (count < 2 + command->words)
		return usage(command->name, command->words == 1 ? "needs NAME (see --help)"
					    : command->show == show_size
						    ? "needs DISK SIZE (see --help)"
						    : "needs DISK LIMITS (see --help)");
	if (count > 2 + command->words)
		return usage(words[2 + command->words], "unexpected argument (see --help)");
	return CTL_OK;
}

int main(int argc, char **argv)
{
	struct call call = { .json = false };
	struct json_object *request;
	char message[WORDS_MESSAGE_MAX];
	int words = 0, code;

	signal(SIGPIPE, SIG_IGN);
	hold_standard_fds();
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return print(help);
		if (!strcmp(argv[i], "--version"))
			return print("microvm-ctl " MICROVM_VERSION "\n");
		if (!strcmp(argv[i], "--json"))
			call.json = true;
		else if (!strcmp(argv[i], "--prometheus"))
			call.prometheus = true;
		else if (words_flag(argv[i]))
			call.flags |= words_flag(argv[i]);
		else if (is_option(argv[i]))
			return usage(argv[i], "unknown option (see --help)");
		else
			argv[words++] = argv[i];
	}
	code = check_words(&call, argv, words);
	if (code)
		return code;
	request = json_object_new_object();
	json_object_object_add(request, "cmd", json_object_new_string(call.command->name));
	words_add_flags(request, call.flags);
	if (words_add(request, call.command->name, argv + 2, message))
		code = run(&call, request);
	else
		code = usage(call.command->name, message);
	json_object_put(request);
	return code;
}
