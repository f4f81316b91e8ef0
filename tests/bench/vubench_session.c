/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/vubench_session.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "devices/vhost_user/protocol.h"

#define BIT(n)	 (1ull << (n))
#define LOG_PAGE 4096u
#define CONFIG_SIZE \
	60u /* bytes of configuration space that Cloud Hypervisor and libblkio ask for */

_Noreturn void vu_die(const char *what, const char *why)
{
	fprintf(stderr, "vubench: %s: %s\n", what, why ? why : strerror(errno));
	exit(1);
}

/* ---- messages ---- */

static void send_message(const struct vu_session *s, uint32_t request, uint32_t flags,
			 const void *payload, uint32_t size, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct vhost_user_header header = { request, VHOST_USER_VERSION | flags, size };
	struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)(uintptr_t)payload, size } };
	struct msghdr head = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c = (struct cmsghdr *)control;

	if (fd >= 0) {
		head.msg_control = control;
		head.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(s->sock, &head, MSG_NOSIGNAL) != (ssize_t)(sizeof(header) + size))
		vu_die("message", NULL);
}

/* Receives the answer to `request`, of exactly `size` bytes. Returns its descriptor, or -1. */
static int receive(const struct vu_session *s, uint32_t request, void *payload, uint32_t size)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct vhost_user_header header;
	struct iovec iov = { &header, sizeof(header) };
	struct msghdr head = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(s->sock, &head, MSG_CMSG_CLOEXEC) != sizeof(header))
		vu_die("answer", "the back end has closed the connection, or does not answer");
	if (CMSG_FIRSTHDR(&head))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&head)), sizeof(fd));
	if (header.request != request || !(header.flags & VHOST_USER_REPLY) || header.size != size)
		vu_die("answer", "is not the one that was expected");
	if (recv(s->sock, payload, size, MSG_WAITALL) != (ssize_t)size)
		vu_die("answer", "is incomplete");
	return fd;
}

/* Sends a message that the back end must accept, and acknowledge if it is able to. */
static void say(const struct vu_session *s, uint32_t request, const void *payload, uint32_t size,
		int fd)
{
	bool ack = s->protocol & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
	uint64_t result = 0;

	send_message(s, request, ack ? VHOST_USER_NEED_REPLY : 0, payload, size, fd);
	if (ack)
		receive(s, request, &result, sizeof(result));
	if (result)
		vu_die("message", "was refused by the back end");
}

static void say_u64(const struct vu_session *s, uint32_t request, uint64_t value, int fd)
{
	say(s, request, &value, sizeof(value), fd);
}

static void say_state(const struct vu_session *s, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state state = { index, num };

	say(s, request, &state, sizeof(state), -1);
}

static uint64_t ask(const struct vu_session *s, uint32_t request)
{
	uint64_t answer;

	send_message(s, request, 0, NULL, 0, -1);
	receive(s, request, &answer, sizeof(answer));
	return answer;
}

/* ---- set-up ---- */

static void connect_to(struct vu_session *s, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 10 };

	if (strlen(path) >= sizeof(addr.sun_path))
		vu_die("--socket", "the path is too long");
	strcpy(addr.sun_path, path);
	s->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->sock < 0 || connect(s->sock, (struct sockaddr *)&addr, sizeof(addr)))
		vu_die(path, NULL);
	setsockopt(s->sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static void negotiate(struct vu_session *s)
{
	uint64_t wanted = BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
			  BIT(VIRTIO_RING_F_EVENT_IDX);
	uint64_t protocol = BIT(VHOST_USER_PROTOCOL_F_CONFIG);

	wanted |= s->packed ? BIT(VIRTIO_F_RING_PACKED) : 0;
	wanted |= s->indirect ? BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0;
	wanted |= s->queues > 1 ? BIT(VIRTIO_BLK_F_MQ) : 0;
	wanted |= s->log ? BIT(VHOST_F_LOG_ALL) : 0;
	protocol |= s->queues > 1 ? BIT(VHOST_USER_PROTOCOL_F_MQ) : 0;
	protocol |= s->log ? BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) : 0;
	protocol |= s->inflight ? BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) : 0;
	send_message(s, VHOST_USER_SET_OWNER, 0, NULL, 0, -1);
	if (wanted & ~ask(s, VHOST_USER_GET_FEATURES))
		vu_die("features", "the back end has not all that the options need");
	s->features = wanted;
	wanted = ask(s, VHOST_USER_GET_PROTOCOL_FEATURES);
	if (protocol & ~wanted)
		vu_die("protocol features", "the back end has not all that the options need");
	protocol |= wanted & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
	/* The answer to this message would depend on a feature that it only negotiates. */
	send_message(s, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &protocol, sizeof(protocol), -1);
	s->protocol = protocol;
	if (s->queues > 1 && ask(s, VHOST_USER_GET_QUEUE_NUM) < s->queues)
		vu_die("--queues", "the back end has fewer");
}

