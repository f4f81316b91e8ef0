/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/vumaster.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_config.h>

static const struct {
	uint64_t gpa, size, user_addr;
} regions[] = {
	{ MOCK_LOW, MOCK_LOW_SIZE, 0x7f1000000000 },
	{ MOCK_HIGH, MOCK_HIGH_SIZE, 0x7f2000000000 },
	{ MOCK_FAR, MOCK_FAR_SIZE, 0x550000000000 },
};

void vumaster_init(struct vumaster *v)
{
	*v = (struct vumaster){ .sock = -1 };
	mock_init(&v->m, 64, false, false);
	image_make(&v->image, VUMASTER_DISK_BYTES, false);
	v->config = (struct blk_config){
		.path = v->image.path,
		.discard = true,
		.blk_size = 512,
		.queue_size = 64,
		.queues = 1,
		.packed = true,
	};
}

void vumaster_reconnect(struct vumaster *v)
{
	int pair[2];

	vhost_user_disconnect(v->vu);
	if (v->sock >= 0)
		close(v->sock);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	v->sock = pair[0];
	vhost_user_connect(v->vu, pair[1]);
}

void vumaster_open(struct vumaster *v)
{
	const char *why;

	ck_assert_int_eq(blk_create(&v->blk, &v->config, 0, &v->memory.table, &why), 0);
	ck_assert_int_eq(vhost_user_create(&v->vu, v->blk, &v->memory, v->next), 0);
	vumaster_reconnect(v);
}

void vumaster_fini(struct vumaster *v)
{
	vhost_user_destroy(v->vu);
	ck_assert_int_eq(blk_destroy(v->blk), 0);
	close(v->sock);
	image_remove(&v->image);
	mock_fini(&v->m);
}

/* ---- messages ---- */

int vumaster_send(struct vumaster *v, uint32_t request, uint32_t flags, const void *payload,
		  uint32_t size, const int *fds, unsigned int fd_count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
	struct vhost_user_header header = { request, VHOST_USER_VERSION | flags, size };
	struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)(uintptr_t)payload, size } };
	struct msghdr head = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c = (struct cmsghdr *)control;

	if (fd_count) {
		head.msg_control = control;
		head.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(v->sock, &head, MSG_NOSIGNAL), sizeof(header) + size);
	return vhost_user_handle(v->vu);
}

int vumaster_receive_fd(struct vumaster *v, uint32_t request, void *payload, uint32_t size)
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

	ck_assert_int_eq(recvmsg(v->sock, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), sizeof(header));
	if (CMSG_FIRSTHDR(&head))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&head)), sizeof(fd));
	ck_assert_uint_eq(header.request, request);
	ck_assert_uint_eq(header.flags, 5);
	ck_assert_uint_eq(header.size, size);
	if (size)
		ck_assert_int_eq(recv(v->sock, payload, size, MSG_DONTWAIT), size);
	return fd;
}

void vumaster_receive(struct vumaster *v, uint32_t request, void *payload, uint32_t size)
{
	ck_assert_int_eq(vumaster_receive_fd(v, request, payload, size), -1);
}

bool vumaster_silent(const struct vumaster *v)
{
	char byte;

	return recv(v->sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

void vumaster_say(struct vumaster *v, uint32_t request, const void *payload, uint32_t size,
		  const int *fds, unsigned int fd_count)
{
	uint32_t flags = v->need_reply ? VHOST_USER_NEED_REPLY : 0;
	uint64_t ack = 1;

	ck_assert_int_eq(vumaster_send(v, request, flags, payload, size, fds, fd_count), 0);
	if (!v->need_reply)
		return;
	vumaster_receive(v, request, &ack, sizeof(ack));
	ck_assert_uint_eq(ack, 0);
}

void vumaster_say_u64(struct vumaster *v, uint32_t request, uint64_t value)
{
	vumaster_say(v, request, &value, sizeof(value), NULL, 0);
}

void vumaster_say_state(struct vumaster *v, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state state = { index, num };

	vumaster_say(v, request, &state, sizeof(state), NULL, 0);
}

void vumaster_say_fd(struct vumaster *v, uint32_t request, uint32_t index, int fd)
{
	uint64_t value = index | (fd < 0 ? VHOST_USER_VRING_NOFD_MASK : 0);

	vumaster_say(v, request, &value, sizeof(value), &fd, fd < 0 ? 0 : 1);
}

uint64_t vumaster_ask(struct vumaster *v, uint32_t request)
{
	uint64_t answer;

	ck_assert_int_eq(vumaster_send(v, request, 0, NULL, 0, NULL, 0), 0);
	vumaster_receive(v, request, &answer, sizeof(answer));
	return answer;
}

/* ---- memory and rings ---- */

struct vhost_user_mem_region vumaster_region(unsigned int n)
{
	return (struct vhost_user_mem_region){
		.gpa = regions[n].gpa,
		.size = regions[n].size,
		.user_addr = regions[n].user_addr,
		.mmap_offset = regions[n].gpa - MOCK_LOW,
	};
}

uint64_t vumaster_user_addr(uint64_t gpa)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++)
		if (gpa >= regions[i].gpa && gpa - regions[i].gpa < regions[i].size)
			return regions[i].user_addr + (gpa - regions[i].gpa);
	ck_abort_msg("no region has address %#lx", (unsigned long)gpa);
}

