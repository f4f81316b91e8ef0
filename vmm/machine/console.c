/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Endpoint of --console: a pseudo-terminal, a file or a socket. The endpoint is opened with the
 * user's other files, before KVM; the console starts to use it at the end of the set-up.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/console/console.h"
#include "vmm/machine/internal.h"
#include "vmm/report.h"

/* Longest time that the end of the VM waits for a slow reader of standard output. */
#define CONSOLE_DRAIN_MS 1000

static int open_pty(struct console_end *end)
{
	struct termios raw;
	int err;

	end->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (end->fd < 0 || unlockpt(end->fd))
		return -errno;
	err = ptsname_r(end->fd, end->slave, sizeof(end->slave));
	if (err)
		return -err;
	end->slave_fd = open(end->slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
	/* A new terminal echoes, so that the guest would read its own output without raw mode. */
	if (end->slave_fd < 0 || tcgetattr(end->slave_fd, &raw))
		return -errno;
	cfmakeraw(&raw);
	return tcsetattr(end->slave_fd, TCSANOW, &raw) ? -errno : 0;
}

/* Refuses a file that the console must not replace. A regular file is locked, as images are: a
 * mistyped path must not destroy the disk of a running VM. */
static int claim_file(int fd, const char **why)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		*why = "is a block device";
		return -EINVAL;
	}
	/* File systems without locks are accepted. */
	if (!S_ISREG(st.st_mode) || !fcntl(fd, F_OFD_SETLK, &lock) ||
	    (errno != EAGAIN && errno != EACCES))
		return 0;
	*why = "in use by another process";
	return -EBUSY;
}

static int open_file(struct console_end *end, const char *path, const char **why)
{
	/* O_NONBLOCK: neither open nor a later write may block, even if the path is a FIFO. */
	int flags = O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

	end->fd = open(path, flags);
	if (end->fd < 0 && errno == ENOENT) {
		end->fd = open(path, flags | O_CREAT | O_EXCL, 0600);
		end->created = end->fd >= 0;
	}
	return end->fd < 0 ? -errno : claim_file(end->fd, why);
}

int machine_console_open(struct machine *m)
{
	const struct machine_config *config = m->config;
	struct console_end *end = &m->console_end;
	const char *why = NULL;
	int err = 0;

	switch (config->console_kind) {
	case CONSOLE_STANDARD:
		break;
	case CONSOLE_PTY:
		err = open_pty(end);
		break;
	case CONSOLE_FILE:
		err = open_file(end, config->console_path, &why);
		break;
	case CONSOLE_SOCKET:
		err = control_socket_open(&end->socket, config->console_path, &why);
		break;
	}
	return err ? report_option(err, "--console", config->console_text, why) : 0;
}

int machine_console_start(struct machine *m)
{
	enum console_kind kind = m->config->console_kind;
	const struct console_end *end = &m->console_end;
	struct console_ends ends = {
		.wake_fd = m->serial_wake_fd,
		.in_fd = kind == CONSOLE_PTY ? end->fd : -1,
		.out_fd = end->fd,
		.listen_fd = end->socket.fd,
	};
	int err;

	if (!m->serial || m->config->dump_dtb)
		return 0;
	if (kind == CONSOLE_STANDARD) {
		ends.in_fd = STDIN_FILENO;
		ends.out_fd = STDOUT_FILENO;
		ends.shared = true;
		m->watched = isatty(STDOUT_FILENO);
	}
	err = console_open(&m->console, m->serial, &ends);
	return err ? report_host(err, "console") : 0;
}

int machine_console_ready(struct machine *m)
{
	enum console_kind kind = m->config->console_kind;
	const struct console_end *end = &m->console_end;

	/* Devices and FIFOs cannot be truncated, and need not be. */
	if (kind == CONSOLE_FILE && ftruncate(end->fd, 0) && errno != EINVAL)
		return report_option(-errno, "--console", m->config->console_text, NULL);
	if (kind == CONSOLE_PTY && dprintf(STDOUT_FILENO, "%s\n", end->slave) < 0)
		return report_host(-errno, "standard output");
	return 0;
}

void machine_console_close(struct machine *m, bool remove)
{
	struct console_end *end = &m->console_end;

	console_close(m->console, CONSOLE_DRAIN_MS);
	if (remove && end->created)
		unlink(m->config->console_path);
	if (remove && end->socket.fd >= 0)
		control_socket_remove(&end->socket);
	control_socket_close(&end->socket);
	if (end->slave_fd >= 0)
		close(end->slave_fd);
	if (end->fd >= 0)
		close(end->fd);
}

void machine_console_answer(const struct machine *m, struct control_answer *answer)
{
	if (!m->console) {
		control_refuse(answer, "no-console", "this machine has none");
		return;
	}
	if (!console_has_room(m->console)) {
		control_refuse(answer, "failed", "the console has 8 clients already");
		return;
	}
	answer->result = json_object_new_object();
	control_put_bool(answer->result, "types", console_next_types(m->console));
}

void machine_console_leave(struct machine *m, int fd, const char *data, size_t len)
{
	console_attach(m->console, fd, data, len);
}

struct json_object *machine_console_object(const struct machine *m)
{
	static const char *const kinds[] = {
		[CONSOLE_STANDARD] = "on",
		[CONSOLE_PTY] = "pty",
		[CONSOLE_FILE] = "file",
		[CONSOLE_SOCKET] = "socket",
	};
	struct json_object *object = json_object_new_object();
	enum console_kind kind = m->config->console_kind;

	control_put_text(object, "kind", m->config->console ? kinds[kind] : "off");
	if (kind != CONSOLE_STANDARD)
		control_put_text(object, "path",
				 kind == CONSOLE_PTY ? m->console_end.slave
						     : m->config->console_path);
	return object;
}
