/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main: entry point, standard descriptors and exit codes.
 *
 * This is the only file that may end the process.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/machine/machine.h"
#include "vmm/options/options.h"
#include "vmm/report.h"
#include "vmm/service/service.h"
#include "vmm/service/supervisor.h"
#include "vmm/startup.h"
#include "vmm/vm_exit.h"
#include "version.h" /* generated: tools/version */

/* Returns the exit code of the process for a code of the VMM's own. */
static int own_code(const struct machine_config *config, enum exit_code code)
{
	return code + (config->exit_port.given ? EXIT_CODE_OWN : 0);
}

/* Cleans up a VM whose guest has executed nothing and returns the exit code. `paths` is true if the
 * pidfile can still be removed, that is, if the process is not sandboxed yet. */
static int not_started(struct machine *machine, const struct machine_config *config,
		       const struct service *service, int err, bool paths)
{
	machine_destroy(machine);
	service_close(service, paths);
	if (!err)
		return EXIT_POWEROFF;
	return own_code(config, err == -ECANCELED ? EXIT_QUIT : EXIT_SETUP);
}

static int run_machine(const struct machine_config *config, const struct service *service,
		       const struct supervisor_link *link)
{
	struct machine *machine = NULL;
	bool paths;
	int code;
	int err = machine_create(&machine, config, link);

	if (err || config->dump_dtb)
		return not_started(machine, config, service, err, true);
	service_files(service);
	err = machine_start(machine);
	if (err)
		return not_started(machine, config, service, err, !machine_is_confined(machine));
	service_ready(service);
	code = machine_exit_code(machine, machine_run(machine));
	service_stopping(service);
	/* A signal can end the VM just before the guest would have run. */
	paths = !machine_guest_has_run(machine) && !machine_is_confined(machine);
	/* A failed flush may have lost data, so that the exit code must report an error. */
	if (machine_destroy(machine))
		code = own_code(config, EXIT_ERROR);
	service_close(service, paths);
	return code;
}

static bool wants_supervisor(const struct machine_config *config)
{
	return config->user && config->sandbox != SANDBOX_OFF && geteuid() == 0;
}

/* Runs the VM, and the supervisor if there is one. Returns the exit code, or in the supervisor
 * minus the number of the signal that killed the VM's process. */
static int run(const struct machine_config *config)
{
	struct supervisor_link link = { 0 };
	struct supervisor supervisor;
	struct service service;
	int role;

	startup_hold_signals();
	if (options_check_outputs(config) || startup_open_log(config->log, config->log_level))
		return own_code(config, EXIT_SETUP);
	if (service_open(&service, config->pidfile))
		return own_code(config, EXIT_SETUP);
	if (wants_supervisor(config)) {
		role = supervisor_fork(&supervisor);
		if (role == 1)
			return supervisor_run(&supervisor, &service, config);
		if (role == 0) {
			link.fd = supervisor.fd;
			service_relay(&service, supervisor.fd);
		}
		if (role == -EAGAIN) {
			report_start(role, "the process of the VM");
			service_close(&service, true);
			return own_code(config, EXIT_SETUP);
		}
		link.pids_err = role;
	}
	return run_machine(config, &service, &link);
}

/* Ends the supervisor by the signal that killed the VM, so that its parent sees the VM's status. */
static int end_by(int signal_number)
{
	sigset_t this;

	signal(signal_number, SIG_DFL);
	raise(signal_number);
	sigemptyset(&this);
	sigaddset(&this, signal_number);
	sigprocmask(SIG_UNBLOCK, &this, NULL);
	return EXIT_ERROR;
}

int main(int argc, char **argv)
{
	static struct machine_config config;
	char message[OPTIONS_MESSAGE_MAX];
	bool open_output;
	int status;

	/* One malloc arena: threads hardly allocate, so that an arena per thread would waste
	 * memory. */
	mallopt(M_ARENA_MAX, 1);
	open_output = startup_fill_fds();
	switch (options_parse(argc, argv, &config, message)) {
	case OPTIONS_RUN:
		status = run(&config);
		return status < 0 ? end_by(-status) : status;
	case OPTIONS_HELP:
		return startup_print(options_help(), open_output) ? EXIT_ERROR : EXIT_POWEROFF;
	case OPTIONS_VERSION:
		return startup_print("microvm " MICROVM_VERSION "\n", open_output) ? EXIT_ERROR
										   : EXIT_POWEROFF;
	case OPTIONS_ERROR:
		break;
	}
	log_error("%s", message);
	return own_code(&config, EXIT_USAGE);
}