void vumaster_say_memory(struct vumaster *v)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		struct vhost_user_mem_slot slot = { .region = vumaster_region(i) };

		vumaster_say(v, VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot), &v->m.memfd, 1);
	}
}

void vumaster_say_addr(struct vumaster *v, uint32_t index, const struct vring_config *ring,
		       uint32_t flags)
{
	struct vhost_user_vring_addr addr = {
		.index = index,
		.flags = flags,
		.desc = vumaster_user_addr(ring->desc),
		.avail = vumaster_user_addr(ring->avail),
		.used = vumaster_user_addr(ring->used),
		.log = ring->used,
	};

	vumaster_say(v, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static bool is_packed(uint64_t features)
{
	return features >> VIRTIO_F_RING_PACKED & 1;
}

void vumaster_lay_out(struct vumaster *v, uint16_t size, uint64_t features)
{
	bool event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	bool indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;

	if (is_packed(features))
		mock_ring_packed(&v->m, size, event_idx, indirect);
	else
		mock_ring(&v->m, size, event_idx, indirect);
}

void vumaster_begin(struct vumaster *v, uint64_t features, uint32_t position)
{
	vumaster_say_u64(v, VHOST_USER_SET_FEATURES, VUMASTER_FEATURES | features);
	vumaster_say_fd(v, VHOST_USER_SET_VRING_CALL, 0, v->m.irq_fd);
	vumaster_say_memory(v);
	vumaster_say_state(v, VHOST_USER_SET_VRING_NUM, 0, v->m.ring.size);
	vumaster_say_state(v, VHOST_USER_SET_VRING_BASE, 0, position);
	vumaster_say_addr(v, 0, &v->m.ring, 0);
	vumaster_say_fd(v, VHOST_USER_SET_VRING_KICK, 0, v->m.kick_fd);
	vumaster_say_state(v, VHOST_USER_SET_VRING_ENABLE, 0, 1);
}

void vumaster_start(struct vumaster *v, uint16_t size, uint64_t features)
{
	vumaster_lay_out(v, size, features);
	vumaster_begin(v, features, is_packed(features) ? 0x80008000 : 0);
}

uint32_t vumaster_stop(struct vumaster *v)
{
	struct vhost_user_vring_state state = { 0, 0 };

	ck_assert_int_eq(vumaster_send(v, VHOST_USER_GET_VRING_BASE, 0, &state, sizeof(state), NULL,
				       0),
			 0);
	vumaster_receive(v, VHOST_USER_GET_VRING_BASE, &state, sizeof(state));
	ck_assert_uint_eq(state.index, 0);
	return state.num;
}

uint8_t vumaster_do(struct vumaster *v, uint32_t type, uint64_t sector, uint32_t len,
		    struct mock_blk *req)
{
	mock_forget(&v->m);
	mock_blk(&v->m, req, type, sector, len);
	return mock_do(&v->m, req, NULL);
}

void vumaster_open_default(struct vumaster *v)
{
	vumaster_init(v);
	vumaster_open(v);
}

void vumaster_read_ok(struct vumaster *v, uint64_t sector)
{
	struct mock_blk req;

	ck_assert_uint_eq(vumaster_do(v, VIRTIO_BLK_T_IN, sector, 4096, &req), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(&v->m, req.data), sector * 512, 4096));
}
