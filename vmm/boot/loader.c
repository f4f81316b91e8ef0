/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/boot/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/report.h"
#include "vmm/write_all.h"

/* Space for the part of the command line that does not come from the user. */
#define CMDLINE_DEFAULT_MAX 4096
#define MIB		    (1ull << 20)

static int open_input(int *fd, const char *option, const char *path)
{
	struct stat st;

	/* stat comes first, because open would block on a FIFO that has no writer. */
	if (stat(path, &st))
		return report_option(-errno, option, path, NULL);
	if (S_ISDIR(st.st_mode))
		return report_option(-EISDIR, option, path, "is a directory");
	if (!S_ISREG(st.st_mode))
		return report_option(-EINVAL, option, path, "not a regular file");
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? report_option(-errno, option, path, NULL) : 0;
}

/* Open the file of --dump-dtb without truncating it: if set-up fails later, an existing file keeps
 * its contents, and loader_cancel removes a new one. */
static int open_tree(struct loader *l)
{
	const char *path = l->config->dump_dtb;
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC;

	l->tree_fd = open(path, flags | O_EXCL, 0666);
	l->tree_is_ours = l->tree_fd >= 0;
	if (l->tree_fd < 0 && errno == EEXIST)
		l->tree_fd = open(path, flags, 0666);
	return l->tree_fd < 0 ? report_option(-errno, "--dump-dtb", path, NULL) : 0;
}

static void close_tree(struct loader *l)
{
	if (l->tree_fd < 0)
		return;
	close(l->tree_fd);
	l->tree_fd = -1;
	if (l->tree_is_ours)
		unlink(l->config->dump_dtb);
	l->tree_is_ours = false;
}

/* Append `text` to `line`. Returns 0, or -E2BIG if it does not fit in `size` bytes. */
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
				     "not supported on this architecture");
	if (!err && config->exit_port.given)
		err = arch_exit_port(devices, config->exit_port.port);
	if (err == -EADDRINUSE)
		return report_option(err, "--exit-port", config->exit_port.text,
				     "the machine has another device there");
	return err ? report_host(err, "devices") : 0;
}

/* Tells the init of the project's images the address of the exit port. The kernel passes
 * parameters that it does not recognise on to init. */
static int add_exit_port(const struct devlist *devices, char *line, size_t size)
{
	char text[40];

	for (unsigned int i = 0; i < devices->count; i++) {
		if (devices->dev[i].kind != DEV_EXIT_PORT || devices->dev[i].pio)
			continue;
		snprintf(text, sizeof(text), " exit_port=0x%" PRIx64, devices->dev[i].base);
		return add(line, size, text);
	}
	return 0;
}

int loader_cmdline(const struct machine_config *config, const struct devlist *devices, char *line,
		   size_t size)
{
	int err;

	line[0] = '\0';
	if (config->cmdline)
		return add(line, size, config->cmdline);

	err = add(line, size, arch_default_cmdline(config->console));
	/* A kernel that is booted with ACPI finds the disks there. With the disks on the command
	 * line as well, it would find each one twice and warn about that. */
	if (!err && config->description != DESCRIBE_ACPI)
		err = arch_cmdline_disks(devices, line, size);
	if (!err && config->disk_count && !config->initrd)
		err = add(line, size, " root=/dev/vda");
	if (!err && config->disk_count && !config->initrd)
		err = add(line, size, config->disk[0].readonly ? " ro" : " rw");
	if (!err)
		err = add_exit_port(devices, line, size);
	if (!err && config->append)
		err = add(line, size, " ");
	if (!err && config->append)
		err = add(line, size, config->append);
	return err;
}

static int report_cmdline(const struct machine_config *config, int err,
			  const struct arch_boot_error *error)
{
	const char *text = config->cmdline ? config->cmdline : config->append;
	char why[100];

	snprintf(why, sizeof(why),
		 "makes the kernel command line %" PRIu64
		 " characters long; this kernel accepts %" PRIu64,
		 error->size, error->limit);
	return report_option(err, config->cmdline ? "--cmdline" : "--append", text ? text : "",
			     why);
}

static int report(const struct machine_config *config, int err, const struct arch_boot_error *error)
{
	const char *why = error->why;
	char text[128];

	if (error->memory && error->memory <= MEMORY_MAX) {
		snprintf(text, sizeof(text), "%s: at least %lluM", why,
			 (unsigned long long)((error->memory + MIB - 1) / MIB));
		why = text;
	}
	switch (error->part) {
	case BOOT_INITRD:
		return report_option(err, "--initrd", config->initrd, why);
	case BOOT_CMDLINE:
		return report_cmdline(config, err, error);
	case BOOT_KERNEL:
		break;
	}
	return report_option(err, "--kernel", config->kernel, why);
}

static int load(struct loader *l, const struct devlist *devices, const struct hostmem *mem,
		struct arch_boot **boot)
{
	const struct machine_config *config = l->config;
	struct arch_boot_error error = { .part = BOOT_CMDLINE };
	const char *text = config->cmdline ? config->cmdline : config->append;
	size_t size = CMDLINE_DEFAULT_MAX + (text ? strlen(text) : 0);
	char *line = malloc(size);
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
	err = loader_cmdline(config, devices, line, size);
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

	*l = (struct loader){ .config = config,
			      .kernel_fd = -1,
			      .initrd_fd = -1,
			      .tree_fd = -1,
			      .read = BOOTREAD_INIT,
			      .open = true };
	err = open_input(&l->kernel_fd, "--kernel", config->kernel);
	if (!err && config->initrd)
		err = open_input(&l->initrd_fd, "--initrd", config->initrd);
	if (!err && config->dump_dtb)
		err = open_tree(l);
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
	close_tree(l);
	l->open = false;
}

/* Truncate the file. FIFOs and terminals cannot be truncated (EINVAL), which is no error here, just
 * as open with O_TRUNC does not report it. */
static int truncate_file(int fd)
{
	return ftruncate(fd, 0) && errno != EINVAL ? -errno : 0;
}

int loader_dump_tree(struct loader *l, const struct arch_boot *boot)
{
	const void *tree;
	size_t size;
	int err = arch_boot_tree(boot, &tree, &size);

	if (!err)
		err = truncate_file(l->tree_fd);
	if (!err) {
		l->tree_is_ours = false;
		err = write_all(l->tree_fd, tree, size);
		if (close(l->tree_fd) < 0 && !err)
			err = -errno;
		l->tree_fd = -1;
	}
	return err ? report_option(err, "--dump-dtb", l->config->dump_dtb, NULL) : 0;
}
