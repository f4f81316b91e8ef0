/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/vhost_user/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base.h"

#define HEADER sizeof(struct vhost_user_header)

_Static_assert(offsetof(struct vhost_user_message, payload) == 16,
	       "the header and the payload are received separately");

/* Adds the descriptors of a received control message to msg->fd. Returns false if msg->fd was full
 * and descriptors had to be closed. */
static bool keep_fds(struct vhost_user_message *msg, const struct cmsghdr *control)
{
	size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool fit = true;

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(control) + i * sizeof(fd), sizeof(fd));
		if (msg->fd_count < VHOST_USER_FDS_MAX) {
			msg->fd[msg->fd_count++] = fd;
		} else {
			close(fd);
			fit = false;
		}
	}
	return fit;
}

/* Receives up to `len` bytes. Returns their number, 0 at the end of the stream, or -errno. */
static ssize_t receive_bytes(int sock, struct vhost_user_message *msg, void *to, size_t len)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))];
	struct iovec iov = { to, len };
	struct msghdr head = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	bool fit = true;
	ssize_t got;

	do {
		got = recvmsg(sock, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			fit &= keep_fds(msg, c);
	/* MSG_CTRUNC: there were more descriptors than this process may have open. */
	return fit && !(head.msg_flags & MSG_CTRUNC) ? got : -EBADMSG;
}

/* Receives until the message has `until` bytes, of which those from `from` on are stored at `to`.
 * Returns 1 when all have arrived; the other results are those of vhost_user_receive. */
static int receive_until(int sock, struct vhost_user_message *msg, void *to, size_t from,
			 size_t until)
{
	while (msg->received < until) {
		ssize_t got = receive_bytes(sock, msg, (char *)to + (msg->received - from),
					    until - msg->received);

		if (got == -EAGAIN)
			return 0;
		if (got <= 0)
			return got ? (int)got : -ENOTCONN;
		msg->received += (size_t)got;
	}
	return 1;
}

int vhost_user_receive(int sock, struct vhost_user_message *msg)
{
	int done = receive_until(sock, msg, &msg->header, 0, HEADER);

	if (done <= 0)
		return done;
	if ((msg->header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    msg->header.flags & VHOST_USER_REPLY || msg->header.size > VHOST_USER_PAYLOAD_MAX)
		return -EBADMSG;
	return receive_until(sock, msg, &msg->payload, HEADER, HEADER + msg->header.size);
}

int vhost_user_take_fd(struct vhost_user_message *msg, unsigned int n)
{
	int fd = n < msg->fd_count ? msg->fd[n] : -1;

	if (fd >= 0)
		msg->fd[n] = -1;
	return fd;
}

void vhost_user_message_done(struct vhost_user_message *msg)
{
	for (unsigned int i = 0; i < msg->fd_count; i++)
		if (msg->fd[i] >= 0)
			close(msg->fd[i]);
	memset(msg, 0, sizeof(*msg));
}

/* Sends a header and `size` bytes of payload in one piece. A socket that has no room for so little
 * belongs to a front end that does not read. */
static int send_message(int sock, const struct vhost_user_header *header, const void *payload,
			int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov[2] = { { (void *)(uintptr_t)header, HEADER },
				{ (void *)(uintptr_t)payload, header->size } };
	struct msghdr head = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t sent;

	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		memset(control, 0, sizeof(control));
		head.msg_control = control;
		head.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do {
		sent = sendmsg(sock, &head, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == HEADER + header->size ? 0 : -EIO;
}

int vhost_user_reply(int sock, struct vhost_user_message *msg, uint32_t size, int fd)
{
	/* QEMU compares the flags with exactly this value, also where a reply was asked for. */
	const struct vhost_user_header header = { msg->header.request,
						  VHOST_USER_VERSION | VHOST_USER_REPLY, size };

	return send_message(sock, &header, &msg->payload, fd);
}

int vhost_user_notify(int sock, uint32_t request)
{
	const struct vhost_user_header header = { request, VHOST_USER_VERSION, 0 };

	return send_message(sock, &header, NULL, -1);
}
