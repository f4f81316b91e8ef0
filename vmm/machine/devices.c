/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attachment of devices to buses, irqfds, ioeventfds and register pages.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#include "vmm/arch.h"
#include "vmm/machine/internal.h"
#include "vmm/text.h"
#include "vmm/report.h"
#include "vmm/console/serial.h"

static bool shares_image(const struct blk_config *disk)
{
	return disk->readonly || disk->ephemeral;
}

/*
 * Refuses disk n if its image is already used by an earlier disk of this VM, unless both only read
 * it. The image's lock would refuse it, too, but the message could not say that the holder
 * is this process.
 */
static int refuse_second_use(const struct machine *m, unsigned int n)
{
	const struct blk_config *disk = m->config->disk;
	char first[SHOWN_MAX], why[SHOWN_MAX + 120];

	for (unsigned int i = 0; i < n; i++) {
		if ((shares_image(&disk[i]) && shares_image(&disk[n])) ||
		    !blk_has_image(m->disk[i].blk, disk[n].path))
			continue;
		text_show(first, sizeof(first), disk[i].path);
		snprintf(why, sizeof(why),
			 "disk %u is the same image as disk %u, %s; only readonly and "
			 "ephemeral disks can share one",
			 n, i, first);
		return report_option(-EBUSY, "--disk", disk[n].path, why);
	}
	return 0;
}

int machine_create_disks(struct machine *m)
{
	for (unsigned int i = 0; i < m->config->disk_count; i++) {
		struct blk_config config = vm_sandbox_disk(&m->vm_sandbox, i);
		struct disk *disk = &m->disk[i];
		const char *why, *format;
		int err = refuse_second_use(m, i);

		if (err)
			return err;
		config.stats = m->config->stats;
		err = blk_create(&disk->blk, &config, i, &m->memory.map, &why);
		if (err && !why)
			return err;
		if (err)
			/* Without `why`, report_option names the limit behind the error. */
			return report_option(err, "--disk", config.path,
					     err == -EMFILE || err == -ENFILE ? NULL : why);
		format = blk_format(disk->blk);
		if (format)
			log_warn("--disk %.200s: looks like a %s image, but is used as raw",
				 config.path, format);
		virtio_mmio_init(&disk->mmio, blk_virtio(disk->blk));
		m->disk_count++;
	}
	return 0;
}

static const struct bus_ops virtio_bus_ops = {
	.name = "virtio-blk",
	.read = virtio_mmio_read,
	.write = virtio_mmio_write,
};

static int attach_serial(struct machine *m, const struct dev_desc *desc)
{
	struct bus *bus = desc->pio ? &m->pio : &m->mmio;
	int err;

	m->serial_irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->serial_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->serial_irq_fd < 0 || m->serial_wake_fd < 0)
		return -errno;
	err = serial_create(&m->serial, m->serial_irq_fd, m->serial_wake_fd);
	if (!err)
		err = vm_irqfd(&m->vm, desc->gsi, m->serial_irq_fd);
	if (!err)
		err = bus_add(bus, desc->base, desc->size, &serial_bus_ops, m->serial);
	return err;
}

static int attach_doorbells(struct machine *m, uint64_t gpa, const struct virtio_device *dev)
{
	int err = 0;

	if (dev->queue_count == 1)
		return vm_ioeventfd(&m->vm, gpa, dev->queue[0].kick_fd);
	for (unsigned int i = 0; i < dev->queue_count && !err; i++)
		err = vm_ioeventfd_match(&m->vm, gpa, i, dev->queue[i].kick_fd);
	return err;
}

static int coalesce_writes(struct machine *m, uint64_t gpa)
{
	int err = 0;

	for (unsigned int i = 0; i < VIRTIO_MMIO_COALESCED_ZONES && !err; i++)
		err = vm_coalesce_mmio(&m->vm, gpa + virtio_mmio_coalesced[i].offset,
				       virtio_mmio_coalesced[i].size);
	return err;
}

