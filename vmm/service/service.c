/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/report.h"
#include "vmm/write_all.h"

const char service_words[SERVICE_WORDS] = { 'F', 'R', 'S' };

/* Size of a buffer for a process id, the newline and the NUL. */
#define TEXT_MAX 16
/* Maximum number of attempts to open and lock the pidfile. An attempt is repeated only if another
 * VM ends and removes the file between the two steps. */
#define ATTEMPTS 16

/* Returns true if the file is empty or contains one number and a newline. Any other file is
 * refused, so that a mistyped path does not overwrite, for example, an image. */
static bool is_pidfile(int fd)
{
	char text[TEXT_MAX + 1] = "";
	ssize_t n = pread(fd, text, TEXT_MAX, 0);
	size_t digits = strspn(text, "0123456789");

	return !n || (digits && n == (ssize_t)digits + 1 && text[digits] == '\n');
}

static int lock_pidfile(int fd, const char **why)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		*why = "not a regular file";
		return -EINVAL;
	}
	if (fcntl(fd, F_OFD_SETLK, &lock)) {
		if (errno == EAGAIN || errno == EACCES)
			*why = "in use by another process";
		return -errno;
	}
	/* The previous holder may have unlinked the file before this process got the lock. No other
	 * process could find such a file, so the caller must open the path again (-ESTALE). */
	if (fstat(fd, &st))
		return -errno;
	if (!st.st_nlink)
		return -ESTALE;
	if (!is_pidfile(fd)) {
		*why = "does not hold a process ID";
		return -EEXIST;
	}
	return 0;
}

/* Removes the locked pidfile, unless another file has taken its name. The file is truncated first,
 * because the directory may not permit its removal. */
static void remove_pidfile(int fd, const char *path)
{
	int ignored = ftruncate(fd, 0);
	struct stat locked, there;

	(void)ignored;
	if (!fstat(fd, &locked) && !lstat(path, &there) && locked.st_dev == there.st_dev &&
	    locked.st_ino == there.st_ino)
		unlink(path);
}

static int write_pidfile(int fd, const char *path)
{
	char text[TEXT_MAX];
	int len = snprintf(text, sizeof(text), "%d\n", getpid());
	int err = ftruncate(fd, 0) ? -errno : write_all(fd, text, (size_t)len);

	if (err)
		remove_pidfile(fd, path);
	return err;
}

static int open_locked(struct service *s, const char *path, const char **why)
{
	/* O_NONBLOCK: the open must not block if the path is a FIFO. */
	int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = open(path, flags), err;

	if (fd < 0 && errno == ENOENT)
		fd = open(path, flags | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		return -errno;
	err = lock_pidfile(fd, why);
	if (!err)
		err = write_pidfile(fd, path);
	if (err) {
		close(fd);
		return err;
	}
	s->pidfile = path;
	s->pid_fd = fd;
	return 0;
}

static int open_pidfile(struct service *s, const char *path)
{
	const char *why = NULL;
	int err = -ESTALE;

	for (unsigned int i = 0; i < ATTEMPTS && err == -ESTALE; i++)
		err = open_locked(s, path, &why);
	return err ? report_option(err, "--pidfile", path, why) : 0;
}

/* Connects to the service manager's datagram socket (sd_notify(3)): `name` is an absolute path or,
 * if it begins with @, an abstract name. Returns the socket or -errno. */
static int connect_manager(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd;

	if (*name != '/' && *name != '@')
		return -EAFNOSUPPORT;
	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, name, len);
	if (*name == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int service_open(struct service *s, const char *pidfile)
{
	const char *manager = getenv("NOTIFY_SOCKET");

	*s = (struct service){ .pid_fd = -1, .notify_fd = -1, .relay_fd = -1 };
	if (manager && *manager) {
		s->notify_fd = connect_manager(manager);
		if (s->notify_fd < 0)
			report_option(s->notify_fd, "NOTIFY_SOCKET", manager, NULL);
	}
	return pidfile ? open_pidfile(s, pidfile) : 0;
}

void service_heard(const struct service *s, enum service_word word)
{
	static const char *const message[] = {
		[SERVICE_READY] = "READY=1",
		[SERVICE_STOPPING] = "STOPPING=1",
	};

	/* The socket is non-blocking and a failure is ignored, so that a manager that does not read
	 * cannot delay the VM. */
	if (s->notify_fd >= 0 && message[word])
		send(s->notify_fd, message[word], strlen(message[word]), MSG_NOSIGNAL);
}

static void tell(const struct service *s, enum service_word word)
{
	char heard;

	if (s->relay_fd < 0)
		service_heard(s, word);
	else if (write(s->relay_fd, &service_words[word], 1) < 0 ||
		 read(s->relay_fd, &heard, 1) < 0)
		log_debug("the supervisor is unavailable");
}

void service_files(const struct service *s)
{
	tell(s, SERVICE_FILES);
}

void service_ready(const struct service *s)
{
	tell(s, SERVICE_READY);
}

void service_stopping(const struct service *s)
{
	tell(s, SERVICE_STOPPING);
}

static void close_fds(const struct service *s)
{
	if (s->pid_fd >= 0)
		close(s->pid_fd);
	if (s->notify_fd >= 0)
		close(s->notify_fd);
}

void service_relay(struct service *s, int relay_fd)
{
	close_fds(s);
	*s = (struct service){ .pid_fd = -1, .notify_fd = -1, .relay_fd = relay_fd };
}

void service_close(const struct service *s, bool remove)
{
	if (s->pid_fd >= 0 && remove)
		remove_pidfile(s->pid_fd, s->pidfile);
	close_fds(s);
}
