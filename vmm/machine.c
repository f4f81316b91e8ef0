/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/machine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/loader.h"
#include "vmm/confine.h"
#include "vmm/console.h"
#include "vmm/machine_parts.h"
#include "vmm/report.h"
#include "vmm/serial.h"

/* How long the end of the VM waits for a reader of the console. */
#define CONSOLE_DRAIN_MS 1000

static void machine_end(struct vm_ender *ender, enum vm_end why)
{
	struct machine *m = container_of(ender, struct machine, ender);
	uint32_t running = VM_RUNNING;
	uint64_t one = 1;

	/* The first reason is the one that counts. */
	if (!__atomic_compare_exchange_n(&ender->why, &running, (uint32_t)why, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	ssize_t ignored = write(m->end_fd, &one, sizeof(one));
	(void)ignored;
}

/* ---- set-up ---- */

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
	char size[32];

	snprintf(size, sizeof(size), "%lluM", (unsigned long long)m->config->memory >> 20);
	return report_option(err, "--memory", size, why);
}

static int create_memory(struct machine *m)
{
	int err = memory_create(&m->memory, m->config->memory);

	if (!err && m->config->core_dump)
		memory_dump(&m->memory);
	return err ? report_memory(m, err, NULL) : 0;
}

static int create_disks(struct machine *m)
{
	for (unsigned int i = 0; i < m->config->disk_count; i++) {
		struct blk_config config = confine_disk(&m->confine, i);
		struct disk *disk = &m->disk[i];
		const char *why;
		int err;

		config.stats = m->config->stats;
		err = blk_create(&disk->blk, &config, i, &m->memory.map, &why);
		if (err)
			return report_option(err, "--disk", config.path, why);
		virtio_mmio_init(&disk->mmio, blk_virtio(disk->blk));
		m->disk_count++;
	}
	return 0;
}

static int create_vm(struct machine *m)
{
	unsigned int cpus = m->config->cpus;
	const char *why;
	char value[16];
	int err = vm_create(&m->vm, m->config->memory, &why);

	if (err == -E2BIG)
		return report_memory(m, err, "more than this host's KVM can give a VM");
	if (err) {
		log_error("%s%s%s", why, why ? ": " : "", strerror(-err));
		return err;
	}
	snprintf(value, sizeof(value), "%u", cpus);
	if (cpus > m->vm.cpus_max)
		return report_option(-EINVAL, "--cpus", value,
				     "more than this host's KVM can give a VM");
	if (cpus > m->vm.cpus_recommended)
		log_warn("--cpus %u: more than the %u this host recommends; going on", cpus,
			 m->vm.cpus_recommended);

	/* Memory first: once a device is on KVM's bus, a new memory slot waits for readers of the
	 * old tables, some 5 ms. */
	err = vm_map_memory(&m->vm, &m->memory.map);
	if (!err)
		err = machine_map_windows(m);
	if (!err)
		err = arch_vm_setup(m->vm.kvm_fd, m->vm.fd);
	return err ? report_host(err, "setting up the VM") : 0;
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
				       .ender = &m->ender,
				       .gate = &m->gate,
				       .begin = sandbox_thread(SANDBOX_VCPU),
				       .exits = m->exits ? &m->exits[i] : NULL };
		m->vcpu_count++;
		err = vcpu_create(vcpu, &m->vm);
		if (!err)
			err = arch_vcpu_setup(m->vm.kvm_fd, m->vm.fd, vcpu->fd, i, m->config->cpus,
					      m->boot);
		if (err)
			return report_host(err, "creating a vCPU");
	}
	err = arch_vm_finish(m->vm.fd, m->boot);
	return err ? report_host(err, "setting up the VM") : 0;
}

/* From here on the terminal is raw. */
static int open_console(struct machine *m)
{
	int err = 0;

	if (m->serial)
		err = console_open(&m->console, m->serial, m->serial_wake_fd, STDIN_FILENO,
				   STDOUT_FILENO);
	return err ? report_host(err, "console") : 0;
}

/* Last of all. Who makes VMs and vCPUs is not needed any more. */
static int enter_sandbox(struct machine *m)
{
	unsigned int fds = m->control ? MACHINE_CONTROL_FDS : 0;

	close(m->vm.kvm_fd);
	m->vm.kvm_fd = -1;
	for (unsigned int i = 0; i < m->disk_count; i++)
		fds += blk_fds(m->disk[i].blk);
	return confine_enter(&m->confine, fds);
}