/* Directs acknowledgements that have no effect (VIRTIO_MMIO_ACK_IDLE) to an eventfd that is never
 * read, so that they cause no exit. All disks share the eventfd. */
static int sink_acks(struct machine *m, uint64_t gpa)
{
	if (m->ack_sink_fd < 0)
		m->ack_sink_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->ack_sink_fd < 0)
		return -errno;
	return vm_ioeventfd_match(&m->vm, gpa, VIRTIO_MMIO_ACK_IDLE, m->ack_sink_fd);
}

static int attach_disk(struct machine *m, const struct dev_desc *desc, struct disk *disk)
{
	const struct virtio_device *dev = blk_virtio(disk->blk);
	int err = vm_irqfd(&m->vm, desc->gsi, dev->irq.fd);

	if (!err)
		err = attach_doorbells(m, desc->base + VIRTIO_MMIO_DOORBELL, dev);
	if (!err)
		err = sink_acks(m, desc->base + VIRTIO_MMIO_ACK);
	if (!err)
		err = coalesce_writes(m, desc->base);
	if (!err)
		err = bus_add(&m->mmio, desc->base, desc->size, &virtio_bus_ops, &disk->mmio);
	return err;
}

/* Creates the eventfd of a device that consists of an interrupt. */
static int attach_interrupt(struct machine *m, const struct dev_desc *desc, int *fd)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : vm_irqfd(&m->vm, desc->gsi, *fd);
}

int machine_new_generation(struct machine *m)
{
	void *id = NULL;
	ssize_t got;

	for (unsigned int i = 0; i < m->devices.count && !id; i++)
		if (m->devices.dev[i].kind == DEV_GENERATION)
			id = hostmem_lookup(&m->memory.map, m->devices.dev[i].base,
					    DEV_GENERATION_SIZE, true);
	if (!id)
		return 0;
	got = getrandom(id, DEV_GENERATION_SIZE, 0);
	if (got != DEV_GENERATION_SIZE)
		return report_host(got < 0 ? -errno : -EIO, "a random VM Generation ID");
	/* A guest that boots reads the ID when it looks for the device. */
	if (m->restore)
		eventfd_signal(m->generation_fd);
	return 0;
}

int machine_map_regpages(struct machine *m)
{
	unsigned int disks = 0;
	int err = 0;

	for (unsigned int i = 0; i < m->devices.count && !err; i++) {
		const struct dev_desc *desc = &m->devices.dev[i];
		struct hostmem_region regpage;

		if (desc->kind != DEV_VIRTIO_BLK)
			continue;
		regpage = (struct hostmem_region){
			.gpa = desc->base,
			.size = virtio_regpage_size(),
			.hva = blk_virtio(m->disk[disks].blk)->regpage,
			.readonly = true,
		};
		/* With host pages of more than 4 KiB, the register page could cover the next
		 * device. */
		if (m->vm.windows && regpage.size <= desc->size)
			err = vm_map_readonly(&m->vm, &m->memory.map, disks, &regpage);
		disks++;
	}
	return err;
}

int machine_attach_devices(struct machine *m)
{
	unsigned int disks = 0;

	for (unsigned int i = 0; i < m->devices.count; i++) {
		const struct dev_desc *desc = &m->devices.dev[i];
		int err;

		switch (desc->kind) {
		case DEV_SERIAL:
			err = attach_serial(m, desc);
			break;
		case DEV_POWER_BUTTON:
			err = attach_interrupt(m, desc, &m->button_fd);
			break;
		case DEV_GENERATION:
			err = attach_interrupt(m, desc, &m->generation_fd);
			break;
		case DEV_VIRTIO_BLK:
			err = attach_disk(m, desc, &m->disk[disks++]);
			break;
		case DEV_EXIT_PORT:
			err = machine_attach_exit_port(m, desc);
			break;
		default:
			err = arch_device_create(desc, &m->pio, &m->mmio, &m->vm_exit);
			break;
		}
		if (err)
			return report_host(err, "attaching a device");
	}
	return 0;
}
