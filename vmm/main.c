/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main: entry point, standard descriptors and exit codes.
 *
 * This is the only file that may end the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/machine/machine.h"
#include "vmm/options/options.h"
#include "vmm/report.h"
#include "vmm/service/service.h"
#include "vmm/service/supervisor.h"
#include "vmm/vm_exit.h"
#include "version.h" /* generated: tools/version */

static int open_log(const struct machine_config *config)
{
	/* O_NONBLOCK: neither open nor a later write may block, even if the path is a FIFO. */
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = config->log ? open(config->log, flags, 0640) : -1;

	if (config->log && fd < 0)
		return report_option(-errno, "--log", config->log, NULL);
	if (config->log)
		log_to_file(fd);
	log_set_level(config->log_level);
	return 0;
}

/* Cleans up a VM whose guest has executed nothing and returns the exit code. `paths` is true if the
 * pidfile can still be removed, that is, if the process is not sandboxed yet. */
static int not_started(struct machine *machine, const struct service *service, int err, bool paths)
{
	machine_destroy(machine);
	service_close(service, paths);
	return err == -ECANCELED ? EXIT_QUIT : err ? EXIT_SETUP : EXIT_POWEROFF;
}

static int run_machine(const struct machine_config *config, const struct service *service,
		       const struct supervisor_link *link)
{
	struct machine *machine = NULL;
	enum vm_end end;
	bool paths;
	int err = machine_create(&machine, config, link);

	if (err || config->dump_dtb)
		return not_started(machine, service, err, true);
	service_files(service);
	err = machine_start(machine);
	if (err)
		return not_started(machine, service, err, !machine_is_confined(machine));
	service_ready(service);
	end = machine_run(machine);
	service_stopping(service);
	/* A signal can end the VM just before the guest would have run. */
	paths = !machine_guest_has_run(machine) && !machine_is_confined(machine);
	/* A failed flush may have lost data, so that the exit code must report an error. */
	if (machine_destroy(machine))
		end = VM_END_ERROR;
	service_close(service, paths);
	return vm_end_info[end].code;
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

	machine_hold_signals();
	if (options_check_outputs(config) || open_log(config))
		return EXIT_SETUP;
	if (service_open(&service, config->pidfile))
		return EXIT_SETUP;
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
			return EXIT_SETUP;
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

/* Opens /dev/null on descriptors 0 to 2 if they are closed: otherwise an image or KVM could get
 * such a number, and console or log output would be written to it. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Prints the output of --help or --version and returns the exit code. `closed`: standard output was
 * closed at start, which must be reported although descriptor 1 is /dev/null by now. */
static int print(const char *text, bool closed)
{
	if (closed)
		errno = EBADF;
	else if (fputs(text, stdout) != EOF && fflush(stdout) != EOF)
		return 0;
	report_host(-errno, "standard output");
	return EXIT_ERROR;
}

int main(int argc, char **argv)
{
	static struct machine_config config;
	bool closed = fcntl(STDOUT_FILENO, F_GETFD) < 0;
	char message[OPTIONS_MESSAGE_MAX];
	int status;

	/* One malloc arena: threads hardly allocate, so that an arena per thread would waste
	 * memory. */
	mallopt(M_ARENA_MAX, 1);
	fill_standard_fds();
	switch (options_parse(argc, argv, &config, message)) {
	case OPTIONS_RUN:
		status = run(&config);
		return status < 0 ? end_by(-status) : status;
	case OPTIONS_HELP:
		return print(options_help(), closed);
	case OPTIONS_VERSION:
		return print("microvm " MICROVM_VERSION "\n", closed);
	case OPTIONS_ERROR:
		break;
	}
	log_error("%s", message);
	return EXIT_USAGE;
}