static void get_capacity(struct vu_session *s)
{
	struct {
		struct vhost_user_config config;
		uint8_t data[CONFIG_SIZE];
	} space = { .config = { .size = CONFIG_SIZE } };
	uint64_t sectors;

	send_message(s, VHOST_USER_GET_CONFIG, 0, &space, sizeof(space), -1);
	receive(s, VHOST_USER_GET_CONFIG, &space, sizeof(space));
	memcpy(&sectors, space.data, sizeof(sectors));
	s->capacity = sectors * 512;
}

static void send_memory(const struct vu_session *s)
{
	struct vhost_user_mem_table table = {
		.count = 1,
		.region[0] = { .gpa = s->gpa, .size = s->size, .user_addr = (uintptr_t)s->memory },
	};
	uint32_t size = offsetof(struct vhost_user_mem_table, region[1]);

	say(s, VHOST_USER_SET_MEM_TABLE, &table, size, s->memory_fd);
}

/* Gives the back end a dirty log, which this program does not read. */
static void send_log(const struct vu_session *s)
{
	struct vhost_user_log log = { .mmap_size = (s->gpa + s->size) / LOG_PAGE / 8 + 8 };
	int fd = memfd_create("log", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)log.mmap_size))
		vu_die("dirty log", NULL);
	send_message(s, VHOST_USER_SET_LOG_BASE, 0, &log, sizeof(log), fd);
	receive(s, VHOST_USER_SET_LOG_BASE, &log, sizeof(log));
	close(fd);
}

static void send_inflight(const struct vu_session *s, uint16_t queue_size)
{
	struct vhost_user_inflight inflight = {
		.num_queues = (uint16_t)s->queues,
		.queue_size = queue_size,
	};
	int fd;

	send_message(s, VHOST_USER_GET_INFLIGHT_FD, 0, &inflight, sizeof(inflight), -1);
	fd = receive(s, VHOST_USER_GET_INFLIGHT_FD, &inflight, sizeof(inflight));
	if (fd < 0)
		vu_die("GET_INFLIGHT_FD", "the answer has no descriptor");
	say(s, VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight), fd);
	close(fd);
}

void vu_open(struct vu_session *s, const char *path)
{
	connect_to(s, path);
	negotiate(s);
	get_capacity(s);
	if (s->log)
		send_log(s);
	say_u64(s, VHOST_USER_SET_FEATURES, s->features, -1);
	send_memory(s);
}

void vu_start(const struct vu_session *s, unsigned int index, const struct vu_queue *queue)
{
	uint64_t shift = (uintptr_t)s->memory - s->gpa;
	struct vhost_user_vring_addr addr = {
		.index = index,
		.flags = s->log ? VHOST_USER_VRING_F_LOG : 0,
		.desc = queue->ring.desc + shift,
		.used = queue->ring.used + shift,
		.avail = queue->ring.avail + shift,
		.log = queue->ring.used,
	};

	if (s->inflight && !index)
		send_inflight(s, queue->ring.size);
	say_state(s, VHOST_USER_SET_VRING_NUM, index, queue->ring.size);
	say_state(s, VHOST_USER_SET_VRING_BASE, index, s->packed ? 0x80008000 : 0);
	say(s, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	say_u64(s, VHOST_USER_SET_VRING_CALL, index, queue->call_fd);
	say_u64(s, VHOST_USER_SET_VRING_KICK, index, queue->kick_fd);
	say_state(s, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

void vu_stop(const struct vu_session *s, unsigned int index)
{
	struct vhost_user_vring_state state = { .index = index };

	send_message(s, VHOST_USER_GET_VRING_BASE, 0, &state, sizeof(state), -1);
	receive(s, VHOST_USER_GET_VRING_BASE, &state, sizeof(state));
}
