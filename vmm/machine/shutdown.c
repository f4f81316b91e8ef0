/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shutdown by signals. SIGTERM and SIGINT press the power button, so that the guest can power off
 * by itself. If it does not do so within --stop-timeout, or another of these signals arrives, the
 * VM is stopped from outside: requests in flight are finished and the disks are flushed. SIGQUIT
 * stops the VM in that way at once.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/machine/internal.h"
#include "vmm/report.h"
#include "vmm/service/supervisor.h"
#include "vmm/startup.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

int machine_stop_open(struct machine *m)
{
	sigset_t set;

	startup_stop_signals(&set);
	if (m->link->fd) {
		sigemptyset(&set);
		sigaddset(&set, SUPERVISOR_SIGNAL);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signal_fd < 0 ? report_host(-errno, "event file descriptors") : 0;
}

void machine_press_button(const struct machine *m)
{
	eventfd_signal(m->button_fd);
}

/* Returns true if the guest can react to the power button: the machine has one, and the guest has
 * started and is not paused. */
static bool guest_hears(const struct machine *m)
{
	return m->button_fd >= 0 && m->guest_runs && !m->commands.paused &&
	       !m->commands.pause_pending;
}

static void take_signal(struct machine *m, int signal)
{
	unsigned int seconds = m->config->stop_timeout;

	if (signal == SIGQUIT || m->stop_at || !seconds || !guest_hears(m)) {
		log_at(machine_end_level(m), "SIG%s: stopping the VM", sigabbrev_np(signal));
		m->vm_exit.end(&m->vm_exit, VM_END_QUIT);
		return;
	}
	log_info("SIG%s: pressing the power button; stopping the VM after %u s, or at the next "
		 "signal",
		 sigabbrev_np(signal), seconds);
	m->stop_at = monotonic_ns() + seconds * NS_PER_S;
	machine_press_button(m);
}

void machine_stop_take(struct machine *m)
{
	struct signalfd_siginfo info;

	while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int signal = m->link->fd ? supervisor_passed(&info) : (int)info.ssi_signo;

		if (signal)
			take_signal(m, signal);
	}
}

int machine_stop_asked(struct machine *m)
{
	machine_stop_take(m);
	return m->vm_exit.why ? -ECANCELED : 0;
}

int machine_stop_prepare(const struct machine *m)
{
	uint64_t now;

	if (!m->stop_at)
		return -1;
	now = monotonic_ns();
	return now < m->stop_at ? (int)((m->stop_at - now) / NS_PER_MS + 1) : 0;
}

void machine_stop_handle(struct machine *m)
{
	if (!m->stop_at || monotonic_ns() < m->stop_at)
		return;
	log_warn("the guest has not powered off in %u s: stopping the VM", m->config->stop_timeout);
	m->vm_exit.end(&m->vm_exit, VM_END_QUIT);
}
