/* SPDX-License-Identifier: BSD-3-Clause */
/* main: entry point and exit codes of microvm-blk. */
#include <malloc.h>
#include <sched.h>

#include "vmm/blk/export.h"
#include "vmm/service/service.h"
#include "vmm/startup.h"
#include "version.h" /* generated: tools/version */

/* Exit codes of the process, as --help and the man page list them. */
enum exit_code { EXIT_DONE = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_SETUP = 3 };

/* Output of --print-capabilities, as "Backend program conventions" of the protocol prescribes. */
static const char capabilities[] =
	"{\n  \"type\": \"block\",\n  \"features\": [ \"read-only\", \"blk-file\" ]\n}\n";

static unsigned int host_cpus(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned int)CPU_COUNT(&set);
}

static int run(const struct export_config *config)
{
	struct export *export = NULL;
	struct service service;
	bool paths;
	int err;

	startup_hold_signals();
	if (startup_open_log(config->log, config->log_level) ||
	    service_open(&service, config->pidfile))
		return EXIT_SETUP;
	err = export_create(&export, config);
	if (!err)
		err = export_start(export);
	paths = !export || !export_is_confined(export);
	if (err) {
		export_destroy(export);
		service_close(&service, paths);
		return EXIT_SETUP;
	}
	service_ready(&service);
	export_run(export);
	service_stopping(&service);
	err = export_destroy(export);
	service_close(&service, paths);
	return err ? EXIT_ERROR : EXIT_DONE;
}

int main(int argc, char **argv)
{
	static struct export_config config;
	char message[OPTIONS_MESSAGE_MAX];
	bool open_output;

	mallopt(M_ARENA_MAX, 1);
	open_output = startup_fill_fds();
	log_set_program("microvm-blk");
	switch (export_options_parse(argc, argv, &config, host_cpus(), message)) {
	case OPTIONS_RUN:
		if (config.capabilities)
			return startup_print(capabilities, open_output) ? EXIT_ERROR : EXIT_DONE;
		return run(&config);
	case OPTIONS_HELP:
		return startup_print(export_options_help(), open_output) ? EXIT_ERROR : EXIT_DONE;
	case OPTIONS_VERSION:
		return startup_print("microvm-blk " MICROVM_VERSION "\n", open_output) ? EXIT_ERROR
										       : EXIT_DONE;
	case OPTIONS_ERROR:
		break;
	}
	log_error("%s", message);
	return EXIT_USAGE;
}
