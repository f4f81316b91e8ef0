/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/report.h"
#include "vmm/write_all.h"

/* Larger than any kernel's limit, which the loader checks. */
#define CMDLINE_MAX 65536

static int open_input(int *fd, const char *option, const char *path)
{
	struct stat st;

	/* Look first: opening a FIFO would wait for its writer. */
	if (stat(path, &st))
		return report_option(-errno, option, path, NULL);
	if (S_ISDIR(st.st_mode))
		return report_option(-EISDIR, option, path, "is a directory");
	if (!S_ISREG(st.st_mode))
		return report_option(-EINVAL, option, path, "not a regular file");
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? report_option(-errno, option, path, NULL) : 0;
}

/* Add text to the line. */
static int add(char *line, size_t size, const char *text)
{
	size_t used = strlen(line), len = strlen(text);

	if (len >= size - used)
		return -E2BIG;
	memcpy(line + used, text, len + 1);
	return 0;
}

int loader_devices(const struct machine_config *config, struct devlist *devices)
{
	int err = arch_devices(devices, config->description, config->console, config->disk_count);

	if (err == -EOPNOTSUPP)
		return report_option(err, "--describe",
				     config->description == DESCRIBE_ACPI ? "acpi" : "fdt",
				     "kernels for this architecture are not told so");
	return err ? report_host(err, "devices") : 0;
}

int loader_cmdline(const struct machine_config *config, const struct devlist *devices, char *line,
		   size_t size)
{
	int err;

	line[0] = '\0';
	if (config->cmdline)
		return add(line, size, config->cmdline);

	err = add(line, size, arch_default_cmdline(config->console));
	/* Who asks for ACPI has a kernel that goes by it: told here as well, it would find each disk
	 * twice, and say so. */
	if (!err && config->description != DESCRIBE_ACPI)
		err = arch_cmdline_disks(devices, line, size);
	if (!err && config->disk_count && !config->initrd)
		err = add(line, size, " root=/dev/vda");
	if (!err && config->disk_count && !config->initrd)
		err = add(line, size, config->disk[0].readonly ? " ro" : " rw");
	if (!err && config->append)
		err = add(line, size, " ");
	if (!err && config->append)
		err = add(line, size, config->append);
	return err;
}

static int report(const struct machine_config *config, int err, const struct arch_boot_error *error)
{
	switch (error->part) {
	case BOOT_INITRD:
		return report_option(err, "--initrd", config->initrd, error->why);
	case BOOT_CMDLINE:
		if (config->cmdline)
			return report_option(err, "--cmdline", config->cmdline, error->why);
		return report_option(err, "--append", config->append ? config->append : "",
				     error->why);
	case BOOT_KERNEL:
		break;
	}
	return report_option(err, "--kernel", config->kernel, error->why);
}

static int load(struct loader *l, const struct devlist *devices, const struct hostmem *mem,
		struct arch_boot **boot)
{
	const struct machine_config *config = l->config;
	struct arch_boot_error error = { .part = BOOT_CMDLINE, .why = "too long" };
	char *line = malloc(CMDLINE_MAX);
	struct arch_boot_config arch = {
		.kernel_fd = l->kernel_fd,
		.initrd_fd = l->initrd_fd,
		.cmdline = line,
		.ram_size = config->memory,
		.cpus = config->cpus,
		.mem = mem,
		.devices = devices,
		.read = &l->read,
	};
	int err;

	if (!line)
		return report_host(-ENOMEM, "kernel command line");
	err = loader_cmdline(config, devices, line, CMDLINE_MAX);
	if (!err)
		err = arch_boot_load(&arch, boot, &error);
	if (err)
		report(config, err, &error);
	free(line);
	return err;
}

int loader_begin(struct loader *l, const struct machine_config *config,
		 const struct devlist *devices, const struct hostmem *mem, struct arch_boot **boot)
{
	int err;

	*l = (struct loader){ config, -1, -1, BOOTREAD_INIT, true };
	err = open_input(&l->kernel_fd, "--kernel", config->kernel);
	if (!err && config->initrd)
		err = open_input(&l->initrd_fd, "--initrd", config->initrd);
	if (!err)
		err = load(l, devices, mem, boot);
	if (!err)
		bootread_start(&l->read);
	return err;
}

int loader_finish(struct loader *l)
{
	struct arch_boot_error error;
	int err = bootread_finish(&l->read, &error);

	loader_cancel(l);
	return err ? report(l->config, err, &error) : 0;
}

void loader_cancel(struct loader *l)
{
	if (!l->open)
		return;
	bootread_cancel(&l->read);
	if (l->initrd_fd >= 0)
		close(l->initrd_fd);
	if (l->kernel_fd >= 0)
		close(l->kernel_fd);
	l->open = false;
}

int loader_dump_tree(const struct machine_config *config, const struct arch_boot *boot)
{
	const void *tree;
	size_t size;
	int fd, err = arch_boot_tree(boot, &tree, &size);

	if (err)
		return report_option(err, "--dump-dtb", config->dump_dtb, NULL);
	fd = open(config->dump_dtb, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return report_option(-errno, "--dump-dtb", config->dump_dtb, NULL);
	err = write_all(fd, tree, size);
	if (close(fd) < 0 && !err)
		err = -errno;
	return err ? report_option(err, "--dump-dtb", config->dump_dtb, NULL) : 0;
}
