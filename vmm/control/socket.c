/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/control/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/base.h"

#define BACKLOG 8

static int refuse(int err, const char *reason, const char **why)
{
	*why = reason ? reason : strerror(err);
	return -err;
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Removes a stale socket at the address. 0: removed; -errno with *why: the path is in use, is no
 * socket or cannot be removed. */
static int clear_stale(const struct sockaddr_un *addr, const char **why)
{
	struct stat st;
	int fd, err = 0;

	if (lstat(addr->sun_path, &st))
		return refuse(errno, NULL, why);
	if (!S_ISSOCK(st.st_mode))
		return refuse(EEXIST, "exists and is not a socket", why);
	fd = new_socket();
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EAGAIN)
		err = EADDRINUSE;
	else if (errno != ECONNREFUSED)
		err = errno;
	close(fd);
	if (err)
		return refuse(err, err == EADDRINUSE ? "in use by another process" : NULL, why);
	return unlink(addr->sun_path) ? refuse(errno, NULL, why) : 0;
}

static int bind_to(struct control_socket *s, const struct sockaddr_un *addr, const char **why)
{
	int err;

	if (!bind(s->fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return 0;
	if (errno != EADDRINUSE)
		return refuse(errno, NULL, why);
	err = clear_stale(addr, why);
	if (err)
		return err;
	return bind(s->fd, (const struct sockaddr *)addr, sizeof(*addr)) ? refuse(errno, NULL, why)
									 : 0;
}

/* Locks the directory of `path` and returns its descriptor, or -errno. Without the lock, two VMs
 * could find the same stale socket, and the second remove the socket that the first has just
 * created. */
static int lock_directory(const char *path, int how, const char **why)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return refuse(errno, NULL, why);
	/* On a file system without flock(2), the VM goes on without the lock. */
	if (flock(fd, how) && errno == EWOULDBLOCK) {
		close(fd);
		return refuse(EBUSY, NULL, why);
	}
	return fd;
}

/* Records the identity of the bound socket's file and listens. */
static int listen_there(struct control_socket *s, const char **why)
{
	struct stat st;

	if (lstat(s->path, &st))
		return refuse(errno, NULL, why);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return listen(s->fd, BACKLOG) ? refuse(errno, NULL, why) : 0;
}

static int make(struct control_socket *s, const struct sockaddr_un *addr, const char **why)
{
	int directory = lock_directory(addr->sun_path, LOCK_EX, why);
	int err;

	if (directory < 0)
		return directory;
	/* bind(2) creates the file with the mode of the socket, less the umask: the mode is set
	 * before, so that there is no moment in which others can connect. */
	err = fchmod(s->fd, 0600) ? refuse(errno, NULL, why) : bind_to(s, addr, why);
	if (!err) {
		err = listen_there(s, why);
		if (err)
			unlink(addr->sun_path);
	}
	close(directory);
	return err;
}

int control_socket_open(struct control_socket *s, const char *path, const char **why)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err;

	*s = (struct control_socket){ .fd = -1, .path = path };
	*why = NULL;
	if (strlen(path) >= sizeof(addr.sun_path))
		return refuse(ENAMETOOLONG, "longer than the 107 bytes a socket's path can have",
			      why);
	strcpy(addr.sun_path, path);
	s->fd = new_socket();
	if (s->fd < 0)
		return -errno;
	err = make(s, &addr, why);
	if (err)
		control_socket_close(s);
	return err;
}

void control_socket_remove(const struct control_socket *s)
{
	struct stat st;
	const char *why;
	/* If another process holds the lock, it is about to replace the file, which then stays. */
	int directory = lock_directory(s->path, LOCK_EX | LOCK_NB, &why);

	if (directory < 0)
		return;
	if (!lstat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	close(directory);
}

void control_socket_close(struct control_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
