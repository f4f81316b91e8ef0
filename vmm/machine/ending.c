/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the VM ended: the register of --exit-port, and the log line about the reason.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/console/serial.h"
#include "vmm/machine/internal.h"
#include "vmm/text.h"

static void exit_port_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	(void)dev;
	(void)offset;
	memset(data, 0, len);
}

static void exit_port_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	struct machine *m = dev;
	uint32_t none = 0;

	(void)len; /* the low byte of a longer write is the status */
	if (offset)
		return;
	/* The first write counts if several vCPUs write. */
	__atomic_compare_exchange_n(&m->exit_byte, &none, data[0] | EXIT_BYTE_WRITTEN, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	m->vm_exit.end(&m->vm_exit, VM_END_STATUS);
}

int machine_attach_exit_port(struct machine *m, const struct dev_desc *desc)
{
	static const struct bus_ops ops = { "exit port", exit_port_read, exit_port_write };

	return bus_add(desc->pio ? &m->pio : &m->mmio, desc->base, desc->size, &ops, m);
}

int machine_exit_code(const struct machine *m, enum vm_end end)
{
	uint8_t byte = (uint8_t)READ_ONCE(m->exit_byte);

	if (end == VM_END_STATUS)
		return m->config->exit_port.qemu ? (uint8_t)(2 * byte + 1) : byte;
	return vm_end_info[end].code + (m->config->exit_port.given ? EXIT_CODE_OWN : 0);
}

enum log_level machine_end_level(const struct machine *m)
{
	return m->config->quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

void machine_end_settle(struct machine *m)
{
	if (m->vm_exit.why == VM_END_REBOOT && m->serial && serial_panicked(m->serial))
		WRITE_ONCE(m->vm_exit.why, VM_END_PANIC_REBOOT);
}

/* Returns the options that a user may need whose kernel found no root file system. */
static const char *root_hint(const struct machine_config *config)
{
	if (config->initrd)
		return "root=DEVICE and rootfstype=TYPE in --append, or another --initrd";
	if (config->disk_count)
		return "--initrd FILE, if the kernel's drivers are modules, or root=DEVICE in "
		       "--append";
	return "--disk FILE, or --initrd FILE";
}

static enum log_level explain_level(const struct machine *m)
{
	return m->vm_exit.why == VM_END_CRASH && !m->config->quiet ? LOG_LEVEL_ERROR
								   : machine_end_level(m);
}

void machine_end_explain(struct machine *m)
{
	const char *reason = vm_end_info[m->vm_exit.why].line, *said = "";
	struct last_line *line = m->serial ? serial_last_line(m->serial) : NULL;
	char shown[LAST_LINE_MAX];

	if (m->vm_exit.why == VM_END_POWEROFF && m->config->exit_port.given)
		reason = "the guest powered off without an exit status";
	if (m->vm_exit.why == VM_END_CRASH)
		reason = m->vm_exit.crash;
	if (!reason)
		return;
	if (line && !m->watched)
		said = last_line_text(line);
	text_show(shown, sizeof(shown), said);
	log_at(explain_level(m), "%s%s%s", reason, *said ? "; on its console: " : "", shown);
	if (line && line->rootless)
		log_at(machine_end_level(m),
		       "its kernel could not mount a root file system; try %s",
		       root_hint(m->config));
}
