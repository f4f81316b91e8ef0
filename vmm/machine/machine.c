/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/machine/machine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/boot/loader.h"
#include "vmm/machine/vm_sandbox.h"
#include "vmm/console/console.h"
#include "vmm/control/disk_stats.h"
#include "vmm/machine/internal.h"
#include "vmm/report.h"
#include "vmm/console/serial.h"

static void machine_end(struct vm_exit *vm_exit, enum vm_end why)
{
	struct machine *m = container_of(vm_exit, struct machine, vm_exit);
	uint32_t running = VM_RUNNING;

	/* Only the first reason counts. */
	if (__atomic_compare_exchange_n(&vm_exit->why, &running, (uint32_t)why, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		eventfd_signal(m->end_fd);
}

/* ---- set-up ---- */

/* Raises the soft limit on descriptors to the hard limit, because each vCPU, queue and
 * interrupt takes descriptors. The soft limit is low only for programs that use select(2); this
 * one does not. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_events(struct machine *m)
{
	m->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->end_fd < 0)
		return report_host(-errno, "event file descriptors");
	vcpu_init_signal();
	return machine_stop_open(m);
}

static int report_memory(const struct machine *m, int err, const char *why)
{
	return report_option(err, "--memory", m->config->memory_text, why);
}

static int create_memory(struct machine *m)
{
	int err = memory_create(&m->memory, m->config->memory, machine_restore_memory(m));

	if (!err && m->config->core_dump)
		memory_dump(&m->memory);
	if (err == -ENOMEM)
		return report_memory(m, err,
				     "Cannot allocate memory (vm.overcommit_memory, RLIMIT_AS)");
	return err ? report_memory(m, err, NULL) : 0;
}

static int create_vm(struct machine *m)
{
	unsigned int cpus = m->config->cpus;
	const char *why;
	char value[16], most[64];
	int err = vm_create(&m->vm, m->config->memory, &why);

	if (err == -E2BIG)
		return report_memory(m, err, "more than this host's KVM can give a VM");
	if (err)
		return report_host(err, why ? why : "setting up the VM");
	snprintf(value, sizeof(value), "%u", cpus);
	snprintf(most, sizeof(most), "more than the %u that this host's KVM gives a VM",
		 m->vm.cpus_max);
	if (cpus > m->vm.cpus_max)
		return report_option(-EINVAL, "--cpus", value, most);
	if (cpus > m->vm.cpus_recommended)
		log_warn("--cpus %u: more than the %u that KVM recommends on this host", cpus,
			 m->vm.cpus_recommended);

	/* Memory is mapped first: once a device is on KVM's bus, a new memory slot waits for
	 * readers of the old tables, which takes some 5 ms. */
	err = vm_map_memory(&m->vm, &m->memory.map);
	if (!err)
		err = machine_map_regpages(m);
	if (!err)
		err = arch_vm_setup(m->vm.kvm_fd, m->vm.fd);
	if (!err && m->snapshot_fd >= 0)
		err = arch_state_create(&m->arch_state, m->vm.kvm_fd, m->vm.fd);
	return err ? report_host(err, "setting up the VM") : 0;
}

static int report_vcpu(const struct machine *m, int err, unsigned int index)
{
	char what[48];

	snprintf(what, sizeof(what), "--cpus %u: creating vCPU %u", m->config->cpus, index);
	return report_host(err, what);
}

static int create_vcpus(struct machine *m)
{
	int err;

	m->vcpu = calloc(m->config->cpus, sizeof(*m->vcpu));
	if (m->config->stats)
		m->exits = calloc(m->config->cpus, sizeof(*m->exits));
	if (!m->vcpu || (m->config->stats && !m->exits))
		return report_host(-ENOMEM, "vCPUs");

	for (unsigned int i = 0; i < m->config->cpus; i++) {
		struct vcpu *vcpu = &m->vcpu[i];

		*vcpu = (struct vcpu){ .index = i,
				       .fd = -1,
				       .pio = &m->pio,
				       .mmio = &m->mmio,
				       .vm_exit = &m->vm_exit,
				       .vcpu_pause = &m->vcpu_pause,
				       .begin = sandbox_thread(SANDBOX_VCPU),
				       .exits = m->exits ? &m->exits[i] : NULL };
		m->vcpu_count++;
		err = vcpu_create(vcpu, &m->vm);
		if (!err && !m->restore)
			err = arch_vcpu_setup(m->vm.kvm_fd, m->vm.fd, vcpu->fd, i, m->config->cpus,
					      m->snapshot_fd >= 0, m->boot);
		if (err)
			return report_vcpu(m, err, i);
	}
	err = arch_vm_finish(m->vm.fd, m->boot);
	return err ? report_host(err, "setting up the VM") : 0;
}

/* ---- the steps of the set-up ---- */

static int find_user(struct machine *m)
{
	return vm_sandbox_init(&m->vm_sandbox, m->config);
}

static int find_devices(struct machine *m)
{
	return loader_devices(m->config, &m->devices);
}

static int begin_loading(struct machine *m)
{
	if (m->restore)
		return 0;
	return loader_begin(&m->loader, m->config, &m->devices, &m->memory.map, &m->boot);
}

static int open_control(struct machine *m)
{
	return m->config->control ? machine_control_open(m) : 0;
}

static int dump_tree(struct machine *m)
{
	return m->config->dump_dtb ? loader_dump_tree(&m->loader, m->boot) : 0;
}

static int finish_loading(struct machine *m)
{
	return m->restore ? 0 : loader_finish(&m->loader);
}

/* The steps of the set-up in their order. Steps that check the user's input come before those that
 * need KVM, so that a mistake in the input is reported on any host. */
static int (*const set_up[])(struct machine *m) = {
	open_events,
	find_user,
	machine_restore_open,
	find_devices,
	create_memory,
	machine_restore_fill,
	machine_create_disks,
	machine_restore_check,
	begin_loading,
	machine_snapshots_open,
	open_control,
	machine_console_open,
	create_vm,
	create_vcpus,
	dump_tree,
	machine_attach_devices,
	finish_loading,
	machine_restore_vcpus,
	machine_new_generation,
	machine_console_start,
};

int machine_create(struct machine **machine, const struct machine_config *config,
		   const struct supervisor_link *link)
{
	struct machine *m = calloc(1, sizeof(*m));
	int err = 0;

	if (!m)
		return report_host(-ENOMEM, "machine");
	m->config = config;
	m->link = link;
	m->vm_exit.end = machine_end;
	vcpu_pause_init(&m->vcpu_pause);
	m->end_fd = m->signal_fd = -1;
	m->serial_irq_fd = m->serial_wake_fd = m->button_fd = m->commands.alert_fd = -1;
	m->generation_fd = -1;
	m->ack_sink_fd = m->console_end.fd = m->console_end.slave_fd = -1;
	m->console_end.socket.fd = -1;
	m->vm.fd = m->vm.kvm_fd = -1;
	m->snapshot_fd = m->pagemap_fd = -1;

	raise_fd_limit();
	for (size_t i = 0; i < ARRAY_SIZE(set_up) && !err; i++) {
		err = set_up[i](m);
		if (!err)
			err = machine_stop_asked(m);
	}
	if (err) {
		machine_destroy(m);
		return err;
	}
	*machine = m;
	return 0;
}

/* ---- running ---- */

/* Indices into the array of poll entries. */
enum {
	POLL_END,
	POLL_SIGNAL,
	POLL_CONSOLE,
	POLL_CONTROL = POLL_CONSOLE + CONSOLE_POLLFDS,
	POLL_COUNT = POLL_CONTROL + COMMANDS_POLLFDS,
};

/* Returns the shorter of two time-outs; -1: none. */
static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Fills all poll entries and returns the time-out for poll(2) in ms (-1: none). */
static int prepare(struct machine *m, struct pollfd fds[POLL_COUNT])
{
	int timeout = machine_stop_prepare(m);

	for (unsigned int i = 0; i < POLL_COUNT; i++)
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	fds[POLL_END].fd = m->end_fd;
	fds[POLL_SIGNAL].fd = m->signal_fd;
	if (m->console)
		timeout = sooner(timeout, console_prepare(m->console, fds + POLL_CONSOLE));
	if (m->commands.jobs)
		timeout = sooner(timeout, commands_prepare(&m->commands, fds + POLL_CONTROL));
	return timeout;
}

enum vm_end machine_run(struct machine *m)
{
	struct pollfd fds[POLL_COUNT];

	/* A signal that arrived before the guest runs ends the VM here: a guest that has not
	 * started cannot react to the power button. */
	machine_stop_take(m);
	m->guest_runs = !m->vm_exit.why;
	vcpu_pause_release(&m->vcpu_pause);
	while (!LOAD_ACQUIRE(m->vm_exit.why)) {
		int timeout = prepare(m, fds);

		if (poll(fds, m->commands.control ? POLL_COUNT : POLL_CONTROL, timeout) < 0) {
			/* EINTR and ENOMEM are transient: the loop checks everything again. */
			if (errno == EINTR || errno == ENOMEM)
				continue;
			report_host(-errno, "waiting for events");
			machine_end(&m->vm_exit, VM_END_ERROR);
			break;
		}
		if (fds[POLL_SIGNAL].revents)
			machine_stop_take(m);
		machine_stop_handle(m);
		/* Control commands come before the console, because a pause or resume changes
		 * whether console input is read. */
		if (m->commands.jobs)
			commands_handle(&m->commands, fds + POLL_CONTROL);
		if (m->console && console_handle(m->console, fds + POLL_CONSOLE)) {
			log_at(machine_end_level(m), "Ctrl-A x: stopping the VM");
			machine_end(&m->vm_exit, VM_END_QUIT);
		}
	}
	machine_end_settle(m);
	log_debug("the VM ends: %s", vm_end_info[m->vm_exit.why].reason);
	machine_control_end(m);
	return (enum vm_end)m->vm_exit.why;
}

/* ---- tear-down ---- */

static void destroy_vcpus(struct machine *m)
{
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_stop(&m->vcpu[i]);
	vcpu_pause_release(&m->vcpu_pause);
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_destroy(&m->vcpu[i]);
	free(m->vcpu);
	vcpu_pause_destroy(&m->vcpu_pause);
}

static int destroy_disks(struct machine *m)
{
	int result = 0;

	for (unsigned int i = 0; i < m->disk_count; i++)
		blk_hold(m->disk[i].blk);
	for (unsigned int i = m->disk_count; i-- > 0;) {
		int err;

		if (m->config->stats && m->vm_exit.why)
			disk_stats_print(&m->config->disk[i], m->disk[i].blk);
		err = blk_destroy(m->disk[i].blk);
		virtio_mmio_destroy(&m->disk[i].mmio);
		if (err)
			result = report_option(err, "--disk", m->config->disk[i].path,
					       "flush failed");
	}
	return result;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

int machine_destroy(struct machine *m)
{
	int result;

	if (!m)
		return 0;
	loader_cancel(&m->loader);
	destroy_vcpus(m);
	vm_sandbox_end(&m->vm_sandbox);
	machine_console_close(m, !m->guest_runs && !m->confined);
	if (m->guest_runs)
		machine_end_explain(m);
	if (m->exits && m->vm_exit.why)
		exits_report(m->exits, m->config->cpus, &m->pio, &m->mmio);
	free(m->exits);
	serial_destroy(m->serial);
	close_fd(m->serial_wake_fd);
	close_fd(m->serial_irq_fd);
	close_fd(m->button_fd);
	close_fd(m->generation_fd);
	close_fd(m->ack_sink_fd);
	vm_destroy(&m->vm);
	free(m->arch_state);
	free(m->boot);
	result = destroy_disks(m);
	memory_destroy(&m->memory);
	close_fd(m->pagemap_fd);
	close_fd(m->snapshot_fd);
	if (!m->guest_runs && !m->confined)
		control_remove(m->commands.control);
	commands_close(&m->commands);
	close_fd(m->signal_fd);
	close_fd(m->end_fd);
	machine_restore_close(m);
	free(m);
	return result;
}