int machine_create(struct machine **machine, const struct machine_config *config)
{
	struct machine *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return report_host(-ENOMEM, "machine");
	m->config = config;
	m->ender.end = machine_end;
	gate_init(&m->gate);
	m->end_fd = m->signal_fd = -1;
	m->serial_irq_fd = m->serial_wake_fd = m->button_fd = m->alert_fd = -1;
	m->swallow_fd = -1;
	m->vm.fd = m->vm.kvm_fd = -1;

	/* What the user named comes first: a mistake there is reported on any host. */
	err = confine_init(&m->confine, config);
	if (!err)
		err = open_events(m);
	if (!err)
		err = loader_devices(config, &m->devices);
	if (!err)
		err = create_memory(m);
	if (!err)
		err = create_disks(m);
	if (!err)
		err = loader_begin(&m->loader, config, &m->devices, &m->memory.map, &m->boot);
	if (!err && config->control)
		err = machine_control_open(m);
	if (!err)
		err = create_vm(m);
	if (!err)
		err = create_vcpus(m);
	if (!err && config->dump_dtb)
		err = loader_dump_tree(config, m->boot);
	if (!err)
		err = machine_attach_devices(m);
	if (!err)
		err = loader_finish(&m->loader);
	if (!err)
		err = open_console(m);
	if (!err)
		err = enter_sandbox(m);
	if (err) {
		machine_destroy(m);
		return err;
	}
	*machine = m;
	return 0;
}

/* ---- running ---- */

static int start_vcpus(struct machine *m)
{
	int err = machine_control_start(m);

	if (err)
		return err;
	for (unsigned int i = 0; i < m->vcpu_count; i++) {
		err = vcpu_start(&m->vcpu[i]);
		if (err)
			return report_host(err, "starting a vCPU thread");
	}
	err = thread_begin(sandbox_thread(SANDBOX_MAIN));
	return err ? report_host(err, "sandbox") : 0;
}

/* Where each one's entries are. */
enum {
	POLL_END,
	POLL_SIGNAL,
	POLL_CONSOLE,
	POLL_CONTROL = POLL_CONSOLE + CONSOLE_POLLFDS,
	POLL_COUNT = POLL_CONTROL + MACHINE_CONTROL_POLLFDS,
};

/* Of two time-outs; -1: none. */
static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Returns the time-out. */
static int prepare(struct machine *m, struct pollfd fds[POLL_COUNT])
{
	int timeout = machine_stop_prepare(m);

	for (unsigned int i = 0; i < POLL_COUNT; i++)
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	fds[POLL_END].fd = m->end_fd;
	fds[POLL_SIGNAL].fd = m->signal_fd;
	if (m->console)
		timeout = sooner(timeout, console_prepare(m->console, fds + POLL_CONSOLE));
	if (m->errands)
		timeout = sooner(timeout, machine_control_prepare(m, fds + POLL_CONTROL));
	return timeout;
}

enum vm_end machine_run(struct machine *m)
{
	struct pollfd fds[POLL_COUNT];

	/* One that came while all was set up. */
	machine_stop_take(m);
	m->guest_runs = !m->ender.why;
	if (m->guest_runs && start_vcpus(m))
		machine_end(&m->ender, VM_END_ERROR);

	while (!LOAD_ACQUIRE(m->ender.why)) {
		int timeout = prepare(m, fds);

		if (poll(fds, m->control ? POLL_COUNT : POLL_CONTROL, timeout) < 0) {
			/* After a signal everything is looked at again. */
			if (errno == EINTR || errno == ENOMEM)
				continue;
			report_host(-errno, "waiting for events");
			machine_end(&m->ender, VM_END_ERROR);
			break;
		}
		if (fds[POLL_SIGNAL].revents)
			machine_stop_take(m);
		machine_stop_handle(m);
		/* First: it may hold the console's input, or let it go. */
		if (m->errands)
			machine_control_handle(m, fds + POLL_CONTROL);
		if (m->console && console_handle(m->console, fds + POLL_CONSOLE))
			machine_end(&m->ender, VM_END_QUIT);
	}
	log_debug("the VM ends: %s", machine_end_reason((enum vm_end)m->ender.why));
	machine_control_end(m);
	return (enum vm_end)m->ender.why;
}

/* ---- tear-down ---- */

static void destroy_vcpus(struct machine *m)
{
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_stop(&m->vcpu[i]);
	gate_open(&m->gate);
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_destroy(&m->vcpu[i]);
	free(m->vcpu);
	gate_destroy(&m->gate);
}

static int destroy_disks(struct machine *m)
{
	int result = 0;

	for (unsigned int i = m->disk_count; i-- > 0;) {
		int err;

		if (m->config->stats && m->ender.why)
			machine_print_stats(&m->config->disk[i], m->disk[i].blk);
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
	confine_end(&m->confine);
	if (m->console)
		console_close(m->console, CONSOLE_DRAIN_MS);
	if (m->exits && m->ender.why)
		exits_report(m->exits, m->config->cpus, &m->pio, &m->mmio);
	free(m->exits);
	serial_destroy(m->serial);
	close_fd(m->serial_wake_fd);
	close_fd(m->serial_irq_fd);
	close_fd(m->button_fd);
	close_fd(m->swallow_fd);
	vm_destroy(&m->vm);
	free(m->boot);
	result = destroy_disks(m);
	memory_destroy(&m->memory);
	machine_control_close(m);
	close_fd(m->alert_fd);
	close_fd(m->signal_fd);
	close_fd(m->end_fd);
	free(m);
	return result;
}
