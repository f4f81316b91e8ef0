/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens the files of the snapshot of --restore, and of its base, and reports why that fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/machine/restore.h"
#include "vmm/report.h"

#define WHY_SIZE 200

int restore_refuse(const struct machine *m, int err, const char *file, const char *why)
{
	char text[WHY_SIZE];

	snprintf(text, sizeof(text), "%s%s%s", file, *file ? " " : "", why);
	return report_option(err, "--restore", m->config->restore, text);
}

int restore_refuse_errno(const struct machine *m, int err, const char *file)
{
	char text[WHY_SIZE];

	snprintf(text, sizeof(text), "%s: %s", file, strerrordesc_np(-err));
	return report_option(err, "--restore", m->config->restore, text);
}

static bool known(uint32_t tag)
{
	return tag == TAG_MACHINE || tag == TAG_DISK || tag == TAG_PARKED || tag == TAG_SERIAL ||
	       tag == TAG_IDENTITY || tag == TAG_BASE || tag == TAG_PAGES || arch_state_tag(tag);
}

int restore_open_file(const struct machine *m, int dir_fd, const char *name, const char *shown)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? restore_refuse_errno(m, -errno, shown) : fd;
}

int restore_load(const struct machine *m, int dir_fd, const char *shown, struct state_reader *in,
		 void **data, struct identity *identity)
{
	int fd = restore_open_file(m, dir_fd, SNAPSHOT_STATE, shown);
	int err;

	if (fd < 0)
		return fd;
	err = state_load(in, fd, data);
	close(fd);
	if (err && !in->why[0])
		return restore_refuse_errno(m, err, shown);
	if (!err)
		err = state_open(in, *data, in->size, arch_state_machine(), known);
	if (!err)
		err = state_get(in, TAG_IDENTITY, 0, identity, sizeof(*identity));
	return err ? restore_refuse(m, err, shown, in->why) : 0;
}
